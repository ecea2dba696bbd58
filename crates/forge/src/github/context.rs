//! The `github` context of a run. The runner adds what belongs to a job.
//!
//! Fields: <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context>

use serde_json::{Map, Value as Json, json};

use super::refs::{head_and_base, kind, short_name};
use crate::repository::RepositoryName;
use crate::server_url::ServerUrl;

/// All that the `github` context of a run is made of.
#[derive(Clone, Debug)]
pub struct GithubRun<'a> {
    /// `github.event_name`.
    pub event: &'a str,
    /// `github.ref`, in full; empty for a deployment of a bare commit.
    pub reference: &'a str,
    /// `github.sha`.
    pub sha: &'a str,
    /// `github.repository`.
    pub repository: &'a str,
    /// `github.run_id`.
    pub run: model::RunId,
    /// `github.run_number`: counts the runs of the workflow.
    pub number: u64,
    /// `github.run_attempt`: counts the attempts of the run, from 1.
    pub attempt: u64,
    /// The workflow.
    pub workflow: WorkflowRef<'a>,
    /// `github.actor`: who caused the event.
    pub actor: &'a str,
    /// `github.triggering_actor`: who caused this attempt.
    pub triggering_actor: &'a str,
    /// `github.token`, empty where there is none.
    pub token: &'a str,
    /// Whether the ref is protected.
    pub protected: bool,
    /// `github.retention_days`: how long artifacts are kept, and no job can have its own kept for longer.
    pub retention_days: u32,
    /// Where the repository is.
    pub addresses: &'a Addresses,
}

/// What GitHub has for [`GithubRun::retention_days`] unless somebody sets it.
/// <https://docs.github.com/en/organizations/managing-organization-settings/configuring-the-retention-period-for-github-actions-artifacts-and-logs-in-your-organization>
pub const RETENTION_DAYS: u32 = 90;

/// A workflow, by the file that it is from.
#[derive(Clone, Copy, Debug)]
pub struct WorkflowRef<'a> {
    /// `github.workflow`: its name, or else its path.
    pub name: &'a str,
    /// Path of its file in the repository.
    pub path: &'a str,
    /// The ref that the file is from.
    pub reference: &'a str,
    /// `github.workflow_sha`: the commit that the file is from.
    pub sha: &'a str,
}

/// Addresses of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The server itself.
    pub server: ServerUrl,
    /// Its REST API, where it is not at its usual place.
    pub api: Option<String>,
}

impl Addresses {
    /// `github.api_url`, without a slash at its end.
    pub fn api(&self) -> String {
        self.api.as_deref().map_or_else(|| self.server.api(), |api| api.trim_end_matches('/').to_owned())
    }

    /// `github.graphql_url`.
    pub fn graphql(&self) -> String {
        match &self.api {
            None => self.server.graphql(),
            Some(_) => {
                let api = self.api();
                // A server of one's own has both below one path.
                format!("{}/graphql", api.strip_suffix("/v3").unwrap_or(&api))
            }
        }
    }

    /// Address that git fetches a repository from.
    pub fn clone_url(&self, name: &RepositoryName) -> String {
        self.server.clone_url(name)
    }
}

/// The `github` context of a run, in which `payload` is `github.event`.
pub fn github_context(run: &GithubRun<'_>, payload: Json) -> Json {
    let owner = run.repository.split_once('/').map_or(run.repository, |(owner, _)| owner);
    let (head_ref, base_ref) = head_and_base(run.event, &payload);
    let id = |pointer: &str| json!(id_text(&payload, pointer));
    let workflow_ref = format!("{}/{}@{}", run.repository, run.workflow.path, run.workflow.reference);
    let fields = [
        ("token", json!(run.token)),
        ("job", json!("")),
        ("ref", json!(run.reference)),
        ("sha", json!(run.sha)),
        ("repository", json!(run.repository)),
        ("repository_owner", json!(owner)),
        ("repository_id", id("/repository/id")),
        ("repository_owner_id", id("/repository/owner/id")),
        ("repositoryUrl", json!(format!("git://{}/{}.git", run.addresses.server.host(), run.repository))),
        ("run_id", json!(run.run.to_string())),
        ("run_number", json!(run.number.to_string())),
        ("run_attempt", json!(run.attempt.to_string())),
        ("retention_days", json!(run.retention_days.to_string())),
        ("artifact_cache_size_limit", json!("10")),
        ("actor_id", id("/sender/id")),
        ("actor", json!(run.actor)),
        ("triggering_actor", json!(run.triggering_actor)),
        ("workflow", json!(run.workflow.name)),
        ("head_ref", json!(head_ref)),
        ("base_ref", json!(base_ref)),
        ("event_name", json!(run.event)),
        // Its place among them.
        ("event", Json::Null),
        ("server_url", json!(run.addresses.server.to_string())),
        ("api_url", json!(run.addresses.api())),
        ("graphql_url", json!(run.addresses.graphql())),
        ("ref_name", json!(short_name(run.reference))),
        ("ref_protected", json!(run.protected)),
        ("ref_type", json!(if run.reference.is_empty() { "" } else { kind(run.reference) })),
        ("secret_source", json!("Actions")),
        ("workflow_ref", json!(workflow_ref)),
        ("workflow_sha", json!(run.workflow.sha)),
    ];
    let mut context: Map<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    context.insert("event".to_owned(), payload);
    Json::Object(context)
}

fn id_text(payload: &Json, pointer: &str) -> String {
    payload.pointer(pointer).and_then(Json::as_u64).unwrap_or(0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(change: impl FnOnce(&mut GithubRun<'_>)) -> Json {
        let payload = json!({
            "repository": {"id": 12, "owner": {"id": 34}},
            "sender": {"id": 56},
            "pull_request": {"head": {"ref": "topic"}, "base": {"ref": "main"}},
        });
        let addresses = Addresses::default();
        let mut run = GithubRun {
            event: "pull_request",
            reference: "refs/pull/7/merge",
            sha: "aaaa",
            repository: "octo/hello",
            run: model::RunId(7),
            number: 3,
            attempt: 2,
            workflow: WorkflowRef {
                name: "CI",
                path: ".github/workflows/ci.yml",
                reference: "refs/heads/main",
                sha: "bbbb",
            },
            actor: "mona",
            triggering_actor: "hubot",
            token: "",
            protected: false,
            retention_days: RETENTION_DAYS,
            addresses: &addresses,
        };
        change(&mut run);
        github_context(&run, payload)
    }

    #[test]
    fn a_run_of_the_server_has_the_fields_that_github_documents() {
        let github = context(|_| {});
        for (name, value) in [
            ("ref", "refs/pull/7/merge"),
            ("ref_name", "7/merge"),
            ("ref_type", "branch"),
            ("head_ref", "topic"),
            ("base_ref", "main"),
            ("repository_owner", "octo"),
            ("repository_id", "12"),
            ("repository_owner_id", "34"),
            ("actor_id", "56"),
            ("actor", "mona"),
            ("triggering_actor", "hubot"),
            ("run_id", "7"),
            ("run_number", "3"),
            ("run_attempt", "2"),
            ("workflow_ref", "octo/hello/.github/workflows/ci.yml@refs/heads/main"),
            ("workflow_sha", "bbbb"),
            ("api_url", "https://api.github.com"),
        ] {
            assert_eq!(github[name], value, "{name}");
        }
    }

    #[test]
    fn an_api_elsewhere_has_its_graphql_beside_it() {
        let graphql = |api: &str| {
            let addresses = Addresses { api: Some(api.to_owned()), ..Addresses::default() };
            [addresses.api(), addresses.graphql()].join(" ")
        };
        assert_eq!(graphql("http://127.0.0.1:1/"), "http://127.0.0.1:1 http://127.0.0.1:1/graphql");
        assert_eq!(graphql("http://h/api/v3"), "http://h/api/v3 http://h/api/graphql");
    }

    #[test]
    fn a_bare_commit_has_no_ref() {
        let github = context(|run| run.reference = "");
        assert_eq!([&github["ref"], &github["ref_name"], &github["ref_type"]], ["", "", ""]);
    }
}
