//! Records for tests, as plain as can be.

use model::{
    Conclusion, JobId, JobState, RepositoryId, RunId, RunState, StepPhase, StepRef, StepState, Timestamp,
    Trust,
};
use store::record::{Job, JobClock, NewRun, Repository, RepositoryFacts, Run, Step};

use super::viewer::{Role, Viewer};

pub(super) const RUN: RunId = RunId(7);

/// A name that nobody should be able to run.
pub(super) const HOSTILE: &str = "<script>alert('x')</script>\" onmouseover=\"alert(1)";

pub(super) fn repository() -> Repository {
    let facts = RepositoryFacts {
        forge: "github".to_owned(),
        full_name: "octo/hello".to_owned(),
        forge_id: Some(1),
        default_branch: "main".to_owned(),
        is_private: false,
        clone_url: "https://github.com/octo/hello".to_owned(),
        installation: None,
    };
    let place = facts.full_name.clone();
    Repository { id: RepositoryId(1), facts, place, first_seen: Timestamp(0) }
}

pub(super) fn run() -> Run {
    let what = NewRun {
        repository: RepositoryId(1),
        workflow_path: ".github/workflows/ci.yml".to_owned(),
        workflow_name: "CI".to_owned(),
        title: "Add a door".to_owned(),
        event: "push".to_owned(),
        reference: "refs/heads/main".to_owned(),
        sha: "0123456789abcdef".to_owned(),
        head_sha: "0123456789abcdef".to_owned(),
        head_branch: "main".to_owned(),
        pull_request: None,
        actor: "mona".to_owned(),
        trust: Trust::Trusted,
        priority: 0,
        group: None,
        cancels_group: false,
        queues_all: false,
        state: RunState::Ended,
        reason: None,
        facts: serde_json::Value::Null,
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
        id: JobId(id),
        run: RUN,
        attempt: 1,
        key: path.to_owned(),
        path: path.to_owned(),
        name: path.to_owned(),
        labels: vec!["ubuntu-latest".to_owned()],
        state: JobState::Ended,
        reason: None,
        conclusion: Some(Conclusion::Success),
        infrastructure_error: None,
        tries: 1,
        interruptions: 0,
        machine: Some("m-1".to_owned()),
        clock: JobClock {
            queued_at: Timestamp(2_000),
            leased_at: Some(Timestamp(2_100)),
            started_at: Some(Timestamp(2_200)),
            first_line_at: Some(Timestamp(2_300)),
            ended_at: Some(Timestamp(60_000)),
        },
        outputs: Vec::new(),
        environment: None,
        environment_url: None,
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
