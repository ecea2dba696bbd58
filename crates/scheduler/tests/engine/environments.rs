//! Jobs that somebody, or time, must let into their environments.

use std::time::Duration;

use model::{Conclusion, JobId, JobState, RunId, RunState, Timestamp};
use scheduler::engine::{Decision, EngineError, Review};
use scheduler::environment::{self, Environment};
use scheduler::queue::Limits;
use scheduler::recipe::Again;
use scheduler::worker::fake::Deed;
use serde_json::json;
use store::Change;
use store::record::{Job, Run, Scope, Variable};

use crate::house::{House, Place, push, repository};

pub(crate) const FLOW: &str = "\
on: push
jobs:
  build: {runs-on: ubuntu-latest, steps: [{run: x}]}
  deploy: {needs: build, runs-on: ubuntu-latest, environment: Production, steps: [{run: x}]}
  tell: {needs: deploy, runs-on: ubuntu-latest, steps: [{run: x}]}
";

/// Gives `production` these rules, whether or not somebody has heard of the repository.
pub(crate) async fn with(house: &House, rules: Environment) {
    let rules = Environment { name: "production".to_owned(), ..rules };
    assert_eq!(rules.check(), Ok(()));
    house.store.apply(vec![environment::set("octo/hello", &rules)]).await.expect("written");
}

pub(crate) fn approval(reviewers: &[&str]) -> Environment {
    let reviewers = reviewers.iter().map(|name| (*name).to_owned()).collect();
    Environment { approval: true, reviewers, ..Environment::default() }
}

/// The job `deploy`, once it waits.
pub(crate) async fn waiting(house: &House) -> Job {
    assert_eq!(house.wait().await, "waits for approval to use the environment `Production`");
    let run = house.run_is(1, |_| true).await;
    let jobs = house.jobs(&run).await;
    let job = jobs.into_iter().find(|job| job.key == "deploy").expect("there");
    assert_eq!((job.state, job.environment.as_deref()), (JobState::Waiting, Some("Production")));
    job
}

pub(crate) fn by(actor: &str, decision: Decision) -> Review {
    Review { actor: actor.to_owned(), decision, comment: Some("looks good".to_owned()) }
}

#[tokio::test]
async fn a_job_waits_until_it_is_let_in_and_only_then_has_the_secrets_of_its_environment() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, approval(&["mona"])).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = waiting(&house).await;
    let refused = house.engine.review(job.id, by("eve", Decision::Approve)).await;
    assert!(matches!(refused, Err(EngineError::Forbidden(_))), "{refused:?}");
    assert_eq!(house.worker.began(), ["build"]);
    house.engine.review(job.id, by("mona", Decision::Approve)).await.expect("let in");
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:success tell:success");
    assert!(!house.worker.secrets_of("build").contains(&"PRODUCTION_KEY".to_owned()));
    assert!(house.worker.secrets_of("deploy").contains(&"PRODUCTION_KEY".to_owned()));
    assert!(!house.worker.secrets_of("tell").contains(&"PRODUCTION_KEY".to_owned()));
    let lines = house.logs.read(job.id).lines(0, 1).await.expect("read");
    assert_eq!(lines[0].line.text, "mona has let this job into the environment Production: looks good");
    let again = house.engine.review(job.id, by("mona", Decision::Approve)).await;
    assert!(matches!(again, Err(EngineError::Unfit { .. })), "{again:?}");
}

/// Two jobs that must be let in, and one that follows both.
const TWO: &str = "\
on: push
jobs:
  eu: {runs-on: ubuntu-latest, environment: production, steps: [{run: x}]}
  us: {runs-on: ubuntu-latest, environment: production, steps: [{run: x}]}
  tell: {needs: [eu, us], runs-on: ubuntu-latest, steps: [{run: x}]}
";

#[tokio::test]
async fn a_run_waits_while_all_of_its_jobs_wait_for_people_also_across_a_crash() {
    let place = Place::new(TWO);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, approval(&[])).await;
    house.worker.tell("eu", [Deed::Hang]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let is = |state: RunState| move |run: &Run| run.what.state == state;
    let run = house.run_is(1, is(RunState::Waiting)).await;
    let all = "2 jobs wait before their environments";
    assert_eq!(run.what.reason.as_deref(), Some(all));
    let asked = house.engine.approve(run.id, "mona".to_owned()).await;
    let why = asked.expect_err("it was approved already").to_string();
    assert_eq!(why, "run 1 does not wait for approval itself: jobs of it do");
    let worker = house.crash().await;

    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.run_is(1, is(RunState::Waiting)).await;
    let [eu, us] = &house.jobs(&run).await[..] else { panic!("two jobs") };
    house.engine.review(eu.id, by("mona", Decision::Approve)).await.expect("let in");
    let run = house.run_is(1, is(RunState::Running)).await;
    assert_eq!(run.what.reason, None);
    house.worker.has_begun(1).await;
    house.engine.cancel(eu.id.into(), "enough".to_owned()).await.expect("cancelled");
    let run = house.run_is(1, is(RunState::Waiting)).await;
    assert_eq!(run.what.reason.as_deref(), Some("us waits to be let into production"));
    house.engine.review(us.id, by("mona", Decision::Reject)).await.expect("rejected");
    let run = house.ended(1).await;
    assert_eq!(run.what.reason, None, "its jobs say what became of it");
    assert_eq!(house.said(&run).await, "eu:cancelled us:failure tell:skipped");
}

#[tokio::test]
async fn a_job_that_is_not_let_in_has_failed_and_says_whose_word_it_was() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, approval(&[])).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = waiting(&house).await;
    house.engine.review(job.id, by("eve", Decision::Reject)).await.expect("rejected");
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:failure tell:skipped");
    let reason = house.jobs(&run).await[1].reason.clone();
    assert_eq!(reason.as_deref(), Some("eve has not let it into Production: looks good"));
}

#[tokio::test]
async fn a_job_from_a_branch_that_may_not_deploy_fails_with_the_rule() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, Environment { branches: vec!["release/**".to_owned()], ..approval(&[]) }).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:failure tell:skipped");
    let reason = house.jobs(&run).await[1].reason.clone().unwrap_or_default();
    assert!(reason.starts_with("Branch \"main\" is not allowed to deploy to production"), "{reason}");
}

#[tokio::test]
async fn nobodys_word_lets_a_job_in_from_a_branch_that_may_not_deploy_by_now() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, approval(&[])).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = waiting(&house).await;
    with(&house, Environment { branches: vec!["release/**".to_owned()], ..approval(&[]) }).await;
    house.engine.review(job.id, by("mona", Decision::Approve)).await.expect("heard");
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:failure tell:skipped");
}

#[tokio::test]
async fn a_deployed_tag_that_is_named_as_a_branch_may_not_deploy_as_that_branch() {
    let place = Place::new(&FLOW.replace("on: push", "on: deployment"));
    place.commit_aside("refs/heads/release/1");
    let branch = place.commit_aside("refs/heads/release/2");
    let tagged = place.commit_aside("refs/tags/release/1");
    let house = place.house().await;
    with(&house, Environment { branches: vec!["release/**".to_owned()], ..Environment::default() }).await;
    let deployment = |name: &str, sha: &str| {
        json!({
            "action": "created", "repository": repository(), "sender": {"login": "eve", "id": 4},
            "deployment": {"ref": name, "sha": sha, "environment": "production"},
        })
    };
    house.deliver("d-1", "deployment", &deployment("release/1", &tagged)).await;
    let run = house.ended(1).await;
    assert_eq!(run.what.reference, "refs/tags/release/1");
    assert_eq!(house.said(&run).await, "build:success deploy:failure tell:skipped");
    // Nor does a name help that has been another's since.
    house.deliver("d-2", "deployment", &deployment("release/2", &tagged)).await;
    assert_eq!(house.ended(2).await.what.reference, "");
    house.deliver("d-3", "deployment", &deployment("release/2", &branch)).await;
    let run = house.ended(3).await;
    assert_eq!(run.what.reference, "refs/heads/release/2");
    assert_eq!(house.said(&run).await, "build:success deploy:success tell:success");
}

#[tokio::test]
async fn an_environment_without_rules_lets_every_job_in() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    let scope = Scope::Environment("octo/hello".to_owned(), "production".to_owned());
    let (name, value) = ("REGION".to_owned(), "eu".to_owned());
    let variable = Variable { scope, name, value, updated_at: Timestamp(1) };
    house.store.apply(vec![Change::VariableSet(variable)]).await.expect("written");
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Success));
    assert_eq!(house.jobs(&run).await[1].environment.as_deref(), Some("Production"));
}

#[tokio::test]
async fn a_server_that_dies_while_a_job_waits_still_asks_for_it_and_one_that_was_let_in_stays_in() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, approval(&[])).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    waiting(&house).await;
    let worker = house.crash().await;

    let house = place.house_with(worker, Limits { jobs: Some(0), ..Limits::default() }, 2).await;
    let job = waiting(&house).await;
    house.engine.review(job.id, by("mona", Decision::Approve)).await.expect("let in");
    let worker = house.crash().await;

    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:success tell:success");
    assert_eq!(house.worker.began(), ["build", "deploy", "tell"]);
    let lines = house.logs.read(job.id).lines(0, 1).await.expect("read");
    assert_eq!(lines[0].line.text, "mona has let this job into the environment Production: looks good");
}

/// The job `deploy`, once it waits for its time to come.
pub(crate) async fn timed(house: &House) -> Job {
    let why = house.wait().await;
    let run = house.run_is(1, |run| run.what.state == RunState::Waiting).await;
    let jobs = house.jobs(&run).await;
    let job = jobs.into_iter().find(|job| job.key == "deploy").expect("there");
    assert_eq!(job.state, JobState::Waiting);
    let reason = job.reason.clone().unwrap_or_default();
    let (before, time) = (reason.strip_suffix(" before it uses Production"), "waits until 2");
    assert!(
        before.is_some_and(|before| before.starts_with(time) && why.starts_with(before)),
        "{reason}, {why}"
    );
    assert_eq!(run.what.reason, Some(format!("deploy {reason}")));
    job
}

fn half_an_hour() -> Environment {
    Environment { wait_minutes: 30, ..Environment::default() }
}

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);

#[tokio::test]
async fn a_job_waits_as_long_as_its_environment_says_across_crashes_and_begins_then() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, half_an_hour()).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let before = timed(&house).await;
    assert_eq!(before.waits_until, Some(before.clock.queued_at.after(HALF_AN_HOUR)));
    let asked = house.engine.review(before.id, by("mona", Decision::Approve)).await;
    assert!(matches!(asked, Err(EngineError::Unfit { .. })), "nobody is asked: {asked:?}");
    let worker = house.crash().await;

    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(timed(&house).await, before, "it does not begin anew");
    // The time comes while no server runs.
    let worker = house.crash().await;
    let came = Timestamp::now();
    an_hour_passes(&place, before.id);
    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:success tell:success");
    let job = house.jobs(&run).await.remove(1);
    assert_eq!((job.waits_until, job.reason), (None, None));
    assert!(job.clock.queued_at >= came, "it waits for a machine only from then on");
}

/// Makes a job of a server that does not run an hour older.
fn an_hour_passes(place: &Place, job: JobId) {
    time_passes(place, job, Duration::from_secs(60 * 60));
}

/// Makes a job of a server that does not run so much older.
pub(crate) fn time_passes(place: &Place, job: JobId, time: Duration) {
    let database = rusqlite::Connection::open(place.data().join("hearth.db")).expect("a database");
    let older = "UPDATE jobs SET queued_at = queued_at - ?2, waits_until = waits_until - ?2 WHERE id = ?1";
    let millis = u64::try_from(time.as_millis()).expect("some days");
    assert_eq!(database.execute(older, [job.0, millis]).expect("written"), 1);
}

/// Waits until a job waits for this time, or for nobody's.
async fn waits_until(house: &House, job: JobId, until: Option<Timestamp>) {
    let look = async {
        while house.store.job(job).await.expect("read").expect("there").waits_until != until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(60), look).await;
    assert!(looked.is_ok(), "{:?}", house.store.job(job).await);
}

#[tokio::test]
async fn a_job_whose_time_has_come_waits_for_the_approval_that_was_asked_for_meanwhile() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, half_an_hour()).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = timed(&house).await;
    with(&house, Environment { approval: true, ..half_an_hour() }).await;
    let worker = house.crash().await;
    an_hour_passes(&place, job.id);
    let house = place.house_with(worker, Limits::default(), 2).await;
    let asked = waiting(&house).await;
    assert_eq!(asked.waits_until, None);
    assert_eq!(asked.reason.as_deref(), Some("waits to be let into Production"));
    assert_eq!(house.worker.began(), ["build"]);
    house.engine.review(job.id, by("mona", Decision::Approve)).await.expect("let in");
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}

#[tokio::test]
async fn a_job_whose_time_has_come_waits_on_where_the_wait_is_longer_by_now() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, half_an_hour()).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = timed(&house).await;
    with(&house, Environment { wait_minutes: 90, ..Environment::default() }).await;
    let worker = house.crash().await;
    an_hour_passes(&place, job.id);
    let house = place.house_with(worker, Limits::default(), 2).await;
    waits_until(&house, job.id, Some(job.clock.queued_at.after(HALF_AN_HOUR))).await;
    timed(&house).await;
    assert_eq!(house.worker.began(), ["build"]);
}

#[tokio::test]
async fn a_job_that_was_let_in_before_its_time_is_not_asked_about_again_and_its_log_says_by_whom() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, Environment { approval: true, ..half_an_hour() }).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = waiting(&house).await;
    house.engine.review(job.id, by("mona", Decision::Approve)).await.expect("let in");
    timed(&house).await;
    let worker = house.crash().await;
    an_hour_passes(&place, job.id);
    let house = place.house_with(worker, Limits::default(), 2).await;
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:success tell:success");
    let lines = house.logs.read(job.id).lines(0, 1).await.expect("read");
    assert_eq!(lines[0].line.text, "mona has let this job into the environment Production: looks good");
    assert_eq!(house.store.settings("let-in/").await.expect("read"), [], "what is over is forgotten");
}

#[tokio::test]
async fn a_clock_that_was_set_back_lets_no_job_in_before_it_has_waited() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, half_an_hour()).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = timed(&house).await;
    // As a time looks that was set by a clock that was a month ahead.
    let until = Some(Timestamp::now().after(Duration::from_secs(31 * 24 * 60 * 60)));
    house
        .store
        .apply(vec![Change::JobDelayed { job: job.id, until, reason: "later".to_owned() }])
        .await
        .expect("written");
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    waits_until(&house, job.id, job.waits_until).await;
    timed(&house).await;
    assert_eq!(house.worker.began(), ["build"]);
}

#[tokio::test]
async fn a_job_that_waits_for_its_time_can_be_cancelled() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, half_an_hour()).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = timed(&house).await;
    house.engine.cancel(job.id.into(), "mona".to_owned()).await.expect("cancelled");
    let run = house.ended(1).await;
    assert_eq!(house.said(&run).await, "build:success deploy:cancelled tell:skipped");
}

#[tokio::test]
async fn an_approval_and_a_wait_must_both_be_over() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, Environment { approval: true, ..half_an_hour() }).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = waiting(&house).await;
    house.engine.review(job.id, by("mona", Decision::Approve)).await.expect("let in");
    let before = timed(&house).await;
    assert_eq!(before.waits_until, Some(job.clock.queued_at.after(HALF_AN_HOUR)), "an approval is no delay");
    let again = house.engine.review(job.id, by("mona", Decision::Approve)).await;
    assert!(matches!(again, Err(EngineError::Unfit { .. })), "{again:?}");
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(timed(&house).await, before, "and nobody is asked again");
    // Rules that are taken away hold nobody.
    house.store.apply(vec![environment::remove("octo/hello", "production")]).await.expect("written");
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}

#[tokio::test]
async fn who_has_caused_a_run_does_not_let_its_jobs_in_where_that_is_said() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, Environment { prevent_self_review: true, ..approval(&[]) }).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let job = waiting(&house).await;
    for own in ["mona", "@Mona"] {
        let refused = house.engine.review(job.id, by(own, Decision::Approve)).await;
        let why = refused.expect_err("own word").to_string();
        assert_eq!(why, format!("{own} has caused run 1, and Production takes somebody else's word for it"));
    }
    house.engine.review(job.id, by("mona", Decision::Reject)).await.expect("who may end it may reject it");
    house.ended(1).await;
    house.engine.again(RunId(1), Again::Failed, "@ada".to_owned()).await.expect("queued");
    let run = house.run_is(1, |run| run.attempt == 2 && run.what.state == RunState::Waiting).await;
    let job = house.jobs(&run).await.into_iter().find(|job| job.key == "deploy").expect("there");
    for own in ["ada", "mona"] {
        let refused = house.engine.review(job.id, by(own, Decision::Approve)).await;
        assert!(matches!(refused, Err(EngineError::Forbidden(_))), "{refused:?}");
    }
    house.engine.review(job.id, by("@hubot", Decision::Approve)).await.expect("let in");
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}

#[tokio::test]
async fn rules_that_were_taken_away_while_a_server_was_down_hold_nobody() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    with(&house, approval(&[])).await;
    house.deliver("d-1", "push", &push(&sha)).await;
    waiting(&house).await;
    house.store.apply(vec![environment::remove("octo/hello", "PRODUCTION")]).await.expect("written");
    let worker = house.crash().await;
    let house = place.house_with(worker, Limits::default(), 2).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
}
