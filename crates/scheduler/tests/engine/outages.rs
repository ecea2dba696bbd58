//! Repositories that can't be fetched for a while.

use std::sync::Arc;
use std::time::Duration;

use model::{Conclusion, DeliveryId, DeliveryState, RunState};
use scheduler::queue::{Closed, Limits};
use scheduler::recipe::Again;
use store::record::Receipt;

use crate::house::{Place, push};

const FLOW: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";

/// A workflow that calls one of another repository.
const CALLER: &str = "on: push\njobs: {a: {uses: octo/shared/.github/workflows/echo.yml@v1}, b: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";

#[tokio::test]
async fn a_run_whose_commit_was_fetched_needs_no_forge_to_run_again() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    place.be_away(true);
    house.engine.again(run.id, Again::All, "mona".to_owned()).await.expect("queued");
    let again = house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    assert_eq!((again.conclusion, again.what.reason), (Some(Conclusion::Success), None));
}

#[tokio::test]
async fn a_run_that_cannot_be_fetched_stays_queued_and_says_why_until_it_can() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let closed = Limits { closed: Some(Closed::Draining), ..Limits::default() };
    let house = place.house_with(Arc::default(), closed, 2).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.run_is(1, |run| run.what.state == RunState::Queued).await;
    // Nothing can be fetched into it.
    let mirrors = place.data().join("mirrors/octo");
    std::fs::remove_dir_all(&mirrors).expect("removed");
    std::fs::write(&mirrors, "").expect("written");
    house.engine.limit(|limits| limits.closed = None).await;
    let reason = house.retried().await;
    assert!(reason.contains("can't use ") && reason.contains("mirrors/octo"), "{reason}");
    let run = house.run_is(1, |_| true).await;
    assert_eq!((run.what.state, run.conclusion), (RunState::Queued, None));
    std::fs::remove_file(&mirrors).expect("removed");
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}

#[tokio::test]
async fn a_run_whose_called_workflow_cannot_be_reached_stays_queued_and_says_why_until_it_can() {
    let place = Place::new(CALLER);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.elsewhere.be_away(true);
    house.deliver("d-1", "push", &push(&sha)).await;
    let reason = house.retried().await;
    let why =
        "can't get the called workflow octo/shared/.github/workflows/echo.yml@v1 now: Could not resolve host";
    assert!(reason.contains(why), "{reason}");
    let run = house.run_is(1, |_| true).await;
    assert_eq!((run.what.state, run.conclusion), (RunState::Queued, None));
    house.elsewhere.be_away(false);
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Success));
    assert_eq!(house.said(&run).await, "said:success b:success");
}

#[tokio::test]
async fn a_run_whose_called_workflow_is_not_there_fails_at_once() {
    let place = Place::new(&CALLER.replace("octo/shared", "octo/shard"));
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Failure));
    let reason = run.what.reason.unwrap_or_default();
    assert!(reason.contains("octo/shard") && reason.ends_with("repository not found"), "{reason}");
    assert!(!reason.contains("tried"), "{reason}");
}

#[tokio::test]
async fn a_push_of_a_repository_that_may_not_be_read_runs_when_it_is_sent_again() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    // What is not there and what is not shown look the same.
    place.be_away(true);
    house.deliver("d-1", "push", &push(&sha)).await;
    let done = async {
        loop {
            let found = house.store.delivery(DeliveryId(1)).await.expect("read");
            let (delivery, _) = found.expect("there");
            if delivery.state != DeliveryState::Received {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
    };
    let delivery = tokio::time::timeout(Duration::from_secs(60), done).await.expect("it is looked at");
    assert_eq!(delivery.state, DeliveryState::Failed);
    assert!(delivery.reason.is_some_and(|reason| reason.contains("does not give it to us")));
    place.be_away(false);
    let again = house.deliver("d-1", "push", &push(&sha)).await;
    assert!(matches!(again, Receipt::Again(_)), "{again:?}");
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}

#[tokio::test]
async fn a_called_workflow_is_never_a_file_of_the_host() {
    let place = Place::new(CALLER);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    let host = tempfile::tempdir().expect("a folder");
    let text = "on: workflow_call\njobs: {said: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";
    std::fs::write(host.path().join("echo.yml"), text).expect("written");
    house.elsewhere.link(host.path());
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    let reason = run.what.reason.unwrap_or_default();
    assert!(reason.contains("echo.yml@v1 is not there at commit ccc"), "{reason}");
    assert!(house.worker.began().is_empty());
}
