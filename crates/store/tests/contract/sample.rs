//! Records to put into a store.

use model::{
    Conclusion, JobId, JobResult, JobState, RepositoryId, RunId, StepPhase, StepRef, StepState, Timestamp,
    Trust,
};
use serde_json::json;
use store::record::{Job, JobClock, NewDelivery, NewRun, RepositoryFacts, Run, Step};
use store::{Change, Store, sample};

/// A moment.
pub(crate) const NOON: Timestamp = Timestamp(1_750_000_000_000);

/// So many milliseconds after it.
pub(crate) fn later(ms: u64) -> Timestamp {
    Timestamp(NOON.0 + ms)
}

pub(crate) fn delivery(guid: &str) -> NewDelivery {
    NewDelivery {
        guid: guid.to_owned(),
        event: "push".to_owned(),
        action: None,
        repository: Some("octo/hello".to_owned()),
        payload: br#"{"ref":"refs/heads/main"}"#.to_vec(),
        received_at: NOON,
    }
}

pub(crate) fn facts(full_name: &str) -> RepositoryFacts {
    let forge_id = full_name.bytes().map(|byte| u64::from(byte.to_ascii_lowercase())).sum();
    RepositoryFacts { forge_id: Some(forge_id), is_private: true, ..sample::repository(full_name) }
}

pub(crate) fn new_run(repository: RepositoryId) -> NewRun {
    NewRun {
        head_sha: "b".repeat(40),
        actor: "octocat".to_owned(),
        trust: Trust::Untrusted,
        priority: -3,
        group: Some("ci-main".to_owned()),
        cancels_group: true,
        facts: json!({"event": {"n": 1}, "z": null, "a": "ä"}),
        ..sample::run(repository)
    }
}

/// A repository with a queued run.
pub(crate) async fn queued_run(store: &dyn Store) -> Run {
    let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    store.create_run(new_run(repository), NOON).await.expect("created")
}

/// A repository with a run that runs.
pub(crate) async fn running_run(store: &dyn Store) -> RunId {
    let run = queued_run(store).await.id;
    start(store, run).await;
    run
}

/// Starts a queued run.
pub(crate) async fn start(store: &dyn Store, run: RunId) {
    let change = Change::RunStarted { run, plan: json!({"text": "jobs:"}), at: later(1) };
    store.apply(vec![change]).await.expect("started");
}

pub(crate) fn run_ended(run: RunId, conclusion: Conclusion) -> Change {
    Change::RunEnded { run, conclusion, reason: None, at: later(100) }
}

pub(crate) fn job(id: u64, run: RunId, state: JobState) -> Job {
    Job {
        path: "build (1)".to_owned(),
        name: "Build (1)".to_owned(),
        labels: vec!["group:big".to_owned(), "linux".to_owned()],
        state,
        clock: JobClock { queued_at: later(2), ..JobClock::default() },
        environment: Some("production".to_owned()),
        ..sample::job(JobId(id), run)
    }
}

/// What leads a queued job to its machine.
pub(crate) fn to_its_machine(job: JobId) -> Vec<Change> {
    vec![
        Change::JobLeasing { job, at: later(3) },
        Change::JobStarted { job, machine: "m-1".to_owned(), at: later(4) },
    ]
}

pub(crate) fn result(conclusion: Conclusion) -> JobResult {
    JobResult {
        conclusion,
        infrastructure_error: None,
        decided: None,
        outputs: vec![("version".to_owned(), "1.2".to_owned()), ("a".to_owned(), "b".to_owned())],
        environment_url: Some("https://app.test".to_owned()),
        steps: Vec::new(),
    }
}

pub(crate) fn job_ended(job: JobId, conclusion: Conclusion) -> Change {
    Change::JobEnded { job, result: result(conclusion), reason: None, at: later(50) }
}

pub(crate) fn step_ref(index: usize, phase: StepPhase) -> StepRef {
    StepRef { index, phase }
}

pub(crate) fn step(job: JobId, step: StepRef) -> Step {
    Step {
        job,
        step,
        name: format!("Step {}", step.index),
        state: StepState::Running,
        outcome: None,
        conclusion: None,
        started_at: later(5),
        ended_at: None,
        first_line: 12,
        summary: None,
    }
}
