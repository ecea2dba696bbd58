//! The refs of an event: `github.ref` and its kin.

use serde_json::Value as Json;

use crate::commit::is_commit;

/// The ref that an event is of, as far as its payload says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventRef {
    /// This one, in full (`refs/heads/main`).
    Named(String),
    /// The default branch, whatever the payload is about.
    DefaultBranch,
    /// The payload should name it, and does not.
    Unsaid,
}

impl EventRef {
    /// The column `GITHUB_REF` of
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>.
    pub fn of(event: &str, payload: &Json) -> EventRef {
        let text = |pointer: &str| text(payload, pointer);
        let named = match event {
            "push" => text("/ref").map(str::to_owned),
            "workflow_dispatch" => text("/ref").map(|name| full(name, branch)),
            "pull_request" if payload.pointer("/pull_request/merged") == Some(&Json::Bool(true)) => {
                text("/pull_request/base/ref").map(branch)
            }
            "pull_request" | "pull_request_review" | "pull_request_review_comment" => {
                let number = payload.pointer("/pull_request/number").and_then(Json::as_u64);
                number.map(|number| format!("refs/pull/{number}/merge"))
            }
            "release" => text("/release/tag_name").map(tag),
            "create" if text("/ref_type") == Some("tag") => text("/ref").map(tag),
            "create" => text("/ref").map(branch),
            "merge_group" => text("/merge_group/head_ref").map(str::to_owned),
            // It may be a tag as well; the payload does not say, so who has the repository must look.
            "deployment" | "deployment_status" => {
                text("/deployment/ref").filter(|name| !is_commit(name)).map(|name| full(name, branch))
            }
            "registry_package" => package_ref(payload),
            // Where it is called from.
            "workflow_call" => None,
            _ => return EventRef::DefaultBranch,
        };
        named.map_or(EventRef::Unsaid, EventRef::Named)
    }
}

/// `github.head_ref` and `github.base_ref`, both empty where the event has none.
pub fn head_and_base(event: &str, payload: &Json) -> (String, String) {
    let of_pull_request = |pointer: &str| match event {
        "pull_request" | "pull_request_target" => text(payload, pointer).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    (of_pull_request("/pull_request/head/ref"), of_pull_request("/pull_request/base/ref"))
}

/// `github.ref_name`: the ref without what says its kind.
pub fn short_name(reference: &str) -> &str {
    let kinds = ["refs/heads/", "refs/tags/", "refs/pull/"];
    kinds.iter().find_map(|kind| reference.strip_prefix(kind)).unwrap_or(reference)
}

/// `github.ref_type`.
pub fn kind(reference: &str) -> &'static str {
    if reference.starts_with("refs/tags/") { "tag" } else { "branch" }
}

/// The full ref of a branch.
pub fn branch(name: &str) -> String {
    format!("refs/heads/{name}")
}

/// The full ref of a tag.
pub fn tag(name: &str) -> String {
    format!("refs/tags/{name}")
}

fn full(name: &str, otherwise: fn(&str) -> String) -> String {
    if name.starts_with("refs/") { name.to_owned() } else { otherwise(name) }
}

fn package_ref(payload: &Json) -> Option<String> {
    let version = payload.pointer("/registry_package/package_version")?;
    let tagged = text(version, "/release/tag_name").map(tag);
    tagged.or_else(|| text(version, "/target_commitish").map(|name| full(name, branch)))
}

/// A text of a payload that is there and not empty.
pub(super) fn text<'a>(payload: &'a Json, pointer: &str) -> Option<&'a str> {
    payload.pointer(pointer).and_then(Json::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reference(event: &str, payload: Json) -> String {
        match EventRef::of(event, &payload) {
            EventRef::Named(reference) => reference,
            EventRef::DefaultBranch => "default".to_owned(),
            EventRef::Unsaid => "unsaid".to_owned(),
        }
    }

    #[test]
    fn each_event_has_the_ref_that_github_documents() {
        let pull = |merged: bool| json!({"pull_request": {"number": 7, "merged": merged, "head": {"ref": "topic"}, "base": {"ref": "v2"}}});
        assert_eq!(reference("push", json!({"ref": "refs/tags/v1"})), "refs/tags/v1");
        assert_eq!(reference("pull_request", pull(false)), "refs/pull/7/merge");
        assert_eq!(reference("pull_request", pull(true)), "refs/heads/v2");
        assert_eq!(reference("pull_request_review", pull(true)), "refs/pull/7/merge");
        assert_eq!(reference("release", json!({"release": {"tag_name": "v9"}})), "refs/tags/v9");
        assert_eq!(reference("create", json!({"ref": "v3", "ref_type": "tag"})), "refs/tags/v3");
        assert_eq!(reference("create", json!({"ref": "dev", "ref_type": "branch"})), "refs/heads/dev");
        assert_eq!(reference("workflow_dispatch", json!({"ref": "refs/tags/x"})), "refs/tags/x");
        assert_eq!(reference("workflow_dispatch", json!({"ref": "x"})), "refs/heads/x");
        let queue = json!({"merge_group": {"head_ref": "refs/heads/gh-readonly-queue/main/pr-1"}});
        assert_eq!(reference("merge_group", queue), "refs/heads/gh-readonly-queue/main/pr-1");
        assert_eq!(reference("deployment", json!({"deployment": {"ref": "topic"}})), "refs/heads/topic");
        for name in [
            "schedule",
            "issues",
            "issue_comment",
            "workflow_run",
            "repository_dispatch",
            "delete",
            "pull_request_target",
        ] {
            assert_eq!(reference(name, json!({"ref": "gone"})), "default", "{name}");
        }
    }

    #[test]
    fn a_package_is_of_its_releases_tag_or_of_its_branch() {
        let package = |version: Json| json!({"registry_package": {"package_version": version}});
        let tagged = package(json!({"target_commitish": "main", "release": {"tag_name": "v1"}}));
        assert_eq!(reference("registry_package", tagged), "refs/tags/v1");
        assert_eq!(
            reference("registry_package", package(json!({"target_commitish": "main"}))),
            "refs/heads/main"
        );
        assert_eq!(reference("registry_package", package(json!({"target_commitish": ""}))), "unsaid");
    }

    #[test]
    fn only_pull_requests_have_a_head_and_a_base() {
        let payload = json!({"pull_request": {"head": {"ref": "topic"}, "base": {"ref": "main"}}});
        let both = ("topic".to_owned(), "main".to_owned());
        assert_eq!(head_and_base("pull_request", &payload), both);
        assert_eq!(head_and_base("pull_request_target", &payload), both);
        assert_eq!(head_and_base("pull_request_review", &payload), Default::default());
    }

    #[test]
    fn the_name_of_a_ref_is_what_people_call_it() {
        assert_eq!(
            ["refs/heads/a/b", "refs/tags/v1", "refs/pull/1/merge"].map(short_name),
            ["a/b", "v1", "1/merge"]
        );
        assert_eq!(
            ["refs/heads/a/b", "refs/tags/v1", "refs/pull/1/merge"].map(kind),
            ["branch", "tag", "branch"]
        );
    }
}
