//! The refs of an event: `github.ref` and its kin.

use serde_json::Value as Json;

use super::super::facts::Facts;
use super::LocalEvent;

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
    /// The column `GITHUB_REF` of
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>.
    pub(super) fn of(event: &LocalEvent, facts: &Facts) -> EventRefs {
        let of_pull_request = |pointer: &str| match event.name.as_str() {
            "pull_request" | "pull_request_target" => event.text(pointer).unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        EventRefs {
            reference: reference(event, facts),
            head_ref: of_pull_request("/pull_request/head/ref"),
            base_ref: of_pull_request("/pull_request/base/ref"),
        }
    }

    /// `github.ref_name`.
    pub(crate) fn name(&self) -> &str {
        ["refs/heads/", "refs/tags/", "refs/pull/"]
            .iter()
            .find_map(|prefix| self.reference.strip_prefix(prefix))
            .unwrap_or(&self.reference)
    }

    /// `github.ref_type`.
    pub(crate) fn kind(&self) -> &'static str {
        if self.reference.starts_with("refs/tags/") { "tag" } else { "branch" }
    }
}

fn reference(event: &LocalEvent, facts: &Facts) -> String {
    let head = |branch: &str| format!("refs/heads/{branch}");
    let tag = |tag: &str| format!("refs/tags/{tag}");
    let own = || facts.reference.clone();
    match event.name.as_str() {
        "push" => event.text("/ref").map_or_else(own, str::to_owned),
        // These run where they are told to; without a payload that is here.
        "workflow_dispatch" => match event.text("/ref") {
            Some(full) if full.starts_with("refs/") => full.to_owned(),
            Some(branch) => head(branch),
            None => own(),
        },
        "pull_request" if event.payload.pointer("/pull_request/merged") == Some(&Json::Bool(true)) => {
            event.text("/pull_request/base/ref").map_or_else(own, head)
        }
        "pull_request" | "pull_request_review" | "pull_request_review_comment" => {
            let number = event.payload.pointer("/pull_request/number").and_then(Json::as_u64);
            number.map_or_else(own, |number| format!("refs/pull/{number}/merge"))
        }
        "release" => event.text("/release/tag_name").map_or_else(own, tag),
        "create" => match event.text("/ref") {
            Some(name) if event.text("/ref_type") == Some("tag") => tag(name),
            Some(name) => head(name),
            None => own(),
        },
        "merge_group" => event.text("/merge_group/head_ref").map_or_else(own, str::to_owned),
        "deployment" | "deployment_status" | "registry_package" | "workflow_call" => own(),
        // All others run for the default branch.
        _ => head(event.text("/repository/default_branch").unwrap_or(&facts.default_branch)),
    }
}
