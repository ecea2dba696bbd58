//! Runs and jobs that wait for people who never answer.

use std::time::Duration;

use model::{Conclusion, JobId, RunId, RunState, Timestamp};
use scheduler::engine::{Decision, EngineError};
use scheduler::environment::{Environment, LONGEST_WAIT_MINUTES};
use scheduler::queue::Limits;
use serde_json::Value as Json;
use store::record::Run;

use crate::environments::{FLOW, approval, by, time_passes, timed, waiting, with};
use crate::house::{House, Place, push, strangers_pull};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_job_that_nobody_lets_in_fails_after_thirty_days_and_says_so() {
    let place = Place::new(FLOW);
    let (house, job) = a_job_waits(&place, approval(&[])).await;
    let worker = house.crash().await;
    time_passes(&place, job, A_DAY * 29);
    let house = place.house_with(worker, Limits::default(), 2).await;
    waiting(&house).await;
    let worker = house.crash().await;
    time_passes(&place, job, A_DAY);

    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:failure tell:skipped");
    let reason = house.jobs(&run).await[1].reason.clone();
    assert_eq!(reason.as_deref(), Some("nobody has let it into Production within 30 days"));
    let late = house.engine.review(job, by("mona", Decision::Approve)).await;
    assert!(matches!(late, Err(EngineError::Unfit { .. })), "{late:?}");
}

#[tokio::test]
async fn a_job_that_is_asked_about_only_after_its_time_has_thirty_days_from_then_on() {
    let place = Place::new(FLOW);
    let month = || Environment { wait_minutes: LONGEST_WAIT_MINUTES, ..Environment::default() };
    let house = place.house().await;
    with(&house, month()).await;
    house.deliver("d-1", "push", &push(&place.commit("a.txt", "1"))).await;
    let job = timed(&house).await.id;
    with(&house, Environment { approval: true, ..month() }).await;
    let worker = house.crash().await;
    time_passes(&place, job, A_DAY * 31);
    let house = place.house_with(worker, Limits::default(), 2).await;
    waiting(&house).await;
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(waiting(&house).await.waits_until, None, "nor does a restart end it");
    let worker = house.crash().await;
    asked_earlier(&place, A_DAY * 30);

    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:failure tell:skipped");
    assert_eq!(house.store.settings("asked/").await.expect("read"), [], "what is over is forgotten");
}

#[tokio::test]
async fn a_job_that_waits_for_its_time_alone_is_not_given_up() {
    let place = Place::new(FLOW);
    let month = Environment { wait_minutes: LONGEST_WAIT_MINUTES, ..approval(&[]) };
    let (house, job) = a_job_waits(&place, month).await;
    house.engine.review(job, by("mona", Decision::Approve)).await.expect("let in");
    timed(&house).await;
    let worker = house.crash().await;
    time_passes(&place, job, A_DAY * 30);
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}

#[tokio::test]
async fn a_run_that_nobody_approves_is_cancelled_after_thirty_days_and_says_so() {
    let (place, pull) = a_stranger();
    let house = place.house().await;
    house.deliver("d-1", "pull_request", &pull).await;
    house.run_is(1, waits).await;
    let worker = house.crash().await;
    run_queued(&place, Timestamp::now().before(A_DAY * 29));
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.wait().await, "waits for approval");
    let worker = house.crash().await;
    run_queued(&place, Timestamp::now().before(A_DAY * 30));

    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Cancelled));
    assert_eq!(run.what.reason.as_deref(), Some("nobody has approved it within 30 days"));
    let late = house.engine.approve(RunId(1), "mona".to_owned()).await;
    assert!(matches!(late, Err(EngineError::Unfit { .. })), "{late:?}");
    assert_eq!(house.worker.began(), [""; 0]);
}

#[tokio::test]
async fn a_run_of_a_clock_that_was_set_back_has_thirty_days_by_this_clock_also_across_a_crash() {
    let (place, pull) = a_stranger();
    let house = place.house().await;
    house.deliver("d-1", "pull_request", &pull).await;
    house.run_is(1, waits).await;
    let worker = house.crash().await;
    // As it looks where the clock was a year ahead.
    run_queued(&place, Timestamp::now().after(A_DAY * 365));
    let house = place.house_with(worker, Limits::default(), 2).await;
    asked_anew(&house).await;
    let worker = house.crash().await;
    asked_earlier(&place, A_DAY * 29);
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.wait().await, "waits for approval");
    let worker = house.crash().await;
    asked_earlier(&place, A_DAY);

    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Cancelled));
    assert_eq!(house.store.settings("asked/").await.expect("read"), [], "what is over is forgotten");
}

#[tokio::test]
async fn a_job_of_a_clock_that_was_set_back_has_thirty_days_by_this_clock_also_across_a_crash() {
    let place = Place::new(FLOW);
    let (house, _) = a_job_waits(&place, approval(&[])).await;
    let worker = house.crash().await;
    let ahead = Timestamp::now().after(A_DAY * 365);
    assert_eq!(write(&place, "UPDATE jobs SET queued_at = ?1 WHERE state = 'waiting'", ahead.0), 1);
    let house = place.house_with(worker, Limits::default(), 2).await;
    asked_anew(&house).await;
    let worker = house.crash().await;
    asked_earlier(&place, A_DAY * 29);
    let house = place.house_with(worker, Limits::default(), 2).await;
    waiting(&house).await;
    let worker = house.crash().await;
    asked_earlier(&place, A_DAY);

    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:failure tell:skipped");
    assert_eq!(house.store.settings("asked/").await.expect("read"), [], "what is over is forgotten");
}

/// A job that waits to be let into `production`, which has these rules.
async fn a_job_waits(place: &Place, rules: Environment) -> (House, JobId) {
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, rules).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = waiting(&house).await.id;
    (house, job)
}

/// A repository, and the pull request of somebody whom it does not know.
fn a_stranger() -> (Place, Json) {
    let place = Place::new("on: pull_request\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n");
    let (head, base) = place.pull();
    let payload = strangers_pull(&head, &base);
    (place, payload)
}

fn waits(run: &Run) -> bool {
    run.what.state == RunState::Waiting
}

/// The run of a server that does not run was made then.
fn run_queued(place: &Place, at: Timestamp) {
    assert_eq!(write(place, "UPDATE attempts SET queued_at = ?1", at.0), 1);
}

/// Waits until the server has kept that somebody is asked since another time.
async fn asked_anew(house: &House) {
    let look = async {
        while house.store.settings("asked/").await.expect("read").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("nobody is asked anew");
}

/// Somebody is asked since so much earlier, by what a server that does not run has kept of it.
fn asked_earlier(place: &Place, time: Duration) {
    let earlier = "UPDATE settings SET value = CAST(value AS INTEGER) - ?1 WHERE key LIKE 'asked/%'";
    assert_eq!(write(place, earlier, u64::try_from(time.as_millis()).expect("some days")), 1);
}

fn write(place: &Place, statement: &str, millis: u64) -> usize {
    let database = rusqlite::Connection::open(place.data().join("hearth.db")).expect("a database");
    database.execute(statement, [millis]).expect("written")
}
