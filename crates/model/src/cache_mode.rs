//! `cache-mode`: what a job may do with caches.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Access to caches.
///
/// Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#cache-mode>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMode {
    /// Caches are restored, and none saved.
    Read,
    /// Caches are restored and saved.
    #[default]
    Write,
    /// Caches are saved, and none restored.
    WriteOnly,
    /// Neither.
    None,
}

/// Events that only people and programs with write access can cause: their runs may write the caches of the
/// default branch.
///
/// Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching>, "Cache access
/// for low-trust workflow triggers".
const TRUSTED_EVENTS: [&str; 7] = [
    "push",
    "schedule",
    "workflow_dispatch",
    "repository_dispatch",
    "delete",
    "registry_package",
    "page_build",
];

impl CacheMode {
    /// All of them.
    pub const ALL: [CacheMode; 4] =
        [CacheMode::Read, CacheMode::Write, CacheMode::WriteOnly, CacheMode::None];

    /// The word of a workflow file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CacheMode::Read => "read",
            CacheMode::Write => "write",
            CacheMode::WriteOnly => "write-only",
            CacheMode::None => "none",
        }
    }

    /// The mode that a workflow file calls so.
    #[must_use]
    pub fn named(word: &str) -> Option<CacheMode> {
        CacheMode::ALL.into_iter().find(|mode| mode.as_str() == word)
    }

    /// Whether caches may be restored.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, CacheMode::Read | CacheMode::Write)
    }

    /// Whether caches may be saved.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, CacheMode::Write | CacheMode::WriteOnly)
    }

    /// What both allow.
    #[must_use]
    pub fn within(self, limit: CacheMode) -> CacheMode {
        match (self.reads() && limit.reads(), self.writes() && limit.writes()) {
            (true, true) => CacheMode::Write,
            (true, false) => CacheMode::Read,
            (false, true) => CacheMode::WriteOnly,
            (false, false) => CacheMode::None,
        }
    }

    /// The mode where a file says nothing, by the `github` context: a run that anybody can cause doesn't write what
    /// runs of the default branch read. Where the event doesn't tell the default branch, each branch may be it.
    #[must_use]
    pub fn of_run(github: &Json) -> CacheMode {
        let text = |pointer: &str| github.pointer(pointer).and_then(Json::as_str);
        let default = text("/event/repository/default_branch");
        let branch = text("/ref").and_then(|name| name.strip_prefix("refs/heads/"));
        let is_default = branch.is_some_and(|branch| default.is_none_or(|default| default == branch));
        let is_trusted = text("/event_name").is_some_and(|event| TRUSTED_EVENTS.contains(&event));
        if is_default && !is_trusted { CacheMode::Read } else { CacheMode::Write }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_mode_allows_more_than_the_one_that_it_is_within() {
        for mode in CacheMode::ALL {
            for limit in CacheMode::ALL {
                let both = mode.within(limit);
                assert_eq!(both.reads(), mode.reads() && limit.reads(), "{mode:?} {limit:?}");
                assert_eq!(both.writes(), mode.writes() && limit.writes(), "{mode:?} {limit:?}");
            }
            assert_eq!(CacheMode::named(mode.as_str()), Some(mode));
            assert_eq!(json!(mode), mode.as_str());
        }
    }

    #[test]
    fn only_trusted_events_write_caches_of_the_default_branch() {
        let mode = |event: &str, name: &str, default: Json| {
            let repository = json!({"default_branch": default});
            CacheMode::of_run(&json!({"event_name": event, "ref": name, "event": {"repository": repository}}))
        };
        for (event, name, expected) in [
            ("push", "refs/heads/main", CacheMode::Write),
            ("schedule", "refs/heads/main", CacheMode::Write),
            ("issue_comment", "refs/heads/main", CacheMode::Read),
            ("pull_request_target", "refs/heads/main", CacheMode::Read),
            ("pull_request_target", "refs/heads/next", CacheMode::Write),
            ("workflow_run", "refs/heads/main", CacheMode::Read),
            ("pull_request", "refs/pull/1/merge", CacheMode::Write),
            ("release", "refs/tags/v1", CacheMode::Write),
        ] {
            assert_eq!(mode(event, name, json!("main")), expected, "{event} {name}");
        }
        assert_eq!(mode("issues", "refs/heads/next", Json::Null), CacheMode::Read);
        assert_eq!(mode("push", "refs/heads/next", Json::Null), CacheMode::Write);
    }
}
