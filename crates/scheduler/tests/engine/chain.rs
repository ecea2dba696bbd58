//! Workflows that follow others.

use std::time::Duration;

use model::{Conclusion, DeliveryState, RunId, RunState, Timestamp};
use scheduler::recipe::Again;
use scheduler::worker::fake::Deed;
use serde_json::{Value as Json, json};
use store::record::{RepositoryFacts, Run};
use store::{Change, SqliteStore, Store};

use crate::house::{House, Place, push, repository};

const FLOW: &str = "name: CI\non: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";

/// A workflow that follows another.
fn follows(name: &str, other: &str, types: &str) -> String {
    format!(
        "name: {name}\non: {{workflow_run: {{workflows: [{other}], types: [{types}]}}}}\n\
         jobs: {{{name}: {{runs-on: ubuntu-latest, steps: [{{run: x}}]}}}}\n"
    )
}

/// The payload of the event that a run is of.
async fn payload(house: &House, run: &Run) -> Json {
    let delivery = run.delivery.expect("it has one");
    let (_, body) = house.store.delivery(delivery).await.expect("read").expect("there");
    serde_json::from_slice(&body).expect("JSON")
}

async fn has_no_run(house: &House, id: u64) {
    let settled = async {
        let store = &house.store;
        while !store.unannounced(None, 1).await.expect("read").is_empty()
            || !store.due_deliveries(Timestamp::now(), Vec::new(), 1).await.expect("read").is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("something is never told");
    house.engine.idle().await;
    assert_eq!(house.store.run(RunId(id)).await.expect("read"), None);
}

#[tokio::test]
async fn what_follows_a_workflow_starts_on_the_default_branch_when_that_has_ended() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let last = place.commit(".github/workflows/follow.yml", &follows("Deploy", "CI", "completed"));
    let house = place.house().await;
    house.worker.tell("a", [Deed::End(Conclusion::Failure)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(2).await;
    assert_eq!((run.what.workflow_name.as_str(), run.what.event.as_str()), ("Deploy", "workflow_run"));
    assert_eq!((run.what.reference.as_str(), &run.what.sha), ("refs/heads/main", &last));
    assert_eq!(run.what.actor, "mona");
    let payload = payload(&house, &run).await;
    let followed = &payload["workflow_run"];
    assert_eq!(payload["action"], "completed");
    assert_eq!(
        (&payload["workflow"]["name"], &payload["sender"]),
        (&json!("CI"), &json!({"login": "mona", "id": 2}))
    );
    assert_eq!(payload["repository"], repository());
    for (name, value) in [
        ("id", json!(1)),
        ("name", json!("CI")),
        ("path", json!(".github/workflows/ci.yml")),
        ("event", json!("push")),
        ("status", json!("completed")),
        ("conclusion", json!("failure")),
        ("head_branch", json!("main")),
        ("head_sha", json!(sha)),
        ("run_number", json!(1)),
        ("run_attempt", json!(1)),
        ("html_url", json!("https://ci.example.com/runs/1")),
        ("pull_requests", json!([])),
    ] {
        assert_eq!(followed[name], value, "{name}");
    }
    has_no_run(&house, 3).await;
}

#[tokio::test]
async fn each_activity_is_told_once_and_a_further_attempt_is_not_requested() {
    let place = Place::new(FLOW);
    for types in ["requested", "in_progress", "completed"] {
        place.commit(&format!(".github/workflows/{types}.yml"), &follows(types, "CI", types));
    }
    let sha = place.commit(".github/workflows/other.yml", &follows("other", "Release", "completed"));
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    for run in 1..=4 {
        house.ended(run).await;
    }
    house.engine.again(RunId(1), Again::All, "ada".to_owned()).await.expect("queued");
    let mut names = Vec::new();
    for id in 2..=6 {
        let run = house.ended(id).await;
        let told = payload(&house, &run).await;
        names.push(format!("{} {}", run.what.workflow_name, told["workflow_run"]["run_attempt"]));
    }
    assert_eq!(names, ["requested 1", "in_progress 1", "completed 1", "in_progress 2", "completed 2"]);
    assert_eq!(house.store.run(RunId(6)).await.expect("read").expect("there").what.actor, "ada");
    has_no_run(&house, 7).await;
}

#[tokio::test]
async fn a_chain_ends_after_three_levels() {
    let place = Place::new(FLOW);
    for (name, other) in [("B", "CI"), ("C", "B"), ("D", "C"), ("E", "D")] {
        place.commit(&format!(".github/workflows/{name}.yml"), &follows(name, other, "completed"));
    }
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(4).await;
    let name = |run: Run| run.what.workflow_name;
    let names = [name(house.ended(2).await), name(house.ended(3).await), name(house.ended(4).await)];
    assert_eq!(names, ["B", "C", "D"]);
    has_no_run(&house, 5).await;
}

#[tokio::test]
async fn a_crash_between_the_end_of_a_run_and_telling_of_it_loses_nothing_and_doubles_nothing() {
    let place = Place::new(FLOW);
    place.commit(".github/workflows/follow.yml", &follows("Deploy", "CI", "completed"));
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("a", [Deed::Hang, Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    let worker = house.crash().await;
    // Its end was the last thing that became durable.
    let store = SqliteStore::open(&place.data()).expect("a store");
    let (run, conclusion) = (RunId(1), Conclusion::Cancelled);
    let end = Change::RunEnded { run, conclusion, reason: None, at: Timestamp::now() };
    store.apply(vec![end]).await.expect("ended");
    drop(store);
    let house = place.house_with(worker, Default::default(), 2).await;
    assert_eq!(house.ended(2).await.what.workflow_name, "Deploy");
    let worker = house.crash().await;
    // The event is durable, and that it was told is not.
    let store = SqliteStore::open(&place.data()).expect("a store");
    let untold = Change::Announced { run, attempt: 1, state: RunState::Running };
    store.apply(vec![untold]).await.expect("as before");
    drop(store);
    let house = place.house_with(worker, Default::default(), 2).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    house.ended(3).await;
    house.ended(4).await;
    has_no_run(&house, 5).await;
}

#[tokio::test]
async fn what_github_tells_of_a_workflow_that_runs_here_as_well_starts_nothing() {
    let place = Place::new(FLOW);
    place.commit(".github/workflows/follow.yml", &follows("Deploy", "CI", "completed"));
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(2).await;
    let told = |path: &str, sha: &str| {
        json!({
            "action": "completed", "repository": repository(), "sender": {"login": "mona", "id": 2},
            "workflow_run": {
                "id": 99, "name": "CI", "path": path, "event": "push", "head_branch": "main", "head_sha": sha,
            },
        })
    };
    house.deliver("d-2", "workflow_run", &told(".github/workflows/ci.yml@main", &sha)).await;
    // One that only GitHub runs.
    house.deliver("d-3", "workflow_run", &told("dynamic/pages/pages-build-deployment", &sha)).await;
    let run = house.ended(3).await;
    assert_eq!(payload(&house, &run).await["workflow_run"]["id"], 99);
    let deliveries = house.store.deliveries(None, 10).await.expect("read");
    let ignored = deliveries.iter().find(|delivery| delivery.guid == "d-2").expect("there");
    assert_eq!(ignored.state, DeliveryState::Ignored);
    assert!(
        ignored.reason.as_ref().is_some_and(|reason| reason.contains("runs here as well")),
        "{ignored:?}"
    );
    has_no_run(&house, 4).await;
}

/// More runs of a repository than are looked at together, which have ended and of which nothing was told.
async fn many_untold(house: &House, name: &str, facts: Option<Json>) {
    let mut what = house.ended(1).await.what;
    let known = house.store.repository(what.repository).await.expect("read").expect("there").facts;
    let other = RepositoryFacts { full_name: name.to_owned(), forge_id: None, ..known };
    what.repository = house.store.repository_seen(other, Timestamp::now()).await.expect("seen");
    what.state = RunState::Ended;
    what.reason = Some("broken".to_owned());
    what.facts = facts.unwrap_or(what.facts);
    for _ in 0..70 {
        house.store.create_run(what.clone(), Timestamp::now()).await.expect("created");
    }
}

#[tokio::test]
async fn a_repository_of_which_nothing_can_be_told_is_in_no_others_way() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    many_untold(&house, "octo/broken", Some(json!("broken"))).await;
    let sha = place.commit(".github/workflows/follow.yml", &follows("Deploy", "CI", "completed"));
    house.deliver("d-2", "push", &push(&sha)).await;
    assert_eq!(house.ended(73).await.what.workflow_name, "Deploy");
}

#[tokio::test]
async fn nobody_listens_where_a_workflow_is_too_large_to_be_read() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    place.commit(".github/workflows/large.yml", &"#".repeat(1024 * 1024 + 1));
    place.copy("large");
    let house = place.house().await;
    house.origin.mirror("octo/large", &[], std::time::Instant::now()).await.expect("fetched");
    house.deliver("d-1", "push", &push(&sha)).await;
    many_untold(&house, "octo/large", None).await;
    has_no_run(&house, 72).await;
}
