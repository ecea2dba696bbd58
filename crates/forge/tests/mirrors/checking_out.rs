//! A commit's files in a folder.

use crate::Place;
use crate::origin::run;

const URL: &str = "https://git.example.com/octo/hello.git";

#[tokio::test]
async fn a_branch_is_checked_out_with_all_branches_and_tags_at_hand_and_no_object_copied() {
    let place = Place::new();
    let old = place.origin.commit("a.txt", "old");
    place.origin.git(&["tag", "v1"]);
    place.origin.git(&["push", "-q", "origin", "v1"]);
    let sha = place.origin.commit("a.txt", "new");
    place.origin.push("main");
    place.origin.push("main:refs/heads/next");
    let mirror = place.mirror().await;

    let folder = place.folder.path().join("tree");
    mirror.check_out(&sha, "refs/heads/main", URL, &folder).await.unwrap();

    assert_eq!(std::fs::read_to_string(folder.join("a.txt")).unwrap(), "new");
    assert_eq!(run(&folder, &["status", "--porcelain", "--branch"]).trim(), "## main");
    assert_eq!(run(&folder, &["rev-parse", "v1"]).trim(), old);
    assert_eq!(run(&folder, &["rev-parse", "origin/next"]).trim(), sha);
    assert_eq!(run(&folder, &["remote", "get-url", "origin"]).trim(), URL);
    assert!(run(&folder, &["count-objects"]).starts_with("0 objects"));
}

#[tokio::test]
async fn what_is_no_branch_is_checked_out_as_a_bare_commit() {
    let place = Place::new();
    let old = place.origin.commit("a.txt", "old");
    place.origin.commit("a.txt", "new");
    place.origin.push("main");
    let mirror = place.mirror().await;

    let folder = place.folder.path().join("tree");
    mirror.check_out(&old, "refs/pull/1/merge", URL, &folder).await.unwrap();

    assert_eq!(std::fs::read_to_string(folder.join("a.txt")).unwrap(), "old");
    assert_eq!(run(&folder, &["rev-parse", "--abbrev-ref", "HEAD"]).trim(), "HEAD");
    let missing = "1".repeat(40);
    let error = mirror.check_out(&missing, "refs/heads/main", URL, &place.folder.path().join("b")).await;
    assert!(error.is_err());
}
