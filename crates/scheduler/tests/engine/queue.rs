//! Who starts when, and who is stopped.

use std::sync::Arc;

use model::{Conclusion, RunState};
use scheduler::engine::EngineError;
use scheduler::queue::{Limits, Subject};
use scheduler::worker::fake::{Deed, FakeWorker};
use serde_json::json;

use crate::house::{Place, push};

const ONE: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_only_looks_is_told_when_the_engine_is_held_up() {
    let place = Place::new(ONE);
    let house = place.house().await;
    let (open, gate) = std::sync::mpsc::channel::<()>();
    // As a store does whose disk is full.
    house.engine.limit(move |_| gate.recv().unwrap_or_default()).await;
    let held_up = house.engine.waits().await.expect_err("nobody answers");
    assert!(matches!(held_up, EngineError::Busy(_)), "{held_up}");
    drop(open);
    assert!(house.engine.waits().await.expect("it goes on").is_empty());
}

#[tokio::test]
async fn no_more_runs_start_than_may_and_the_next_says_what_it_waits_for() {
    let place = Place::new(ONE);
    let sha = place.commit("a.txt", "1");
    let worker = Arc::new(FakeWorker::default());
    worker.tell("a", [Deed::Hang]);
    let house = place.house_with(worker, Limits { running_workflows: 1, ..Limits::default() }, 9).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    house.run_is(2, |run| run.what.state == RunState::Queued).await;
    let wait = house.wait().await;
    assert!(wait == "1 of at most 1 workflows are running", "{wait}");
    house.engine.cancel(Subject::Run(model::RunId(1)), "mona said so".to_owned()).await.expect("cancelled");
    let first = house.ended(1).await;
    assert_eq!(
        (first.conclusion, first.what.reason.as_deref()),
        (Some(Conclusion::Cancelled), Some("mona said so"))
    );
    house.worker.has_begun(2).await;
}

#[tokio::test]
async fn what_the_operator_prefers_starts_first() {
    let mut place = Place::new(ONE);
    let rules = json!([{"branch": "release/**", "event": "!schedule", "priority": 5}]);
    place.priorities = serde_json::from_value(rules).expect("rules");
    let sha = place.commit("a.txt", "1");
    let worker = Arc::new(FakeWorker::default());
    worker.tell("a", [Deed::Hang, Deed::Hang]);
    let house = place.house_with(worker, Limits { running_workflows: 1, ..Limits::default() }, 9).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    house.run_is(2, |run| run.what.state == RunState::Queued).await;
    let mut release = push(&sha);
    release["ref"] = json!("refs/heads/release/2");
    house.deliver("d-3", "push", &release).await;
    house.run_is(3, |run| run.what.state == RunState::Queued).await;
    house.engine.cancel(Subject::Run(model::RunId(1)), "enough".to_owned()).await.expect("cancelled");
    house.worker.has_begun(2).await;
    house.run_is(3, |run| run.what.state == RunState::Running).await;
    house.run_is(2, |run| run.what.state == RunState::Queued).await;
}

#[tokio::test]
async fn to_cancel_what_has_ended_is_told_from_what_was_never_there() {
    let place = Place::new(ONE);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    house.engine.idle().await;
    let job = house.jobs(&run).await[0].id;
    for (subject, words) in [
        (Subject::Run(run.id), "run 1 has ended already".to_owned()),
        (Subject::Job(job), format!("job {job} has ended already")),
    ] {
        let error = house.engine.cancel(subject, "enough".to_owned()).await.expect_err("it has ended");
        assert!(matches!(error, EngineError::Unfit { .. }), "{error:?}");
        assert_eq!(error.to_string(), words);
    }
    let never = Subject::Run(model::RunId(9));
    let error = house.engine.cancel(never, "enough".to_owned()).await.expect_err("there is none");
    assert!(matches!(error, EngineError::Missing(_)), "{error:?}");
    let error = house.engine.approve(run.id, "mona".to_owned()).await.expect_err("it has ended");
    assert_eq!(error.to_string(), "run 1 does not wait for approval");
}

#[tokio::test]
async fn a_job_that_no_machine_here_may_run_ends_at_once_and_is_not_tried() {
    let place = Place::new(ONE);
    let sha = place.commit("a.txt", "1");
    let worker = Arc::new(FakeWorker::default());
    let reason = "code of a fork is not run here";
    worker.tell("a", [Deed::Hang]);
    let house = place.house_with(worker, Limits::default(), 1).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    // The one machine is taken; this one needs none to be refused.
    house.worker.tell("a", [Deed::Refuse(reason.to_owned())]);
    house.deliver("d-2", "push", &push(&sha)).await;
    let run = house.ended(2).await;
    assert_eq!(run.conclusion, Some(Conclusion::Failure));
    let job = &house.jobs(&run).await[0];
    assert_eq!((job.reason.as_deref(), job.tries), (Some(reason), 0));
    assert_eq!(job.infrastructure_error, None, "no machine has failed");
    assert_eq!(house.worker.began(), ["a"]);
}

#[tokio::test]
async fn a_newer_run_of_a_group_cancels_the_one_in_progress() {
    let group = "concurrency: {group: 'x-${{ github.ref }}', cancel-in-progress: true}\n";
    let place = Place::new(&format!("{group}{ONE}"));
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("a", [Deed::Hang, Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    assert_eq!(house.ended(2).await.conclusion, Some(Conclusion::Success));
    let first = house.ended(1).await;
    assert_eq!(first.conclusion, Some(Conclusion::Cancelled));
    assert_eq!(first.what.group.as_deref(), Some("x-refs/heads/main"));
}

#[tokio::test]
async fn a_group_with_the_runs_own_id_holds_nobody_up() {
    let place = Place::new(&format!("concurrency: '${{{{ github.run_id }}}}'\n{ONE}"));
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("a", [Deed::Hang]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    house.worker.has_begun(2).await;
}

#[tokio::test]
async fn a_cancelled_job_that_waits_never_begins() {
    let place = Place::new(
        "on: push\njobs:\n  a: {runs-on: ubuntu-latest, steps: [{run: x}]}\n  b: {runs-on: ubuntu-latest, steps: [{run: x}]}\n",
    );
    let sha = place.commit("a.txt", "1");
    let worker = Arc::new(FakeWorker::default());
    worker.tell("a", [Deed::Hang]);
    worker.tell("b", [Deed::Hang]);
    let house = place.house_with(worker, Limits::default(), 1).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    house.engine.cancel(Subject::Run(model::RunId(1)), "enough".to_owned()).await.expect("cancelled");
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "a:cancelled b:cancelled");
    assert_eq!(house.worker.began().len(), 1);
}

#[tokio::test]
async fn a_called_workflow_keeps_its_group_between_its_jobs_and_no_longer() {
    let place = Place::new(
        "on: push\njobs:\n  deploy: {uses: ./.github/workflows/deploy.yml, concurrency: {group: prod, queue: max}}\n  after: {needs: deploy, if: always(), runs-on: ubuntu-latest, steps: [{run: x}]}\n",
    );
    let deploy = "on: workflow_call\njobs:\n  a: {runs-on: ubuntu-latest, steps: [{run: x}]}\n  b: {needs: a, runs-on: ubuntu-latest, steps: [{run: x}]}\n";
    let sha = place.commit(".github/workflows/deploy.yml", deploy);
    let house = place.house().await;
    let end = Deed::End(Conclusion::Success);
    house.worker.tell("b", [Deed::Hang, end.clone()]);
    house.worker.tell("after", [Deed::Hang, end]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(2).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    assert_eq!(house.wait().await, "its concurrency group `prod` is held by run 1");
    assert_eq!(house.worker.began(), ["a", "b"]);
    let run = house.run_is(1, |_| true).await;
    let job = house.jobs(&run).await.into_iter().find(|job| job.key == "b").expect("there");
    house.engine.cancel(Subject::Job(job.id), "enough".to_owned()).await.expect("cancelled");
    let second = house.ended(2).await;
    assert_eq!(second.conclusion, Some(Conclusion::Success), "although the first run still goes on");
}

#[tokio::test]
async fn no_retry_is_slept_through_however_short_the_wait_before_it() {
    let place = Place::new(ONE);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("a", [Deed::MachineFails("no memory".to_owned())]);
    // One after the other, so that nothing but the clock wakes the engine.
    for number in 1..=20 {
        house.deliver(&format!("d-{number}"), "push", &push(&sha)).await;
        let run = house.ended(number).await;
        assert_eq!(house.jobs(&run).await[0].tries, 3);
    }
}
