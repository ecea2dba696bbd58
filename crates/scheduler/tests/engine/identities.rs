//! Who is who: forges have numbers for repositories and people, and give names to others again.

use model::{Conclusion, RepositoryId, RunState};
use scheduler::environment::{self, Environment};
use serde_json::{Value as Json, json};

use crate::house::{House, Place, push, repository};

const FLOW: &str = "\
on: [push, pull_request]
jobs: {a: {runs-on: ubuntu-latest, environment: production, steps: [{run: x}]}}
";

/// Says the same of the repository with this number, under this name.
fn of(mut payload: Json, id: u64, full_name: &str) -> Json {
    payload["repository"]["id"] = json!(id);
    payload["repository"]["full_name"] = json!(full_name);
    payload
}

/// Pull request 7 of a stranger's fork.
fn pull((head, base): &(String, String), author: &str, id: u64) -> Json {
    json!({
        "action": "opened", "number": 7, "repository": repository(), "sender": {"login": author, "id": id},
        "pull_request": {
            "number": 7, "title": "Nice change", "merged": false, "author_association": "NONE",
            "user": {"login": author, "id": id},
            "head": {"ref": "patch", "sha": head, "repo": {"id": 5, "full_name": "eve/hello", "fork": true}},
            "base": {"ref": "main", "sha": base, "repo": repository()},
        },
    })
}

/// Approves run 1, once it waits, and waits for its end.
async fn approve(house: &House) {
    assert_eq!(house.wait().await, "waits for approval");
    let run = house.run_is(1, |run| run.what.state == RunState::Waiting).await;
    house.engine.approve(run.id, "mona".to_owned()).await.expect("approved");
    house.ended(1).await;
}

async fn secrets_after(house: &House, run: u64) -> Vec<String> {
    assert_eq!(house.ended(run).await.conclusion, Some(Conclusion::Success));
    house.worker.secrets_of("a")
}

#[tokio::test]
async fn a_repository_that_was_made_anew_under_its_name_has_nothing_of_the_old_one() {
    let place = Place::new(FLOW);
    let pulled = place.pull();
    let house = place.house().await;
    house.deliver("d-1", "pull_request", &pull(&pulled, "eve", 9)).await;
    approve(&house).await;
    house.deliver("d-2", "push", &push(&place.commit("a.txt", "1"))).await;
    assert_eq!(secrets_after(&house, 2).await, ["DEPLOY_KEY", "GITHUB_TOKEN", "PRODUCTION_KEY"]);
    let rules = Environment { name: "production".to_owned(), approval: true, ..Environment::default() };
    house.store.apply(vec![environment::set("octo/hello", &rules)]).await.expect("written");
    let mirror = house.origin.mirrors.get("octo/hello").expect("read").expect("fetched");
    std::fs::write(mirror.path().join("old"), "of the old one").expect("written");

    let sha = place.commit("a.txt", "2");
    house.deliver("d-3", "push", &of(push(&sha), 77, "octo/hello")).await;
    assert_eq!(secrets_after(&house, 3).await, ["GITHUB_TOKEN"], "and the old one's rules hold nothing");
    let new = house.store.repository(RepositoryId(2)).await.expect("read").expect("there");
    assert_eq!((new.facts.forge_id, new.facts.full_name.as_str()), (Some(77), "octo/hello"));
    assert!(!mirror.path().join("old").exists(), "what git had of the old one");
    house.deliver("d-4", "pull_request", &of(pull(&pulled, "eve", 9), 77, "octo/hello")).await;
    house.run_is(4, |run| run.what.state == RunState::Waiting).await;
}

#[tokio::test]
async fn a_repository_that_was_renamed_takes_its_things_along() {
    let place = Place::new(FLOW);
    let pulled = place.pull();
    let house = place.house().await;
    house.deliver("d-1", "pull_request", &pull(&pulled, "eve", 9)).await;
    approve(&house).await;
    place.copy("hi");
    house.deliver("d-2", "push", &of(push(&place.commit("a.txt", "1")), 1, "octo/hello")).await;
    assert_eq!(secrets_after(&house, 2).await, ["DEPLOY_KEY", "GITHUB_TOKEN", "PRODUCTION_KEY"]);
    house.deliver("d-3", "pull_request", &of(pull(&pulled, "eve", 9), 1, "octo/hi")).await;
    let run = house.ended(3).await;
    assert_eq!((run.what.repository, run.conclusion), (RepositoryId(1), Some(Conclusion::Success)));
    let renamed = house.store.repository(RepositoryId(1)).await.expect("read").expect("there");
    assert_eq!((renamed.facts.full_name.as_str(), renamed.place.as_str()), ("octo/hi", "octo/hello"));
}

#[tokio::test]
async fn who_has_taken_over_the_login_of_somebody_approved_is_a_stranger() {
    let place = Place::new(FLOW);
    let pulled = place.pull();
    let house = place.house().await;
    house.deliver("d-1", "pull_request", &pull(&pulled, "eve", 9)).await;
    approve(&house).await;
    house.deliver("d-2", "pull_request", &pull(&pulled, "eve", 10)).await;
    house.run_is(2, |run| run.what.state == RunState::Waiting).await;
    house.deliver("d-3", "pull_request", &pull(&pulled, "evelyn", 9)).await;
    assert_eq!(house.ended(3).await.conclusion, Some(Conclusion::Success), "the same, renamed");
}
