//! Runs and their attempts.

use model::{Conclusion, DeliveryId, JobState, RepositoryId, RunId, RunState, Trust};
use serde_json::json;
use store::query::RunFilter;
use store::record::PlanInput;
use store::{Change, Store, StoreError};

use crate::sample::{NOON, facts, job, later, new_run, queued_run, run_ended, running_run, start};
use crate::world::World;

pub(crate) async fn runs_are_numbered_by_workflow_file_of_their_repository(world: &impl World) {
    let store = world.open().await;
    let hello = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let other = store.repository_seen(facts("octo/other"), NOON).await.expect("seen");
    let mut release = new_run(hello);
    release.workflow_path = ".github/workflows/release.yml".to_owned();
    let mut numbers = Vec::new();
    for what in [new_run(hello), new_run(hello), release, new_run(other), new_run(hello)] {
        let made = store.create_run(what.clone(), NOON).await.expect("created");
        assert_eq!(store.run(made.id).await.expect("read"), Some(made.clone()));
        assert_eq!(made.what, what);
        numbers.push((made.id.0, made.number));
    }
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 1), (4, 1), (5, 3)]);
}

pub(crate) async fn a_run_goes_its_way_and_no_other(world: &impl World) {
    let store = world.open().await;
    let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let mut waiting = new_run(repository);
    waiting.state = RunState::Waiting;
    waiting.reason = Some("a fork that nobody has approved yet".to_owned());
    let run = store.create_run(waiting, NOON).await.expect("created").id;
    let started = || Change::RunStarted { run, plan: json!({"p": 1}), at: later(2) };

    refused(&*store, started(), "attempt 1 of run 1 can't become running: it is waiting").await;
    let named = || Change::RunNamed {
        run,
        title: "Deploy 1".to_owned(),
        group: Some("deploy-1".to_owned()),
        cancels_group: true,
        queues_all: false,
    };
    store.apply(vec![named()]).await.expect("named");
    store.apply(vec![Change::RunQueued { run }]).await.expect("approved");
    let queued = store.run(run).await.expect("read").expect("there");
    assert_eq!((queued.what.state, queued.what.reason), (RunState::Queued, None));
    assert_eq!((queued.what.title.as_str(), queued.what.group.as_deref()), ("Deploy 1", Some("deploy-1")));
    assert_eq!((queued.what.cancels_group, queued.what.queues_all), (true, false));
    refused(&*store, Change::RunQueued { run }, "attempt 1 of run 1 can't become queued: it is queued").await;
    store.apply(vec![started()]).await.expect("started");
    refused(&*store, started(), "attempt 1 of run 1 can't become running: it is running").await;
    refused(&*store, named(), "attempt 1 of run 1 can't become named: it is running").await;
    store.apply(vec![run_ended(run, Conclusion::Failure)]).await.expect("ended");
    refused(
        &*store,
        run_ended(run, Conclusion::Success),
        "attempt 1 of run 1 can't become ended: it is ended",
    )
    .await;

    let ended = store.run(run).await.expect("read").expect("there");
    assert_eq!((ended.what.state, ended.conclusion), (RunState::Ended, Some(Conclusion::Failure)));
    assert_eq!((ended.started_at, ended.ended_at), (Some(later(2)), Some(later(100))));
    let attempts = store.attempts(run).await.expect("read");
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].plan, Some(json!({"p": 1})));
    assert_eq!(attempts[0].actor, "octocat");
}

async fn refused(store: &dyn Store, change: Change, why: &str) {
    let refused = store.apply(vec![change]).await.expect_err("illegal");
    assert!(matches!(refused, StoreError::Illegal { .. }), "{refused}");
    assert_eq!(refused.to_string(), why);
}

pub(crate) async fn a_new_attempt_leaves_the_old_one_as_it_ended(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    let again = |attempt| Change::AttemptQueued {
        run,
        attempt,
        actor: "hubot".to_owned(),
        again: json!("failed"),
        at: later(200),
    };
    refused(&*store, again(2), "attempt 1 of run 1 can't become attempt 2: it is running").await;
    store.apply(vec![run_ended(run, Conclusion::Failure)]).await.expect("ended");
    refused(&*store, again(3), "run 1 can't become attempt 3: it is at attempt 1").await;
    let first = store.attempts(run).await.expect("read").remove(0);
    store.apply(vec![again(2)]).await.expect("queued again");

    let attempts = store.attempts(run).await.expect("read");
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[0], first);
    assert_eq!((attempts[1].actor.as_str(), &attempts[1].again), ("hubot", &Some(json!("failed"))));
    let now = store.run(run).await.expect("read").expect("there");
    assert_eq!((now.attempt, now.what.state, now.conclusion), (2, RunState::Queued, None));
    assert_eq!((now.queued_at, now.created_at), (later(200), NOON));
    assert_eq!((now.started_at, now.ended_at), (None, None));
    start(&*store, run).await;
    assert_eq!(store.attempts(run).await.expect("read")[0], first);
}

/// State and reason of a run.
async fn stands(store: &dyn Store, run: RunId) -> (RunState, Option<String>) {
    let run = store.run(run).await.expect("read").expect("there");
    (run.what.state, run.what.reason)
}

pub(crate) async fn a_run_waits_for_people_in_its_midst_and_goes_on(world: &impl World) {
    let store = world.open().await;
    let queued = queued_run(&*store).await.id;
    let held = |run| Change::RunHeld { run, reason: "deploy waits".to_owned() };
    let resumed = |run| Change::RunResumed { run };
    refused(&*store, held(queued), "attempt 1 of run 1 can't become waiting: it is queued").await;
    refused(&*store, resumed(queued), "attempt 1 of run 1 can't become running: it is queued").await;

    let run = running_run(&*store).await;
    store.apply(vec![held(run)]).await.expect("held");
    assert_eq!(stands(&*store, run).await, (RunState::Waiting, Some("deploy waits".to_owned())));
    let asked = RunFilter { state: Some(RunState::Waiting), ..RunFilter::default() };
    assert_eq!(store.runs(&asked, 10).await.expect("read").len(), 1);
    refused(&*store, Change::RunQueued { run }, "attempt 1 of run 2 can't become queued: it is waiting")
        .await;
    let started = Change::RunStarted { run, plan: json!({}), at: later(2) };
    refused(&*store, started, "attempt 1 of run 2 can't become running: it is waiting").await;
    let next = job(41, run, JobState::Waiting);
    store.apply(vec![Change::JobCreated(Box::new(next))]).await.expect("a further job that waits");
    store.apply(vec![resumed(run)]).await.expect("goes on");
    assert_eq!(stands(&*store, run).await, (RunState::Running, None));

    store.apply(vec![held(run), run_ended(run, Conclusion::Failure)]).await.expect("ended");
    assert_eq!(stands(&*store, run).await, (RunState::Ended, None), "what it waited for is not why it ended");
}

pub(crate) async fn a_run_that_is_cancelled_while_it_waits_says_so_to_its_end(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    let held = || Change::RunHeld { run, reason: "deploy waits".to_owned() };
    let cancelled = Change::RunCancelled { run, reason: "octocat cancelled it".to_owned() };
    store.apply(vec![held(), cancelled]).await.expect("cancelled");
    assert_eq!(store.plan_inputs(run, 1).await.expect("read"), [PlanInput::Cancelled]);
    // What runs `always()` may have to be let in again.
    store.apply(vec![Change::RunResumed { run }, held()]).await.expect("goes on, and waits again");
    let said = Some("octocat cancelled it".to_owned());
    assert_eq!(stands(&*store, run).await, (RunState::Waiting, said.clone()));
    store.apply(vec![run_ended(run, Conclusion::Cancelled)]).await.expect("ended");
    assert_eq!(stands(&*store, run).await, (RunState::Ended, said));
}

pub(crate) async fn a_cancelled_run_tells_its_plan_only_while_it_runs(world: &impl World) {
    let store = world.open().await;
    let queued = queued_run(&*store).await.id;
    let cancel = |run| Change::RunCancelled { run, reason: "octocat cancelled it".to_owned() };
    let end = run_ended(queued, Conclusion::Cancelled);
    store.apply(vec![cancel(queued), end]).await.expect("cancelled");
    assert_eq!(store.plan_inputs(queued, 1).await.expect("read"), []);
    let ended = store.run(queued).await.expect("read").expect("there");
    assert_eq!(ended.what.reason.as_deref(), Some("octocat cancelled it"));

    let running = running_run(&*store).await;
    store.apply(vec![cancel(running)]).await.expect("cancelled");
    assert_eq!(store.plan_inputs(running, 1).await.expect("read"), [PlanInput::Cancelled]);
    let still = store.run(running).await.expect("read").expect("there");
    assert_eq!(still.what.state, RunState::Running);
    refused(&*store, cancel(queued), "attempt 1 of run 1 can't become cancelled: it is ended").await;
}

pub(crate) async fn runs_are_found_by_what_is_asked_newest_first(world: &impl World) {
    let store = world.open().await;
    let hello = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let other = store.repository_seen(facts("octo/other"), NOON).await.expect("seen");
    // Each run differs from the first in one thing.
    let mut kinds = vec![new_run(hello); 9];
    kinds[1].repository = other;
    kinds[2].workflow_path = "w.yml".to_owned();
    kinds[3].head_branch = "topic".to_owned();
    kinds[4].event = "release".to_owned();
    kinds[5].actor = "hubot".to_owned();
    kinds[6].sha = "c".repeat(40);
    kinds[7].head_sha = "c".repeat(40);
    kinds[8].pull_request = Some(5);
    kinds[8].trust = Trust::Trusted;
    for kind in kinds {
        store.create_run(kind, NOON).await.expect("created");
    }
    start(&*store, RunId(1)).await;
    store.apply(vec![run_ended(RunId(2), Conclusion::Cancelled)]).await.expect("ended");

    let text = |text: &str| Some(text.to_owned());
    let all = RunFilter::default;
    found(&*store, all(), &[9, 8, 7, 6, 5, 4, 3, 2, 1]).await;
    found(&*store, RunFilter { repository: Some(other), ..all() }, &[2]).await;
    found(&*store, RunFilter { repository: Some(RepositoryId(99)), ..all() }, &[]).await;
    found(&*store, RunFilter { workflow_path: text("w.yml"), ..all() }, &[3]).await;
    found(&*store, RunFilter { branch: text("topic"), ..all() }, &[4]).await;
    found(&*store, RunFilter { event: text("release"), ..all() }, &[5]).await;
    found(&*store, RunFilter { actor: text("hubot"), ..all() }, &[6]).await;
    found(&*store, RunFilter { sha: Some("c".repeat(40)), ..all() }, &[8, 7]).await;
    found(&*store, RunFilter { pull_request: Some(5), ..all() }, &[9]).await;
    found(&*store, RunFilter { state: Some(RunState::Running), ..all() }, &[1]).await;
    found(&*store, RunFilter { state: Some(RunState::Ended), ..all() }, &[2]).await;
    found(&*store, RunFilter { conclusion: Some(Conclusion::Cancelled), ..all() }, &[2]).await;
    found(&*store, RunFilter { before: Some(RunId(3)), ..all() }, &[2, 1]).await;
    found(&*store, RunFilter { delivery: Some(DeliveryId(1)), ..all() }, &[]).await;
    let both =
        RunFilter { repository: Some(hello), sha: Some("c".repeat(40)), before: Some(RunId(8)), ..all() };
    found(&*store, both, &[7]).await;
    assert_eq!(store.runs(&all(), 2).await.expect("read").len(), 2);
}

async fn found(store: &dyn Store, filter: RunFilter, ids: &[u64]) {
    let found = store.runs(&filter, 100).await.expect("read");
    assert_eq!(found.iter().map(|run| run.id.0).collect::<Vec<_>>(), ids, "{filter:?}");
}

pub(crate) async fn unfinished_runs_are_those_that_have_not_ended(world: &impl World) {
    let store = world.open().await;
    let (queued, running, ended) =
        (queued_run(&*store).await.id, running_run(&*store).await, running_run(&*store).await);
    store.apply(vec![run_ended(ended, Conclusion::Success)]).await.expect("ended");
    let unfinished = store.unfinished_runs().await.expect("read");
    assert_eq!(unfinished.iter().map(|run| run.id).collect::<Vec<_>>(), [queued, running]);
}

pub(crate) async fn a_workflow_file_that_can_not_be_read_makes_a_run_that_failed(world: &impl World) {
    let store = world.open().await;
    let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let mut broken = new_run(repository);
    broken.state = RunState::Ended;
    broken.reason = Some("line 3: no such key".to_owned());
    let made = store.create_run(broken, later(1)).await.expect("created");
    assert_eq!(made.conclusion, Some(Conclusion::Failure));
    assert_eq!(made.ended_at, Some(later(1)));
    assert_eq!(store.run(made.id).await.expect("read"), Some(made));
    assert!(store.unfinished_runs().await.expect("read").is_empty());
}

pub(crate) async fn what_was_reported_last_is_what_is_remembered(world: &impl World) {
    let store = world.open().await;
    let run = queued_run(&*store).await.id;
    assert_eq!(store.reported(run).await.expect("read"), None);
    for sent in [json!({"check": 1}), json!({"check": 2})] {
        store.apply(vec![Change::Reported { run, sent: sent.clone() }]).await.expect("reported");
        assert_eq!(store.reported(run).await.expect("read"), Some(sent));
    }
}

pub(crate) async fn what_was_not_announced_is_found_for_each_attempt(world: &impl World) {
    let store = world.open().await;
    let mut waiting = new_run(store.repository_seen(facts("octo/hello"), NOON).await.expect("seen"));
    waiting.state = RunState::Waiting;
    store.create_run(waiting, NOON).await.expect("created");
    let run = running_run(&*store).await;
    let found = async || {
        let found = store.unannounced(None, 10).await.expect("read");
        found
            .into_iter()
            .map(|(attempt, told)| (attempt.run, attempt.attempt, attempt.state, told))
            .collect::<Vec<_>>()
    };
    assert_eq!(found().await, [(run, 1, RunState::Running, RunState::Waiting)]);
    let announced = |attempt, state| vec![Change::Announced { run, attempt, state }];
    // That it waits in its midst is nobody's news, and does not hide that it has begun.
    store.apply(vec![Change::RunHeld { run, reason: "deploy waits".into() }]).await.expect("held");
    assert_eq!(found().await, [(run, 1, RunState::Waiting, RunState::Waiting)]);
    store.apply(announced(1, RunState::Running)).await.expect("announced");
    assert_eq!(found().await, []);
    store.apply(vec![Change::RunResumed { run }]).await.expect("goes on");
    assert_eq!(found().await, []);
    store.apply(vec![run_ended(run, Conclusion::Success)]).await.expect("ended");
    let again =
        Change::AttemptQueued { run, attempt: 2, actor: "ada".into(), again: json!("all"), at: later(9) };
    store.apply(vec![again]).await.expect("queued");
    // The end of the first attempt is still to be told when the second one is there.
    let first = (run, 1, RunState::Ended, RunState::Running);
    assert_eq!(found().await, [first, (run, 2, RunState::Queued, RunState::Waiting)]);
    let behind = async |after| {
        let found = store.unannounced(Some(after), 1).await.expect("read");
        found.into_iter().map(|(attempt, _)| (attempt.run, attempt.attempt)).collect::<Vec<_>>()
    };
    assert_eq!(behind((RunId(1), 7)).await, [(run, 1)]);
    assert_eq!(behind((run, 1)).await, [(run, 2)]);
    assert_eq!(behind((run, 2)).await, []);
    store.apply(announced(2, RunState::Queued)).await.expect("announced");
    assert_eq!(found().await, [first]);
    let none = store.apply(announced(3, RunState::Queued)).await.expect_err("missing").to_string();
    assert_eq!(none, format!("there is no attempt 3 of run {run}"));
}

pub(crate) async fn what_is_missing_is_said_to_be(world: &impl World) {
    let store = world.open().await;
    let run = RunId(77);
    assert_eq!(store.run(run).await.expect("read"), None);
    let none = store.apply(vec![Change::RunQueued { run }]).await.expect_err("missing");
    assert_eq!(none.to_string(), "there is no run 77");
    let none = store.create_run(new_run(RepositoryId(9)), NOON).await.expect_err("missing");
    assert_eq!(none.to_string(), "there is no repository 9");
}
