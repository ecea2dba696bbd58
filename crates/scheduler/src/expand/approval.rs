//! Who must be approved before code of theirs runs.

use forge::github::event::Start;
use model::RunState;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::Store;
use store::record::NewRun;

/// Which pull requests of forks wait for somebody's word.
///
/// Source: <https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/enabling-features-for-your-repository/managing-github-actions-settings-for-a-repository#controlling-changes-from-forks-to-workflows-in-public-repositories>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// Those of people who have contributed nothing yet.
    #[default]
    FirstTime,
    /// Those of everybody without write access.
    Outsiders,
    /// None.
    Never,
}

impl Approval {
    /// Makes a run wait that needs approval and has not got it.
    pub(super) async fn hold(self, run: &mut NewRun, start: &Start, store: &dyn Store) {
        if run.state != RunState::Queued || !self.needs(start) {
            return;
        }
        let Some(pull) = &start.pull_request else { return };
        // Who was approved once is not asked for again; where that can't be read, better once too often.
        let key = approved_key(run.repository, &pull.author, pull.author_id);
        if matches!(store.setting(&key).await, Ok(Some(Json::Bool(true)))) {
            return;
        }
        run.state = RunState::Waiting;
        let who = match self {
            Approval::Outsiders => "may not write to this repository",
            Approval::FirstTime | Approval::Never => "has not contributed here yet",
        };
        run.reason =
            Some(format!("{} {who}: somebody must look at the change and approve the run", pull.author));
    }

    fn needs(self, start: &Start) -> bool {
        let association = start.pull_request.as_ref().map_or("", |pull| &pull.author_association);
        let trusted = match self {
            Approval::Never => return false,
            Approval::FirstTime => ["OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR"].as_slice(),
            Approval::Outsiders => ["OWNER", "MEMBER", "COLLABORATOR"].as_slice(),
        };
        start.is_fork && !trusted.contains(&association)
    }
}

/// The setting that says that an author was approved: the person, and not whoever has their login.
pub(crate) fn approved_key(repository: model::RepositoryId, author: &str, id: Option<u64>) -> String {
    match id {
        // No login has a slash.
        Some(id) => format!("approved/{repository}/id/{id}"),
        None => format!("approved/{repository}/{}", author.to_ascii_lowercase()),
    }
}
