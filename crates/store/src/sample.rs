//! Records for the tests of whoever keeps something, as plain as can be. A test says what matters to it:
//! `NewRun { title, ..sample::run(repository) }`.

use model::{JobId, RepositoryId, RunId, RunState, Timestamp, Trust};
use serde_json::Value as Json;

use crate::record::{Job, NewRun, RepositoryFacts};

/// A public repository without a number.
#[must_use]
pub fn repository(full_name: &str) -> RepositoryFacts {
    RepositoryFacts {
        forge: "github".to_owned(),
        full_name: full_name.to_owned(),
        forge_id: None,
        default_branch: "main".to_owned(),
        is_private: false,
        clone_url: format!("https://github.com/{full_name}.git"),
        installation: None,
    }
}

/// A queued run that a push to `main` has caused.
#[must_use]
pub fn run(repository: RepositoryId) -> NewRun {
    NewRun {
        repository,
        workflow_path: ".github/workflows/ci.yml".to_owned(),
        workflow_name: "CI".to_owned(),
        title: "Say hello".to_owned(),
        event: "push".to_owned(),
        reference: "refs/heads/main".to_owned(),
        sha: "a".repeat(40),
        head_sha: "a".repeat(40),
        head_branch: "main".to_owned(),
        pull_request: None,
        actor: "mona".to_owned(),
        trust: Trust::Trusted,
        priority: 0,
        group: None,
        cancels_group: false,
        queues_all: false,
        state: RunState::Queued,
        reason: None,
        facts: Json::Null,
    }
}

/// A queued job of the first attempt, `build`.
#[must_use]
pub fn job(id: JobId, run: RunId) -> Job {
    Job { labels: vec!["ubuntu-latest".to_owned()], ..Job::queued(id, run, "build", Timestamp(0)) }
}
