//! The event that a local run pretends: its payload and the `github` context.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json, json};

use super::facts::Facts;

/// An event, ready for deciding and running.
#[derive(Clone, Debug)]
pub(crate) struct LocalEvent {
    /// Its name.
    pub(crate) name: String,
    /// Its payload: what GitHub would send, as far as a folder can know it, or the user's own file.
    pub(crate) payload: Json,
}

/// Reads the payload that the user gave, or makes one from the repository.
pub(crate) fn local_event(
    name: &str,
    file: Option<&Path>,
    facts: &Facts,
    inputs: &Json,
) -> Result<LocalEvent> {
    let mut payload = match file {
        Some(path) => read_payload(path)?,
        None => synthesise(name, facts),
    };
    if let (true, Some(object)) = (name == "workflow_dispatch" && !inputs.is_null(), payload.as_object_mut())
    {
        object.insert("inputs".to_owned(), workflow::trigger::event_inputs(inputs));
    }
    Ok(LocalEvent { name: name.to_owned(), payload })
}

fn read_payload(path: &Path) -> Result<Json> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the event payload {}", path.display()))?;
    let payload: Json = serde_json::from_str(&text)
        .with_context(|| format!("the event payload {} is not JSON", path.display()))?;
    if !payload.is_object() {
        bail!("the event payload {} is not a JSON object", path.display());
    }
    Ok(payload)
}

/// A payload with the fields that workflows ask for most, true to the repository at hand.
fn synthesise(name: &str, facts: &Facts) -> Json {
    let (owner, repo) = owner_and_name(&facts.repository);
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
    let sender = json!({"login": owner, "id": 0, "type": "User"});
    let branch = facts.reference.strip_prefix("refs/heads/").unwrap_or(&facts.reference);
    let mut payload = json!({"repository": repository, "sender": sender});
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
            "action": "opened",
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
        "schedule" => json!({"schedule": null}),
        _ => json!({}),
    };
    if let (Some(into), Json::Object(fields)) = (payload.as_object_mut(), fields) {
        into.extend(fields);
    }
    payload
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

fn owner_and_name(repository: &str) -> (&str, &str) {
    repository.split_once('/').unwrap_or(("local", repository))
}

/// Ids of a run that the `github` context carries.
pub(crate) struct RunIdentity<'a> {
    /// `github.run_id`.
    pub(crate) run: model::RunId,
    /// `github.run_number`.
    pub(crate) number: u64,
    /// `github.workflow`.
    pub(crate) workflow: &'a str,
    /// Path of the workflow file in the repository.
    pub(crate) workflow_path: &'a str,
    /// `github.actor`.
    pub(crate) actor: &'a str,
    /// `github.token`, empty when there is none.
    pub(crate) token: &'a str,
}

/// The `github` context of a run; the runner adds what belongs to a job.
///
/// Fields: <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context>
pub(crate) fn github_context(event: &LocalEvent, facts: &Facts, identity: &RunIdentity<'_>) -> Json {
    let (owner, _) = owner_and_name(&facts.repository);
    let refs = event.refs(facts);
    let mut github = Map::new();
    let mut set = |key: &str, value: Json| {
        github.insert(key.to_owned(), value);
    };
    set("token", json!(identity.token));
    set("job", json!(""));
    set("ref", json!(refs.reference));
    set("sha", json!(facts.sha));
    set("repository", json!(facts.repository));
    set("repository_owner", json!(owner));
    set("repository_id", json!(payload_id(&event.payload, "/repository/id")));
    set("repository_owner_id", json!(payload_id(&event.payload, "/repository/owner/id")));
    set("repositoryUrl", json!(format!("git://github.com/{}.git", facts.repository)));
    set("run_id", json!(identity.run.to_string()));
    set("run_number", json!(identity.number.to_string()));
    set("run_attempt", json!("1"));
    set("retention_days", json!("90"));
    set("artifact_cache_size_limit", json!("10"));
    set("actor_id", json!(payload_id(&event.payload, "/sender/id")));
    set("actor", json!(identity.actor));
    set("triggering_actor", json!(identity.actor));
    set("workflow", json!(identity.workflow));
    set("head_ref", json!(refs.head_ref));
    set("base_ref", json!(refs.base_ref));
    set("event_name", json!(event.name));
    set("event", event.payload.clone());
    set("server_url", json!("https://github.com"));
    set("api_url", json!("https://api.github.com"));
    set("graphql_url", json!("https://api.github.com/graphql"));
    set("ref_name", json!(refs.name()));
    set("ref_protected", json!(false));
    set("ref_type", json!(refs.kind()));
    set("secret_source", json!("Actions"));
    let workflow_ref = format!("{}/{}@{}", facts.repository, identity.workflow_path, refs.reference);
    set("workflow_ref", json!(workflow_ref));
    set("workflow_sha", json!(facts.sha));
    Json::Object(github)
}

fn payload_id(payload: &Json, pointer: &str) -> String {
    payload.pointer(pointer).and_then(Json::as_u64).unwrap_or(0).to_string()
}

impl LocalEvent {
    /// Its refs.
    pub(crate) fn refs(&self, facts: &Facts) -> EventRefs {
        EventRefs::of(self, facts)
    }
}

/// The refs of an event, as the context shows them.
pub(crate) struct EventRefs {
    /// `github.ref`.
    pub(crate) reference: String,
    /// `github.head_ref`, empty where the event has none.
    pub(crate) head_ref: String,
    /// `github.base_ref`, empty where the event has none.
    pub(crate) base_ref: String,
}

impl EventRefs {
    fn of(event: &LocalEvent, facts: &Facts) -> EventRefs {
        let text = |pointer: &str| event.payload.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        let base_ref = text("/pull_request/base/ref").unwrap_or_default();
        let number = event.payload.pointer("/pull_request/number").and_then(Json::as_u64);
        let reference = match (event.name.as_str(), number) {
            ("pull_request", Some(number)) => format!("refs/pull/{number}/merge"),
            ("pull_request_target", Some(_)) => format!("refs/heads/{base_ref}"),
            ("push", _) => text("/ref").unwrap_or_else(|| facts.reference.clone()),
            _ => facts.reference.clone(),
        };
        EventRefs { reference, head_ref: text("/pull_request/head/ref").unwrap_or_default(), base_ref }
    }

    fn name(&self) -> &str {
        ["refs/heads/", "refs/tags/", "refs/pull/"]
            .iter()
            .find_map(|prefix| self.reference.strip_prefix(prefix))
            .unwrap_or(&self.reference)
    }

    fn kind(&self) -> &'static str {
        if self.reference.starts_with("refs/tags/") { "tag" } else { "branch" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            repository: "octo/hello".into(),
            sha: "a".repeat(40),
            reference: "refs/heads/feature/ü".into(),
            default_branch: "main".into(),
            message: "Add a thing\n\nbody".into(),
            author: "Ada".into(),
            email: "ada@example.com".into(),
            before: "b".repeat(40),
        }
    }

    fn context(event: &str) -> Json {
        let facts = facts();
        let event = local_event(event, None, &facts, &Json::Null).unwrap();
        let identity = RunIdentity {
            run: model::RunId(7),
            number: 3,
            workflow: "CI",
            workflow_path: ".github/workflows/ci.yml",
            actor: "ada",
            token: "",
        };
        github_context(&event, &facts, &identity)
    }

    #[test]
    fn a_push_has_the_ref_of_its_branch() {
        let github = context("push");
        assert_eq!(github["ref"], "refs/heads/feature/ü");
        assert_eq!(github["ref_name"], "feature/ü");
        assert_eq!(github["ref_type"], "branch");
        assert_eq!(github["event"]["head_commit"]["message"], "Add a thing\n\nbody");
        assert_eq!(github["workflow_ref"], "octo/hello/.github/workflows/ci.yml@refs/heads/feature/ü");
        assert_eq!(github["run_number"], "3");
    }

    #[test]
    fn a_pull_request_has_the_merge_ref_with_head_and_base() {
        let github = context("pull_request");
        assert_eq!(github["ref"], "refs/pull/1/merge");
        assert_eq!(github["ref_name"], "1/merge");
        assert_eq!(github["head_ref"], "feature/ü");
        assert_eq!(github["base_ref"], "main");
    }

    #[test]
    fn a_payload_that_is_not_an_object_is_refused() {
        let file = std::env::temp_dir().join(format!("hearth-payload-{}.json", std::process::id()));
        std::fs::write(&file, "[1]").unwrap();
        let error = local_event("push", Some(&file), &facts(), &Json::Null).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(error.contains("not a JSON object"), "{error}");
    }
}
