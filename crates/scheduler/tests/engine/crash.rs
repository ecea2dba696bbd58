//! Servers that die.

use model::{Conclusion, DeliveryState, RunId};
use scheduler::queue::{Closed, Limits, Subject};
use scheduler::recipe::Again;
use scheduler::worker::fake::Deed;

use crate::house::{Place, push};

const FLOW: &str = "\
on: push
jobs:
  first: {runs-on: ubuntu-latest, steps: [{run: x}]}
  second: {needs: first, runs-on: ubuntu-latest, steps: [{run: x}]}
  third: {needs: second, runs-on: ubuntu-latest, steps: [{run: x}]}
";

#[tokio::test]
async fn the_next_life_goes_on_where_the_last_one_stopped_and_runs_the_interrupted_job_once_more() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("second", [Deed::Hang, Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(2).await;
    let worker = house.crash().await;

    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Success));
    assert_eq!(house.worker.began(), ["first", "second", "second", "third"]);
    let jobs = house.jobs(&run).await;
    let second = jobs.iter().find(|job| job.key == "second").expect("there");
    assert_eq!((second.tries, second.interruptions), (2, 1));
}

#[tokio::test]
async fn a_job_that_is_interrupted_twice_has_failed_and_says_why() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let mut house = place.house().await;
    house.worker.tell("second", [Deed::Hang]);
    house.deliver("d-1", "push", &push(&sha)).await;
    for begun in [2, 3] {
        house.worker.has_begun(begun).await;
        let worker = house.crash().await;
        house = place.house_with(worker, Limits::default(), 2).await;
    }
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "first:success second:failure third:skipped");
    let jobs = house.jobs(&run).await;
    let reason = jobs[1].reason.clone().unwrap_or_default();
    assert!(reason.contains("the server stopped while it ran"), "{reason}");
}

#[tokio::test]
async fn a_job_is_given_back_as_often_as_the_server_is_stopped_and_that_is_no_try() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let mut house = place.house().await;
    house.worker.tell("second", [Deed::Hang, Deed::Hang, Deed::Hang, Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    for begun in [2, 3, 4] {
        house.worker.has_begun(begun).await;
        house.engine.limit(|limits: &mut Limits| limits.closed = Some(Closed::Draining)).await;
        house.engine.hand_back().await;
        let worker = house.crash().await;
        house = place.house_with(worker, Limits::default(), 2).await;
    }
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "first:success second:success third:success");
    let second = &house.jobs(&run).await[1];
    assert_eq!((second.tries, second.interruptions), (1, 0));
    assert!(house.logs.read(second.id).is_complete().await.expect("read"));
}

#[tokio::test]
async fn a_job_with_a_failed_step_is_not_given_back_to_succeed_later() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("first", [Deed::FailAndHang, Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    house.engine.limit(|limits: &mut Limits| limits.closed = Some(Closed::Draining)).await;
    house.engine.hand_back().await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "first:failure second:skipped third:skipped");
    let first = &house.jobs(&run).await[0];
    assert!(house.logs.read(first.id).is_complete().await.expect("read"));
}

#[tokio::test]
async fn a_job_whose_machine_dies_as_the_server_is_stopped_runs_in_the_next_life() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("first", [Deed::DieWhenCancelled, Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    house.engine.limit(|limits: &mut Limits| limits.closed = Some(Closed::Draining)).await;
    house.engine.hand_back().await;
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "first:success second:success third:success");
}

#[tokio::test]
async fn the_log_of_a_job_that_is_cancelled_before_its_next_try_has_an_end() {
    for is_handed_back in [false, true] {
        let place = Place::new(FLOW);
        let sha = place.commit("a.txt", "1");
        let house = place.house().await;
        house.worker.tell("first", [Deed::Hang]);
        house.deliver("d-1", "push", &push(&sha)).await;
        house.worker.has_begun(1).await;
        if is_handed_back {
            house.engine.limit(|limits: &mut Limits| limits.closed = Some(Closed::Draining)).await;
            house.engine.hand_back().await;
        }
        let worker = house.crash().await;

        let closed = Limits { closed: Some(Closed::Draining), ..Limits::default() };
        let house = place.house_with(worker, closed, 2).await;
        let run = house.run_is(1, |_| true).await;
        let first = house.jobs(&run).await[0].id;
        assert!(!house.logs.read(first).is_complete().await.expect("read"), "its next try may write to it");
        house.engine.cancel(Subject::Job(first), "enough".to_owned()).await.expect("cancelled");
        let run = house.ended(1).await;
        assert_eq!(house.said(&run).await, "first:cancelled second:skipped third:skipped");
        let log = house.logs.read(first);
        house.crash().await;
        assert!(log.is_complete().await.expect("read"), "who follows it waits for ever");
    }
}

#[tokio::test]
async fn who_was_cancelled_is_not_given_back() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("first", [Deed::Hang]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    house.engine.cancel(Subject::Run(RunId(1)), "enough".to_owned()).await.expect("cancelled");
    house.engine.limit(|limits: &mut Limits| limits.closed = Some(Closed::Draining)).await;
    house.engine.hand_back().await;
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Cancelled));
    assert_eq!(house.worker.began(), ["first"]);
}

#[tokio::test]
async fn a_delivery_that_nobody_has_looked_at_is_not_lost() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    // The crash comes before the intake hears of it, or in the middle of its work.
    house.deliver("d-1", "push", &push(&sha)).await;
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
    let (delivery, _) = house.store.delivery(model::DeliveryId(1)).await.expect("read").expect("there");
    assert_eq!(delivery.state, DeliveryState::Expanded);
    assert_eq!(house.store.run(model::RunId(2)).await.expect("read"), None);
}

#[tokio::test]
async fn after_a_crash_a_group_still_belongs_to_the_run_that_had_started() {
    let flow = "concurrency: deploy\non: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";
    let place = Place::new(flow);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("a", [Deed::End(Conclusion::Success), Deed::Hang, Deed::Hang]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    house.worker.has_begun(2).await;
    // It has the lower id, and waits for the group.
    house.engine.again(RunId(1), Again::All, "mona".to_owned()).await.expect("queued");
    let worker = house.crash().await;

    let house = place.house_with(worker, Limits::default(), 2).await;
    house.worker.has_begun(3).await;
    assert_eq!(house.wait().await, "its concurrency group `deploy` is held by run 2");
}
