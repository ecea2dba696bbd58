//! The payload of an event: read from the user's file, or made up.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};
use workflow::syntax::{Trigger, Workflow};

use super::super::facts::Facts;

/// Reads a payload.
pub(crate) fn read(path: &Path) -> Result<Json> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the event payload {}", path.display()))?;
    let payload: Json = serde_json::from_str(&text)
        .with_context(|| format!("the event payload {} is not JSON", path.display()))?;
    if !payload.is_object() {
        bail!("the event payload {} is not a JSON object", path.display());
    }
    Ok(payload)
}

/// A payload with the fields that workflows ask for most, true to the repository at hand. Where the event can be
/// many things (an activity, a schedule, the end of a workflow), it is one that `workflow` listens to.
pub(super) fn synthesise(name: &str, facts: &Facts, workflow: &Workflow, named: bool) -> Json {
    let triggers = || workflow.on.iter().filter(|trigger| *trigger.event.value == *name);
    let (owner, repo) = facts.repository.split_once('/').unwrap_or(("local", &facts.repository));
    let repository = json!({
        "id": 0,
        "name": repo,
        "full_name": facts.repository,
        "private": true,
        "fork": false,
        "default_branch": facts.default_branch,
        "owner": {"login": owner, "id": 0, "type": "User"},
        "html_url": format!("https://github.com/{}", facts.repository),
    });
    let sender = json!({"login": facts.actor(), "id": 0, "type": "User"});
    let branch = facts.reference.strip_prefix("refs/heads/").unwrap_or(&facts.reference);
    let fields = match name {
        "push" => json!({
            "ref": facts.reference,
            "before": facts.before,
            "after": facts.sha,
            "created": false,
            "deleted": false,
            "forced": false,
            "base_ref": null,
            "pusher": {"name": facts.author, "email": facts.email},
            "head_commit": head_commit(facts),
            "commits": [head_commit(facts)],
        }),
        "pull_request" | "pull_request_target" => json!({
            "number": 1,
            "pull_request": {
                "number": 1,
                "state": "open",
                "draft": false,
                "merged": false,
                "title": facts.message.lines().next().unwrap_or_default(),
                "body": null,
                "user": sender,
                "labels": [],
                "head": {"ref": branch, "sha": facts.sha, "repo": repository},
                "base": {"ref": facts.default_branch, "sha": facts.before, "repo": repository},
            },
        }),
        "workflow_dispatch" => json!({"ref": facts.reference, "inputs": null, "workflow": null}),
        "schedule" => {
            json!({"schedule": triggers().flat_map(|trigger| &trigger.schedule).next().map(|entry| &entry.cron.value)})
        }
        "workflow_run" => json!({
            "workflow_run": {
                "name": triggers().flat_map(|trigger| &trigger.workflows).next().map(|name| &name.value),
                "event": "push",
                "status": "completed",
                "conclusion": "success",
                "head_branch": branch,
                "head_sha": facts.sha,
            },
        }),
        "merge_group" => json!({
            "merge_group": {
                "head_ref": facts.reference,
                "head_sha": facts.sha,
                "base_ref": format!("refs/heads/{}", facts.default_branch),
            },
        }),
        _ => json!({}),
    };
    let mut payload = json!({"repository": repository, "sender": sender});
    if let (Some(into), Json::Object(fields)) = (payload.as_object_mut(), fields) {
        into.extend(activity(name, triggers(), named).map(|action| ("action".to_owned(), action.into())));
        into.extend(fields);
    }
    payload
}

/// What has happened: what the workflow asks for, or what happens first. A pull request has been opened, whatever
/// workflows that the user has not named wait for: one that cleans up after it should not run beside its tests.
fn activity<'a>(name: &str, triggers: impl Iterator<Item = &'a Trigger>, named: bool) -> Option<String> {
    let wanted: Vec<&str> =
        triggers.flat_map(|trigger| &trigger.types).map(|wanted| wanted.value.as_str()).collect();
    let usual = match name {
        "pull_request" | "pull_request_target" | "issues" => Some("opened"),
        "issue_comment" => Some("created"),
        "release" => Some("published"),
        "merge_group" => Some("checks_requested"),
        "workflow_run" => Some("completed"),
        _ => None,
    };
    let fixed = matches!(name, "pull_request" | "pull_request_target") && !named;
    let usual = usual.filter(|usual| fixed || wanted.is_empty() || wanted.contains(usual));
    usual.or(wanted.first().copied()).map(str::to_owned)
}

fn head_commit(facts: &Facts) -> Json {
    json!({
        "id": facts.sha,
        "message": facts.message,
        "distinct": true,
        "author": {"name": facts.author, "email": facts.email},
        "committer": {"name": facts.author, "email": facts.email},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_is_not_an_object_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("payload.json");
        std::fs::write(&file, "[1]").unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("not a JSON object"), "{error}");
    }
}
