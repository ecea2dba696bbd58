//! Further attempts.

use model::Conclusion;
use scheduler::recipe::Again;
use scheduler::worker::fake::Deed;

use crate::house::{Place, push};

const FLOW: &str = "\
on: push
jobs:
  good:
    runs-on: ubuntu-latest
    outputs: {v: '${{ steps.s.outputs.v }}'}
    steps: [{id: s, run: x}]
  bad: {needs: good, runs-on: ubuntu-latest, steps: [{run: x}]}
  after: {needs: bad, runs-on: ubuntu-latest, steps: [{run: x}]}
";

#[tokio::test]
async fn failed_jobs_run_again_with_what_needs_them_and_the_old_attempt_stays() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("bad", [Deed::End(Conclusion::Failure), Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "good:success bad:failure after:skipped");

    let attempt = house.engine.again(run.id, Again::Failed, "ada".to_owned()).await.expect("queued");
    assert_eq!(attempt, 2);
    let run = house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    assert_eq!(run.conclusion, Some(Conclusion::Success));
    assert_eq!(house.said(&run).await, "good:success bad:success after:success");
    assert_eq!(house.worker.began(), ["good", "bad", "bad", "after"]);
    let attempts = house.store.attempts(run.id).await.expect("read");
    let said: Vec<_> = attempts.iter().map(|attempt| (attempt.actor.as_str(), attempt.conclusion)).collect();
    assert_eq!(said, [("mona", Some(Conclusion::Failure)), ("ada", Some(Conclusion::Success))]);
    assert_eq!(house.store.jobs(run.id, 1).await.expect("read").len(), 3);
}

#[tokio::test]
async fn one_job_runs_again_and_so_does_everything_if_wished() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    let bad = Again::Jobs(["bad".to_owned()].into());
    house.engine.again(run.id, bad, "ada".to_owned()).await.expect("queued");
    house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    assert_eq!(house.worker.began()[3..], ["bad", "after"]);
    house.engine.again(run.id, Again::All, "ada".to_owned()).await.expect("queued");
    house.run_is(1, |run| run.attempt == 3 && run.conclusion.is_some()).await;
    assert_eq!(house.worker.began()[5..], ["good", "bad", "after"]);
}

#[tokio::test]
async fn what_still_runs_is_not_run_again() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("good", [Deed::Hang]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(1).await;
    let refused = house.engine.again(model::RunId(1), Again::All, "ada".to_owned()).await;
    assert_eq!(refused.expect_err("refused").to_string(), "run 1 has not ended yet: cancel it first");
    let missing = house.engine.again(model::RunId(9), Again::All, "ada".to_owned()).await;
    assert_eq!(missing.expect_err("refused").to_string(), "there is no run 9");
}
