//! Records for tests, as plain as can be.

use model::{
    Conclusion, JobId, JobState, RepositoryId, RunId, RunState, StepPhase, StepRef, StepState, Timestamp,
};
use store::record::{Job, JobClock, NewRun, Repository, Run, Step};
use store::sample;

use super::viewer::{Role, Viewer};

pub(super) const RUN: RunId = RunId(7);

/// A name that nobody should be able to run.
pub(super) const HOSTILE: &str = "<script>alert('x')</script>\" onmouseover=\"alert(1)";

pub(super) fn repository() -> Repository {
    let facts = sample::repository("octo/hello");
    let place = facts.full_name.clone();
    Repository { id: RepositoryId(1), facts, place, first_seen: Timestamp(0) }
}

pub(super) fn run() -> Run {
    let what = NewRun {
        title: "Add a door".to_owned(),
        sha: "0123456789abcdef".to_owned(),
        head_sha: "0123456789abcdef".to_owned(),
        state: RunState::Ended,
        ..sample::run(RepositoryId(1))
    };
    Run {
        id: RUN,
        number: 42,
        delivery: None,
        what,
        attempt: 1,
        conclusion: Some(Conclusion::Success),
        created_at: Timestamp(1_000),
        queued_at: Timestamp(1_000),
        started_at: Some(Timestamp(2_000)),
        ended_at: Some(Timestamp(62_000)),
    }
}

pub(super) fn job(id: u64, path: &str) -> Job {
    Job {
        key: path.to_owned(),
        path: path.to_owned(),
        name: path.to_owned(),
        state: JobState::Ended,
        conclusion: Some(Conclusion::Success),
        tries: 1,
        machine: Some("m-1".to_owned()),
        clock: JobClock {
            queued_at: Timestamp(2_000),
            retried_at: None,
            leased_at: Some(Timestamp(2_100)),
            started_at: Some(Timestamp(2_200)),
            first_line_at: Some(Timestamp(2_300)),
            ended_at: Some(Timestamp(60_000)),
        },
        ..sample::job(JobId(id), RUN)
    }
}

pub(super) fn step(job: JobId, name: &str) -> Step {
    Step {
        job,
        step: StepRef { index: 0, phase: StepPhase::Main },
        name: name.to_owned(),
        state: StepState::Ended,
        outcome: Some(Conclusion::Success),
        conclusion: Some(Conclusion::Success),
        started_at: Timestamp(2_300),
        ended_at: Some(Timestamp(50_000)),
        first_line: 3,
        summary: None,
    }
}

pub(super) fn viewer(role: Role) -> Viewer {
    Viewer { name: "mona".to_owned(), role, csrf: Some("not-guessed".to_owned()) }
}
