//! What is forgotten.

use std::sync::Arc;
use std::time::Duration;

use model::{Conclusion, JobId, JobState, Timestamp};
use store::log::LogFolder;
use store::record::{Expansion, Receipt};
use store::retention::{Retention, RunFolder, prune};
use store::{Change, Store};

use crate::sample::{NOON, delivery, facts, job, job_ended, later, new_run, run_ended, running_run, start};
use crate::world::World;

/// What is kept for how many milliseconds.
fn keep(runs: u64, payloads: u64, deliveries: u64) -> Retention {
    let [runs, payloads, deliveries] = [runs, payloads, deliveries].map(Duration::from_millis);
    Retention { runs, payloads, deliveries }
}

/// The folder of a run.
fn files(folder: &tempfile::TempDir) -> RunFolder {
    let runs = folder.path().join("runs");
    Arc::new(move |run| runs.join(run.to_string()))
}

/// A run with one job and its log; the run ends at `later(100)`.
async fn ended_run(store: &dyn Store, logs: &LogFolder, id: u64) -> model::RunId {
    let run = running_run(store).await;
    let created = Change::JobCreated(Box::new(job(id, run, JobState::Queued)));
    store.apply(vec![created, job_ended(JobId(id), Conclusion::Failure)]).await.expect("ended");
    store.apply(vec![run_ended(run, Conclusion::Failure)]).await.expect("ended");
    drop(logs.append(JobId(id)).expect("a log"));
    run
}

pub(crate) async fn runs_that_ended_long_ago_go_with_their_logs_and_no_others(world: &impl World) {
    let store = world.open().await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let logs = LogFolder::new(folder.path());
    let old = ended_run(&*store, &logs, 1).await;
    let rerun = ended_run(&*store, &logs, 2).await;
    let again = Change::AttemptQueued {
        run: rerun,
        attempt: 2,
        actor: "hubot".to_owned(),
        again: "all".into(),
        at: later(150),
    };
    store.apply(vec![again]).await.expect("queued again");
    let running = running_run(&*store).await;
    let of_run = files(&folder);
    for run in [old, rerun, running] {
        std::fs::create_dir_all(of_run(run).join("artifacts/report")).expect("made");
    }

    let none = prune(&*store, &logs, &files(&folder), &keep(1000, 1, 1), later(1100)).await.expect("pruned");
    assert_eq!((none.runs, none.is_more), (0, false), "it ended a moment too late");
    let some = prune(&*store, &logs, &files(&folder), &keep(1000, 1, 1), later(1101)).await.expect("pruned");
    assert_eq!((some.runs, some.logs), (1, 1));
    assert_eq!(store.run(old).await.expect("read"), None);
    assert_eq!(store.job(JobId(1)).await.expect("read"), None);
    assert!(store.plan_inputs(old, 1).await.expect("read").is_empty());
    assert_eq!(logs.jobs().expect("listed"), [JobId(2)]);
    assert!(store.run(rerun).await.expect("read").is_some());
    assert_eq!([old, rerun, running].map(|run| of_run(run).exists()), [false, true, true]);
    store.forget_runs(vec![running, rerun]).await.expect("nothing to do");
    assert!(store.run(running).await.expect("read").is_some(), "a run that runs is never forgotten");

    let repository = store.run(running).await.expect("read").expect("there").what.repository;
    let next = store.create_run(new_run(repository), NOON).await.expect("created");
    assert_eq!((next.id.0, next.number), (4, 4), "numbers are not given again");
}

pub(crate) async fn bodies_of_deliveries_go_before_the_deliveries_do(world: &impl World) {
    let store = world.open().await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let logs = LogFolder::new(folder.path());
    let mut ids = Vec::new();
    for guid in ["done", "waits"] {
        let Receipt::New(id) = store.receive(delivery(guid)).await.expect("received") else { panic!() };
        ids.push(id);
    }
    store.expand(ids[0], Expansion::Ignored("nothing".to_owned()), later(0)).await.expect("done");
    let at = |ms| Timestamp(NOON.0 + ms);
    let first = prune(&*store, &logs, &files(&folder), &keep(1, 10, 100), at(50)).await.expect("pruned");
    assert_eq!(first.deliveries, 1);
    let (kept, body) = store.delivery(ids[0]).await.expect("read").expect("there");
    assert_eq!((kept.guid.as_str(), body.len()), ("done", 0));
    assert!(!store.delivery(ids[1]).await.expect("read").expect("there").1.is_empty());

    prune(&*store, &logs, &files(&folder), &keep(1, 10, 100), at(5000)).await.expect("pruned");
    assert_eq!(store.delivery(ids[0]).await.expect("read"), None);
    assert!(store.delivery(ids[1]).await.expect("read").is_some(), "nothing has come of it yet");
    let anew = store.receive(delivery("done")).await.expect("received");
    assert!(matches!(anew, Receipt::New(id) if id > ids[1]), "ids are not given again");
}

pub(crate) async fn what_a_run_came_of_stays_as_long_as_the_run(world: &impl World) {
    let store = world.open().await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let logs = LogFolder::new(folder.path());
    let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let Receipt::New(id) = store.receive(delivery("d-1")).await.expect("received") else { panic!() };
    let runs = Expansion::Runs(vec![new_run(repository)]);
    let run = store.expand(id, runs, later(0)).await.expect("a run").remove(0).id;
    start(&*store, run).await;
    store.apply(vec![run_ended(run, Conclusion::Success)]).await.expect("ended");

    let none = prune(&*store, &logs, &files(&folder), &keep(10_000, 10, 100), later(5000)).await;
    assert_eq!(none.expect("pruned").deliveries, 0);
    let kept = store.run(run).await.expect("read").expect("there");
    assert_eq!(kept.delivery, Some(id), "it may run again, and then needs its event");
    let (_, body) = store.delivery(id).await.expect("read").expect("there");
    assert_eq!(body, delivery("d-1").payload);

    let all =
        prune(&*store, &logs, &files(&folder), &keep(1000, 10, 100), later(5000)).await.expect("pruned");
    assert_eq!(all.runs, 1);
    assert_eq!(store.delivery(id).await.expect("read"), None, "nobody needs it any more");
}

pub(crate) async fn much_is_forgotten_in_several_calls(world: &impl World) {
    let store = world.open().await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let logs = LogFolder::new(folder.path());
    for id in 1..=23 {
        ended_run(&*store, &logs, id).await;
    }
    let mut calls = Vec::new();
    loop {
        let pruned =
            prune(&*store, &logs, &files(&folder), &keep(1, 1, 1), later(5000)).await.expect("pruned");
        calls.push(pruned.runs);
        if !pruned.is_more {
            break;
        }
    }
    assert_eq!(calls, [10, 10, 3]);
    assert!(logs.jobs().expect("listed").is_empty());
}
