//! What an OIDC token says of a job, in GitHub's words.
//!
//! <https://docs.github.com/en/actions/reference/security/oidc#oidc-token-claims>

use model::Job;
use serde_json::{Map, Value as Json};

/// All that a token may say.
pub(super) const NAMES: [&str; 31] = [
    "sub",
    "aud",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "ref",
    "sha",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "run_id",
    "run_number",
    "run_attempt",
    "actor",
    "actor_id",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "job_workflow_ref",
    "job_workflow_sha",
    "head_ref",
    "base_ref",
    "event_name",
    "ref_type",
    "ref_protected",
    "environment",
    "runner_environment",
];

/// Those that are in the `github` context by the same names.
const OF_GITHUB: [&str; 19] = [
    "ref",
    "sha",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "run_id",
    "run_number",
    "run_attempt",
    "actor",
    "actor_id",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "head_ref",
    "base_ref",
    "event_name",
    "ref_type",
    "ref_protected",
];

/// What is true of a job for as long as it runs, with the audience that it has unless it asks for another.
pub(super) fn of(job: &Job) -> Map<String, Json> {
    let github = &job.contexts.github;
    let text = |name: &str| as_text(&github[name]);
    let mut claims = Map::new();
    for name in OF_GITHUB {
        claims.insert(name.to_owned(), text(name).into());
    }
    let is_private = github.pointer("/event/repository/private") != Some(&Json::Bool(false));
    for (name, value) in [
        ("sub", subject(job)),
        ("aud", format!("{}/{}", text("server_url"), text("repository_owner"))),
        ("repository_visibility", if is_private { "private" } else { "public" }.to_owned()),
        ("job_workflow_ref", as_text(&job.contexts.job["workflow_ref"])),
        ("job_workflow_sha", as_text(&job.contexts.job["workflow_sha"])),
        ("runner_environment", "self-hosted".to_owned()),
    ] {
        claims.insert(name.to_owned(), value.into());
    }
    if let Some(environment) = &job.environment {
        claims.insert("environment".to_owned(), environment.clone().into());
    }
    claims
}

/// What clouds decide by: the environment before the pull request, and that before the ref.
fn subject(job: &Job) -> String {
    let github = |name: &str| as_text(&job.contexts.github[name]);
    let what = match &job.environment {
        // Colons separate.
        Some(environment) => format!("environment:{}", environment.replace(':', "%3A")),
        None if github("event_name").starts_with("pull_request") => "pull_request".to_owned(),
        None => format!("ref:{}", github("ref")),
    };
    format!("repo:{}:{what}", github("repository"))
}

/// All of GitHub's claims but times are text.
fn as_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
