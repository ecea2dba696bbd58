//! A store that can't be read for a while holds up what needs it, and ends nothing; one that never will be ends it.

use std::sync::Arc;

use model::{Conclusion, JobState, RunId, RunState};
use scheduler::queue::{Closed, Limits};
use scheduler::recipe::Again;
use scheduler::worker::fake::Deed;
use store::record::Run;

use crate::faulty::Fault;
use crate::house::{House, Place, push};

const FLOW: &str =
    "on: push\njobs: {a: {runs-on: ubuntu-latest, environment: production, steps: [{run: x}]}}\n";

/// Calls that fail until they are told to pass.
const ALL: usize = usize::MAX;

fn closed() -> Limits {
    Limits { closed: Some(Closed::Draining), ..Limits::default() }
}

/// A run with its reason, after its end.
async fn failed(house: &House) -> String {
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Failure));
    run.what.reason.unwrap_or_default()
}

async fn goes_on(house: &House, state: RunState) -> Run {
    let run = house.run_is(1, |_| true).await;
    assert_eq!((run.what.state, run.conclusion), (state, None));
    run
}

/// A server whose predecessor died while the job `a` ran, and whose store meets this fault from its start.
async fn revived(place: &Place, call: &'static str, fault: Fault) -> House {
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("a", [Deed::Hang, Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    let worker = house.crash().await;
    place.faults.fail(call, fault, ALL);
    place.house_with(worker, Limits::default(), 2).await
}

#[tokio::test]
async fn runs_that_cannot_be_named_now_wait_in_their_order_and_say_why() {
    let place = Place::new(&format!("concurrency: deploy\n{FLOW}"));
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("a", [Deed::Hang]);
    place.faults.fail("variables", Fault::Passing, ALL);
    house.deliver("d-1", "push", &push(&sha)).await;
    let reason = house.retried().await;
    assert!(reason.contains("no room left for the variables of a test"), "{reason}");
    goes_on(&house, RunState::Queued).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    house.run_is(2, |_| true).await;
    place.faults.pass();
    house.worker.has_begun(1).await;
    assert_eq!(house.wait().await, "its concurrency group `deploy` is held by run 1");
}

#[tokio::test]
async fn a_run_that_cannot_be_named_now_can_be_cancelled() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    place.faults.fail("variables", Fault::Passing, ALL);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.retried().await;
    let unfit = house.engine.approve(RunId(1), "mona".to_owned()).await.expect_err("nobody knows it yet");
    assert!(unfit.to_string().ends_with("is not taken up yet: try again"), "{unfit}");
    house.engine.cancel(RunId(1).into(), "enough".to_owned()).await.expect("cancelled");
    let run = house.ended(1).await;
    assert_eq!((run.conclusion, run.what.reason.as_deref()), (Some(Conclusion::Cancelled), Some("enough")));
    assert_eq!(house.engine.waits().await.expect("asked"), []);
    house.engine.idle().await;
}

#[tokio::test]
async fn a_run_whose_plan_cannot_be_read_now_stays_queued_and_says_why_until_it_can() {
    for call in ["attempts", "repository", "variables", "open"] {
        let place = Place::new(FLOW);
        let sha = place.commit("a.txt", "1");
        let house = place.house_with(Arc::default(), closed(), 2).await;
        house.deliver("d-1", "push", &push(&sha)).await;
        house.run_is(1, |run| run.what.state == RunState::Queued && run.what.title == "Change it").await;
        house.wait().await;
        place.faults.fail(call, Fault::Passing, ALL);
        house.engine.limit(|limits| limits.closed = None).await;
        let reason = house.retried().await;
        assert!(reason.contains(&format!("no room left for the {call} of a test")), "{reason}");
        goes_on(&house, RunState::Queued).await;
        place.faults.pass();
        assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success), "{call}");
    }
}

#[tokio::test]
async fn a_job_whose_secrets_cannot_be_read_now_is_put_off_without_a_try_and_says_why() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    // The plan needs those of the repository first. More often than a machine that fails gets another.
    place.faults.fail_after("open", 1, Fault::Passing, 7);
    house.deliver("d-1", "push", &push(&sha)).await;
    let reason = house.retried().await;
    assert!(reason.contains("no room left for the open of a test"), "{reason}");
    let run = house.ended(1).await;
    assert_eq!(place.faults.pass(), 7, "the fault was not met");
    assert_eq!((run.conclusion, house.worker.began()), (Some(Conclusion::Success), vec!["a".to_owned()]));
    let job = house.jobs(&run).await.remove(0);
    assert_eq!((job.tries, job.interruptions), (1, 0));
    assert!(job.infrastructure_error.is_some_and(|why| why.contains("no room left")));
    let lines = house.logs.read(job.id).lines(0, 1).await.expect("read");
    assert_eq!(
        lines[0].line.text,
        "Once more: no room left for the open of a test; free some space on the disk of the data folder"
    );
}

#[tokio::test]
async fn a_job_that_is_put_off_can_be_cancelled() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    place.faults.fail_after("open", 1, Fault::Passing, ALL);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.retried().await;
    let run = goes_on(&house, RunState::Running).await;
    house.engine.cancel(run.id.into(), "enough".to_owned()).await.expect("cancelled");
    let run = house.ended(1).await;
    assert_eq!(
        (run.conclusion, house.said(&run).await.as_str()),
        (Some(Conclusion::Cancelled), "a:cancelled")
    );
    let log = house.logs.read(house.jobs(&run).await[0].id);
    house.crash().await;
    assert!(log.is_complete().await.expect("read"), "who follows it waits for ever");
}

#[tokio::test]
async fn a_run_that_cannot_be_read_after_a_restart_is_not_ended_and_goes_on_when_it_can() {
    for call in ["attempts", "plan_inputs", "jobs", "repository", "open", "settings"] {
        let place = Place::new(FLOW);
        let house = revived(&place, call, Fault::Passing).await;
        let reason = house.retried().await;
        assert!(reason.contains(&format!("no room left for the {call} of a test")), "{reason}");
        goes_on(&house, RunState::Running).await;
        place.faults.pass();
        let run = house.ended(1).await;
        assert_eq!((run.conclusion, &run.what.reason), (Some(Conclusion::Success), &None), "{call}");
        assert_eq!(house.worker.began(), ["a", "a"]);
        let job = house.jobs(&run).await.remove(0);
        assert_eq!((job.tries, job.interruptions), (2, 1));
    }
}

#[tokio::test]
async fn a_run_that_cannot_be_read_after_a_restart_is_cancelled_with_its_jobs_when_it_can() {
    let place = Place::new(FLOW);
    let house = revived(&place, "repository", Fault::Passing).await;
    house.retried().await;
    house.engine.cancel(RunId(1).into(), "enough".to_owned()).await.expect("cancelled");
    let reason = house.retried().await;
    assert!(reason.contains("no room left"), "{reason}");
    place.faults.pass();
    let run = house.ended(1).await;
    assert_eq!((run.conclusion, run.what.reason.as_deref()), (Some(Conclusion::Cancelled), Some("enough")));
    assert_eq!((house.jobs(&run).await[0].state, house.worker.began().len()), (JobState::Ended, 1));
}

#[tokio::test]
async fn a_run_that_runs_again_and_cannot_be_read_after_it_was_queued_runs_all_the_same() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    place.faults.fail_after("run", 1, Fault::Passing, 1);
    let attempt = house.engine.again(run.id, Again::All, "mona".to_owned()).await;
    assert_eq!(attempt.expect("queued"), 2);
    house.run_is(1, |run| run.attempt == 2 && run.conclusion == Some(Conclusion::Success)).await;
    assert_eq!(place.faults.pass(), 1, "the fault was not met");
}

#[tokio::test]
async fn a_run_whose_records_nobody_can_read_ends_with_the_reason() {
    for call in ["variables", "attempts", "open"] {
        let place = Place::new(FLOW);
        let sha = place.commit("a.txt", "1");
        let house = place.house().await;
        place.faults.fail(call, Fault::Lasting, ALL);
        house.deliver("d-1", "push", &push(&sha)).await;
        let reason = failed(&house).await;
        assert!(reason.contains(&format!("its {call} are no JSON")), "{reason}");
    }
}

#[tokio::test]
async fn a_job_whose_secrets_nobody_can_open_ends_with_the_reason() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    place.faults.fail_after("open", 1, Fault::Lasting, ALL);
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!((house.said(&run).await.as_str(), house.worker.began().len()), ("a:failure", 0));
    let reason = house.jobs(&run).await.remove(0).reason.unwrap_or_default();
    assert!(reason.contains("its open are no JSON"), "{reason}");
}

#[tokio::test]
async fn a_run_whose_records_nobody_can_read_after_a_restart_ends_with_the_reason() {
    for call in ["repository", "attempts", "plan_inputs", "jobs"] {
        let place = Place::new(FLOW);
        let house = revived(&place, call, Fault::Lasting).await;
        let reason = failed(&house).await;
        assert!(reason.contains("can't go on after a restart"), "{call}: {reason}");
        assert!(reason.contains(&format!("its {call} are no JSON")), "{reason}");
    }
}
