//! What an event has changed.

use forge::Diff;
use forge::commit::NO_COMMIT;
use forge::git::Want;

use crate::Place;

fn push(before: &str, after: &str, first: Option<&str>) -> Diff {
    Diff::Push {
        before: before.to_owned(),
        after: after.to_owned(),
        first: first.map(str::to_owned),
        created: before == NO_COMMIT,
        forced: false,
    }
}

async fn changed(place: &Place, diff: Diff) -> Option<Vec<String>> {
    let mirror = place.fetch(&Want::of([], &diff)).await.unwrap();
    mirror.changed(&diff).await.unwrap()
}

#[tokio::test]
async fn a_push_has_changed_what_lies_between_its_two_commits() {
    let place = Place::new();
    let first = place.origin.git(&["rev-parse", "HEAD"]);
    place.origin.commit("ä b", "content of ä b");
    place.origin.git(&["mv", "first", "renamed"]);
    let last = place.origin.commit("c", "content of c");
    place.origin.push("main");
    assert_eq!(changed(&place, push(&first, &last, None)).await.unwrap(), ["c", "renamed", "ä b"]);
}

#[tokio::test]
async fn a_push_that_takes_commits_back_has_changed_what_they_did() {
    let place = Place::new();
    let first = place.origin.git(&["rev-parse", "HEAD"]);
    let second = place.origin.commit("second", "content of second");
    place.origin.push("main");
    place.mirror().await;
    place.origin.git(&["reset", "-q", "--hard", &first]);
    let third = place.origin.commit("third", "content of third");
    place.origin.push("main");
    assert_eq!(changed(&place, push(&second, &third, None)).await.unwrap(), ["second", "third"]);
}

#[tokio::test]
async fn a_new_branch_has_changed_what_was_pushed_with_it() {
    let place = Place::new();
    let root = place.origin.git(&["rev-parse", "HEAD"]);
    place.origin.commit("before", "content of before");
    place.origin.git(&["checkout", "-q", "-b", "topic"]);
    let first = place.origin.commit("a", "content of a");
    let last = place.origin.commit("b", "content of b");
    place.origin.push("topic");
    assert_eq!(changed(&place, push(NO_COMMIT, &last, Some(&first))).await.unwrap(), ["a", "b"]);
    assert_eq!(changed(&place, push(NO_COMMIT, &last, None)).await.unwrap(), ["b"]);
    let from_nothing = push(NO_COMMIT, &last, Some(&root));
    assert_eq!(changed(&place, from_nothing).await.unwrap(), ["a", "b", "before", "first"]);
}

#[tokio::test]
async fn a_pull_request_has_changed_what_its_branch_did_since_it_left() {
    let place = Place::new();
    place.origin.git(&["checkout", "-q", "-b", "topic"]);
    let head = place.origin.commit("topic", "content of topic");
    place.origin.push("topic");
    place.origin.git(&["checkout", "-q", "main"]);
    let base = place.origin.commit("elsewhere", "content of elsewhere");
    place.origin.push("main");
    assert_eq!(changed(&place, Diff::Pull { base, head }).await.unwrap(), ["topic"]);
}

#[tokio::test]
async fn what_cannot_be_compared_is_not_known() {
    let place = Place::new();
    let head = place.origin.git(&["rev-parse", "HEAD"]);
    assert_eq!(changed(&place, Diff::None).await, None);
    let nowhere = "1".repeat(40);
    assert_eq!(changed(&place, push(&nowhere, &head, None)).await, None);
    assert_eq!(changed(&place, push("--output=x", &head, None)).await, None);
    assert_eq!(changed(&place, push(&head, "--output=x", None)).await, None);
    assert_eq!(changed(&place, Diff::Pull { base: nowhere, head: head.clone() }).await, None);
    place.origin.git(&["checkout", "-q", "--orphan", "apart"]);
    let apart = place.origin.commit("apart", "content of apart");
    place.origin.push("apart");
    assert_eq!(changed(&place, Diff::Pull { base: head, head: apart }).await, None);
}

#[tokio::test]
async fn a_mirror_that_nobody_has_fetched_for_long_is_named_and_can_go() {
    let place = Place::new();
    place.mirror().await;
    let hour = std::time::Duration::from_secs(3600);
    assert!(place.mirrors.unused(std::time::SystemTime::now() - hour).unwrap().is_empty());
    let unused = place.mirrors.unused(std::time::SystemTime::now() + hour).unwrap();
    assert_eq!(unused, ["octo/hello"]);
    place.mirrors.remove(&unused[0]).await.unwrap();
    assert!(place.mirrors.get("octo/hello").unwrap().is_none());
    assert!(place.mirrors.unused(std::time::SystemTime::now() + hour).unwrap().is_empty());
}
