//! Repositories that can't be fetched for a while.

use std::sync::Arc;
use std::time::Duration;

use model::{Conclusion, RunState};
use scheduler::queue::{Closed, Limits};
use scheduler::recipe::Again;

use crate::house::{House, Place, push};

const FLOW: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";

/// Waits until somebody waits to be tried again, and gives the reason.
async fn retried(house: &House) -> String {
    let look = async {
        loop {
            let waits = house.engine.waits().await.expect("asked");
            let mut reasons = waits.into_iter().map(|wait| wait.reason.to_string());
            match reasons.find(|reason| reason.starts_with("retry in ")) {
                Some(reason) => return reason,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("nobody is tried again")
}

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
    let reason = retried(&house).await;
    assert!(reason.contains("can't use ") && reason.contains("mirrors/octo"), "{reason}");
    let run = house.run_is(1, |_| true).await;
    assert_eq!((run.what.state, run.conclusion), (RunState::Queued, None));
    std::fs::remove_file(&mirrors).expect("removed");
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}
