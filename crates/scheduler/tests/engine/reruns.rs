//! Further attempts.

use model::{Conclusion, DeliveryState, JobId, RunId, RunState, Timestamp};
use scheduler::recipe::Again;
use scheduler::worker::fake::Deed;
use serde_json::{Value as Json, json};
use store::record::{Delivery, Expansion, NewDelivery, NewRun, Receipt, Run};
use store::{Change, SqliteStore, Store};

use crate::house::{House, Place, push, repository};

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
async fn a_job_that_is_not_run_again_leads_to_the_one_that_ran() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("bad", [Deed::End(Conclusion::Failure)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let first = house.jobs(&house.ended(1).await).await;
    for attempt in 2..=3 {
        house.engine.again(RunId(1), Again::Failed, "ada".to_owned()).await.expect("queued");
        let run = house.run_is(1, |run| run.attempt == attempt && run.conclusion.is_some()).await;
        let [good, bad, after] = &house.jobs(&run).await[..] else { panic!("three jobs") };
        assert_eq!((good.taken_from, good.ran_as()), (Some(first[0].id), first[0].id), "attempt {attempt}");
        assert_eq!((bad.taken_from, after.taken_from), (None, None), "this one ran, and that one never did");
    }
}

const ASKS: &str = "\
on: push
jobs:
  good:
    runs-on: ubuntu-latest
    outputs: {v: '${{ steps.s.outputs.v }}'}
    steps: [{id: s, run: x}]
  bad: {needs: good, if: needs.good.outputs.v == '7', runs-on: ubuntu-latest, steps: [{run: x}]}
";

#[tokio::test]
async fn what_a_job_gave_is_there_in_every_later_attempt() {
    let place = Place::new(ASKS);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("good", [Deed::Output("v".to_owned(), "7".to_owned())]);
    house.worker.tell("bad", [Deed::End(Conclusion::Failure)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    for attempt in 2..=4 {
        house.engine.again(RunId(1), Again::Failed, "ada".to_owned()).await.expect("queued");
        let run = house.run_is(1, |run| run.attempt == attempt && run.conclusion.is_some()).await;
        assert_eq!(house.said(&run).await, "good:success bad:failure", "attempt {attempt}");
        assert_eq!(house.jobs(&run).await[0].outputs, [("v".to_owned(), "7".to_owned())]);
    }
    assert_eq!(house.worker.began(), ["good", "bad", "bad", "bad", "bad"]);
}

const SAME_KEY: &str = "\
on: push
jobs:
  build: {runs-on: ubuntu-latest, steps: [{run: x}]}
  call: {uses: ./.github/workflows/lib.yml}
";

/// A library whose job has the same key as one of its caller's, and is skipped.
const LIB: &str = "\
on: workflow_call
jobs:
  build: {if: false, runs-on: ubuntu-latest, steps: [{run: x}]}
";

#[tokio::test]
async fn a_failed_job_runs_again_though_a_skipped_one_of_a_called_workflow_has_its_key() {
    let place = Place::new(SAME_KEY);
    let sha = place.commit(".github/workflows/lib.yml", LIB);
    let house = place.house().await;
    house.worker.tell("build", [Deed::End(Conclusion::Failure)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    let paths = |jobs: Vec<store::record::Job>| jobs.into_iter().map(|job| job.path).collect::<Vec<_>>();
    assert_eq!(paths(house.jobs(&run).await), ["build", "call/build"]);
    house.engine.again(RunId(1), Again::Failed, "ada".to_owned()).await.expect("queued");
    let run = house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    assert_eq!((run.conclusion, house.worker.began().len()), (Some(Conclusion::Failure), 2));
}

/// A call whose output can't be had of what its job has given at first.
const CALLS: &str = "\
on: push
jobs:
  other: {runs-on: ubuntu-latest, steps: [{run: x}]}
  call: {uses: ./.github/workflows/lib.yml}
";
const GIVES: &str = "\
on:
  workflow_call: {outputs: {o: {value: '${{ fromJSON(jobs.x.outputs.v).k }}'}}}
jobs:
  x: {runs-on: ubuntu-latest, outputs: {v: '${{ steps.s.outputs.v }}'}, steps: [{id: s, run: x}]}
";

#[tokio::test]
async fn a_call_that_failed_by_itself_runs_again_with_its_jobs_whichever_of_them_is_named() {
    for again in
        [Again::Jobs(["call/x".to_owned()].into()), Again::Jobs(["call".to_owned()].into()), Again::Failed]
    {
        let place = Place::new(CALLS);
        let sha = place.commit(".github/workflows/lib.yml", GIVES);
        let house = place.house().await;
        let gives = |value: &str| Deed::Output("v".to_owned(), value.to_owned());
        house.worker.tell("x", [gives("no json"), gives(r#"{"k": 1}"#)]);
        house.deliver("d-1", "push", &push(&sha)).await;
        assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Failure));
        house.engine.again(RunId(1), again.clone(), "ada".to_owned()).await.expect("queued");
        let run = house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
        assert_eq!(run.conclusion, Some(Conclusion::Success), "{again:?}");
        assert_eq!(house.worker.began()[2..], ["x"], "{again:?}");
    }
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
async fn a_run_whose_event_was_forgotten_fails_with_a_plain_sentence_and_runs_nothing() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    let what = NewRun { state: RunState::Queued, ..run.what };
    house.crash().await;

    // As earlier versions left them: of one the whole delivery was forgotten, of the other the body.
    let store = SqliteStore::open(&place.data()).expect("a store");
    store.create_run(what.clone(), Timestamp::now()).await.expect("created");
    let bare = NewDelivery {
        guid: "d-2".to_owned(),
        event: "push".to_owned(),
        action: None,
        repository: None,
        payload: Vec::new(),
        received_at: Timestamp::now(),
    };
    let Receipt::New(id) = store.receive(bare).await.expect("received") else { panic!("it is new") };
    store.expand(id, Expansion::Runs(vec![what]), Timestamp::now()).await.expect("created");
    drop(store);

    let house = place.house().await;
    for run in [2, 3] {
        let run = house.ended(run).await;
        assert_eq!(run.conclusion, Some(Conclusion::Failure), "run {}", run.id);
        let reason = "the push event that this run is for was forgotten; start a new run instead of this one";
        assert_eq!(run.what.reason.as_deref(), Some(reason), "run {}", run.id);
    }
    assert!(house.worker.began().is_empty(), "none may run without its event");
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

/// The App that the server is, as payloads have it.
fn own_app() -> Json {
    json!({"id": 5, "client_id": "Iv1.abc"})
}

/// As if check run 70 showed the first job, 71 the second, and so on.
async fn shown(house: &House, run: &Run) -> Vec<JobId> {
    let jobs: Vec<JobId> = house.jobs(run).await.iter().map(|job| job.id).collect();
    let check = |(place, job): (usize, &JobId)| {
        (job.to_string(), json!({"id": 70 + place, "print": "", "annotations": 0}))
    };
    let checks: serde_json::Map<String, Json> = jobs.iter().enumerate().map(check).collect();
    let sent = json!({"checks": checks, "status": null});
    house.store.apply(vec![Change::Reported { run: run.id, sent }]).await.expect("reported");
    jobs
}

/// The button of a check run was pressed.
fn pressed(check: u64, job: JobId, sha: &str) -> Json {
    json!({
        "action": "requested_action", "requested_action": {"identifier": "rerun"},
        "check_run": {
            "id": check, "external_id": job.to_string(), "head_sha": sha, "app": own_app(),
            "check_suite": {"id": 9},
        },
        "repository": repository(), "sender": {"login": "ada", "id": 4},
    })
}

/// What has become of a delivery, once something has.
async fn became(house: &House, guid: &str) -> Delivery {
    let look = async {
        loop {
            let deliveries = house.store.deliveries(None, 10).await.expect("read");
            match deliveries.into_iter().find(|delivery| delivery.guid == guid && delivery.tries > 0) {
                Some(delivery) => return delivery,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), look).await.expect("nothing becomes of it")
}

#[tokio::test]
async fn the_button_of_a_check_runs_its_job_again_once() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("bad", [Deed::End(Conclusion::Failure), Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let jobs = shown(&house, &house.ended(1).await).await;
    let again = pressed(71, jobs[1], &sha);
    house.deliver("d-2", "check_run", &again).await;
    let run = house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    assert_eq!(house.said(&run).await, "good:success bad:success after:success");
    assert_eq!(house.worker.began(), ["good", "bad", "bad", "after"]);
    assert_eq!(house.store.attempts(run.id).await.expect("read")[1].actor, "ada");
    let done = became(&house, "d-2").await;
    assert_eq!(done.state, DeliveryState::Expanded);
    assert_eq!(done.reason.as_deref(), Some("run 1 runs again, as attempt 2"));
    // GitHub sends it again.
    house.deliver("d-2", "check_run", &again).await;
    // Somebody says that it was another check.
    house.deliver("d-3", "check_run", &pressed(70, jobs[1], &sha)).await;
    assert_eq!(became(&house, "d-3").await.state, DeliveryState::Ignored);
    house.engine.idle().await;
    assert_eq!(house.store.run(RunId(1)).await.expect("read").expect("there").attempt, 2);
}

#[tokio::test]
async fn a_button_that_is_pressed_while_other_jobs_run_waits_for_them() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("bad", [Deed::Hang]);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.worker.has_begun(2).await;
    let run = house.store.run(RunId(1)).await.expect("read").expect("there");
    let jobs = shown(&house, &run).await;
    house.deliver("d-2", "check_run", &pressed(70, jobs[0], &sha)).await;
    let waiting = became(&house, "d-2").await;
    assert_eq!(waiting.state, DeliveryState::Received);
    assert_eq!(waiting.reason.as_deref(), Some("run 1 has not ended yet"));
}

#[tokio::test]
async fn all_checks_of_a_suite_run_again() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    shown(&house, &house.ended(1).await).await;
    let again = json!({
        "action": "rerequested", "check_suite": {"id": 9, "head_sha": sha, "app": own_app()},
        "repository": repository(), "sender": {"login": "ada", "id": 4},
    });
    house.deliver("d-2", "check_suite", &again).await;
    house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    assert_eq!(house.worker.began()[3..], ["good", "bad", "after"]);
}

#[tokio::test]
async fn checks_of_others_start_workflows_and_own_ones_do_not() {
    let place = Place::new("on: check_run\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n");
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    let completed = |app: Json| {
        json!({
            "action": "completed", "check_run": {"id": 7, "external_id": "", "head_sha": sha, "app": app},
            "repository": repository(), "sender": {"login": "ada", "id": 4},
        })
    };
    house.deliver("d-1", "check_run", &completed(own_app())).await;
    assert_eq!(became(&house, "d-1").await.state, DeliveryState::Ignored);
    house.deliver("d-2", "check_run", &completed(json!({"id": 6, "client_id": "Iv1.other"}))).await;
    assert_eq!(house.ended(1).await.what.event, "check_run");
}
