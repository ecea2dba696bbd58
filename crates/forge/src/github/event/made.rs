//! Payloads of events that happen here and not at GitHub. [`super::read()`] reads them like the others.

mod workflow_run;

use serde_json::{Value as Json, json};

use crate::repository::RepositoryRef;
use crate::server_url::ServerUrl;

pub use workflow_run::{FollowedRun, workflow_run};

/// What payloads say of a repository, for one of which no webhook has told more.
pub fn repository(repository: &RepositoryRef, server: &ServerUrl) -> Json {
    let name = &repository.name;
    json!({
        "id": repository.id,
        "name": name.name(),
        "full_name": name.as_str(),
        "private": repository.private,
        "fork": repository.fork,
        "default_branch": repository.default_branch,
        "owner": {"login": name.owner()},
        "html_url": format!("{server}/{name}"),
        "clone_url": server.clone_url(name),
    })
}

/// Of `schedule`: the time of this expression has come, in this time zone. `repository` is what the last webhook said of
/// it.
pub fn schedule(repository: &Json, actor: &str, cron: &str, timezone: Option<&str>) -> Json {
    json!({"schedule": cron, "timezone": timezone, "repository": repository, "sender": {"login": actor}})
}

/// Of `workflow_dispatch`: somebody starts a workflow by hand, on this ref.
pub fn workflow_dispatch(
    repository: &Json,
    actor: &str,
    reference: &str,
    workflow: &str,
    inputs: &Json,
) -> Json {
    json!({
        "ref": reference,
        "workflow": workflow,
        "inputs": inputs,
        "repository": repository,
        "sender": {"login": actor},
    })
}

/// Of `repository_dispatch`: something happened elsewhere, of a type that workflows may listen to.
pub fn repository_dispatch(repository: &Json, actor: &str, event_type: &str, client_payload: &Json) -> Json {
    json!({
        "action": event_type,
        "branch": repository["default_branch"],
        "client_payload": client_payload,
        "repository": repository,
        "sender": {"login": actor},
    })
}
