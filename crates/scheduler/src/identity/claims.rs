//! What an OIDC token says of a job, in GitHub's words.
//!
//! <https://docs.github.com/en/actions/reference/security/oidc#oidc-token-claims>

use model::Job;
use serde_json::{Map, Value as Json};

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

/// How a job says something of itself, if it has it.
type Say = fn(&Job) -> Option<String>;

/// Those that are not.
const OF_JOB: [(&str, Say); 7] = [
    ("sub", |job| Some(subject(job))),
    // Unless it asks for another.
    ("aud", |job| Some(format!("{}/{}", github(job, "server_url"), github(job, "repository_owner")))),
    ("repository_visibility", |job| {
        let is_private = job.contexts.github.pointer("/event/repository/private") != Some(&Json::Bool(false));
        Some(if is_private { "private" } else { "public" }.to_owned())
    }),
    ("job_workflow_ref", |job| Some(as_text(&job.contexts.job["workflow_ref"]))),
    ("job_workflow_sha", |job| Some(as_text(&job.contexts.job["workflow_sha"]))),
    ("runner_environment", |_| Some("self-hosted".to_owned())),
    ("environment", |job| job.environment.clone()),
];

/// Those that each token has of its own.
const OF_TOKEN: [&str; 5] = ["iss", "jti", "iat", "nbf", "exp"];

/// All that a token may say.
pub(super) fn names() -> Vec<&'static str> {
    OF_GITHUB.into_iter().chain(OF_JOB.iter().map(|(name, _)| *name)).chain(OF_TOKEN).collect()
}

/// What is true of a job for as long as it runs.
pub(super) fn of(job: &Job) -> Map<String, Json> {
    let of_github = OF_GITHUB.into_iter().map(|name| (name, Some(github(job, name))));
    let all = of_github.chain(OF_JOB.iter().map(|(name, say)| (*name, say(job))));
    all.filter_map(|(name, value)| Some((name.to_owned(), Json::from(value?)))).collect()
}

fn github(job: &Job, name: &str) -> String {
    as_text(&job.contexts.github[name])
}

/// What clouds decide by: the environment before the pull request, and that before the ref.
fn subject(job: &Job) -> String {
    let what = match &job.environment {
        // Colons separate.
        Some(environment) => format!("environment:{}", environment.replace(':', "%3A")),
        None if github(job, "event_name").starts_with("pull_request") => "pull_request".to_owned(),
        None => format!("ref:{}", github(job, "ref")),
    };
    format!("repo:{}:{what}", github(job, "repository"))
}

/// All of GitHub's claims but times are text.
fn as_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
