//! Records to put into the store.

use model::{
    Annotation, AnnotationLevel, Conclusion, JobId, JobResult, RepositoryId, RunId, StepPhase, StepRef,
    StepState, Timestamp, Trust,
};
use scheduler::recipe::first_job;
use serde_json::json;
use store::record::{Job, JobClock, NewRun, RepositoryFacts, Run, Step};
use store::{Change, Store, sample as plain};

/// A moment.
pub(crate) const NOON: Timestamp = Timestamp(1_750_000_000_000);

/// So many milliseconds after it.
pub(crate) fn later(ms: u64) -> Timestamp {
    Timestamp(NOON.0 + ms)
}

pub(crate) async fn repository(store: &dyn Store, full_name: &str) -> RepositoryId {
    // Another name with the same number would be a rename.
    let forge_id = full_name.bytes().fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte));
    seen(store, full_name, forge_id).await
}

/// The repository with this number, under this name.
pub(crate) async fn seen(store: &dyn Store, full_name: &str, forge_id: u64) -> RepositoryId {
    let facts =
        RepositoryFacts { forge_id: Some(forge_id), is_private: true, ..plain::repository(full_name) };
    store.repository_seen(facts, NOON).await.unwrap()
}

pub(crate) fn new_run(repository: RepositoryId) -> NewRun {
    NewRun {
        head_sha: "b".repeat(40),
        actor: "octocat".to_owned(),
        trust: Trust::Untrusted,
        group: Some("ci-main".to_owned()),
        facts: json!({"payload": "not for everybody"}),
        ..plain::run(repository)
    }
}

/// A queued run in `octo/hello`.
pub(crate) async fn queued_run(store: &dyn Store) -> Run {
    let repository = repository(store, "octo/hello").await;
    store.create_run(new_run(repository), NOON).await.unwrap()
}

pub(crate) fn job(id: JobId, run: RunId) -> Job {
    Job {
        path: "build (1)".to_owned(),
        name: "Build (1)".to_owned(),
        labels: vec!["linux".to_owned()],
        clock: JobClock { queued_at: later(2), ..JobClock::default() },
        outputs: vec![("token".to_owned(), "not for everybody".to_owned())],
        ..plain::job(id, run)
    }
}

/// A run that has ended, with one job of one step that failed with an annotation.
pub(crate) async fn failed_run(store: &dyn Store) -> (RunId, JobId) {
    let (run, job, changes) = story(store).await;
    store.apply(changes).await.unwrap();
    (run, job)
}

/// The same run while its step runs.
pub(crate) async fn working_run(store: &dyn Store) -> (RunId, JobId) {
    let (run, job, mut changes) = story(store).await;
    changes.retain(|change| {
        use Change::{Annotated, JobEnded, RunEnded, StepEnded};
        !matches!(change, Annotated { .. } | StepEnded { .. } | JobEnded { .. } | RunEnded { .. })
    });
    store.apply(changes).await.unwrap();
    (run, job)
}

/// A queued run, and all that happens to it.
async fn story(store: &dyn Store) -> (RunId, JobId, Vec<Change>) {
    let run = queued_run(store).await.id;
    let job = job(first_job(run, 1), run);
    let id = job.id;
    let first = StepRef { index: 0, phase: StepPhase::Main };
    let step = Step {
        job: id,
        step: first,
        name: "Run make".to_owned(),
        state: StepState::Running,
        outcome: None,
        conclusion: None,
        started_at: later(2000),
        ended_at: None,
        first_line: 3,
        summary: None,
    };
    let annotation = Annotation {
        level: AnnotationLevel::Error,
        message: "it broke".to_owned(),
        title: None,
        file: Some("src/main.rs".to_owned()),
        line: Some(3),
        end_line: None,
        column: None,
        end_column: None,
        code: None,
    };
    let result = JobResult {
        conclusion: Conclusion::Failure,
        infrastructure_error: None,
        decided: None,
        outputs: Vec::new(),
        environment_url: None,
        steps: Vec::new(),
    };
    let failed = Conclusion::Failure;
    let changes = vec![
        Change::RunStarted { run, plan: json!({}), at: later(1) },
        Change::JobCreated(Box::new(job)),
        Change::JobLeasing { job: id, at: later(502) },
        Change::JobStarted { job: id, machine: "m-1".to_owned(), at: later(1502) },
        Change::StepStarted(Box::new(step)),
        Change::JobSpoke { job: id, at: later(2001) },
        Change::Annotated { job: id, annotation },
        Change::StepEnded { job: id, step: first, outcome: failed, conclusion: failed, at: later(4000) },
        Change::JobEnded { job: id, result, reason: None, at: later(5000) },
        Change::RunEnded { run, conclusion: failed, reason: None, at: later(5001) },
    ];
    (run, id, changes)
}
