//! `allow-unsafe-pr-checkout`: code of a fork stays out of workflows that run with the rights of the repository.
//!
//! The rule is that of `actions/checkout` 7: <https://github.com/actions/checkout#checkout-v7>.

use serde_json::Value as Json;

/// What a step asks for, by which event.
pub(super) struct Asked<'a> {
    pub(super) event_name: &'a str,
    pub(super) event: &'a Json,
    /// `owner/name`.
    pub(super) repository: &'a str,
    /// `ref`, as it stands there.
    pub(super) reference: &'a str,
}

/// The first version that has the rule.
const SINCE: u32 = 7;

/// Whether the version of the action that a workflow names has the rule. What is no version is taken for the newest.
pub(super) fn is_guarded(reference: &str) -> bool {
    let major =
        reference.strip_prefix('v').and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    major.is_none_or(|major| major >= SINCE)
}

impl Asked<'_> {
    /// Whether this is the code of a pull request from a fork, in a workflow that forks must not reach.
    pub(super) fn is_unsafe(&self) -> bool {
        let at = |pointer: &str| self.event.pointer(pointer).unwrap_or(&Json::Null);
        let (head, hashes) = match self.event_name {
            "pull_request_target" => {
                ("/pull_request/head/repo", vec!["/pull_request/head/sha", "/pull_request/merge_commit_sha"])
            }
            "workflow_run" => {
                let cause = at("/workflow_run/event").as_str().unwrap_or_default();
                if !cause.starts_with("pull_request") {
                    return false;
                }
                let mut hashes = vec!["/workflow_run/head_commit/id"];
                // With `pull_request_target` it is the commit of the base.
                hashes.extend((cause != "pull_request_target").then_some("/workflow_run/head_sha"));
                ("/workflow_run/head_repository", hashes)
            }
            _ => return false,
        };
        let id = |repository: &str| at(&format!("{repository}/id")).as_u64();
        let (Some(base), Some(fork)) = (id("/repository"), id(head)) else { return false };
        if base == fork {
            return false;
        }
        let is_same = |pointer: &str, text: &str| {
            at(pointer).as_str().is_some_and(|value| value.eq_ignore_ascii_case(text))
        };
        is_same(&format!("{head}/full_name"), self.repository)
            || is_pull(self.reference)
            || (!self.reference.is_empty() && hashes.iter().any(|hash| is_same(hash, self.reference)))
    }
}

/// `refs/pull/7/head`, `refs/pull/7/merge`.
fn is_pull(reference: &str) -> bool {
    let Some((number, end)) = reference.strip_prefix("refs/pull/").and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && ["head", "merge"].contains(&end)
}

/// Why it is refused, and the way out.
pub(super) fn refusal(event_name: &str) -> String {
    format!(
        "Refusing to check out the code of a fork's pull request in a '{event_name}' workflow: it runs with the \
         repository's token, secrets, and caches, and the fork's code would get them. If the risk is known \
         (https://gh.io/securely-using-pull_request_target), set 'allow-unsafe-pr-checkout: true'."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_unsafe(event_name: &str, event: &Json, repository: &str, reference: &str) -> bool {
        Asked { event_name, event, repository, reference }.is_unsafe()
    }

    #[test]
    fn the_code_of_a_fork_is_told_by_repository_ref_and_commit() {
        let event = |head: u64| {
            let head = json!({"sha": "abc", "repo": {"id": head, "full_name": "fork/app"}});
            json!({"repository": {"id": 1}, "pull_request": {"head": head, "merge_commit_sha": "def"}})
        };
        let (fork, own) = (event(2), event(1));
        for (repository, reference) in
            [("Fork/App", "main"), ("o/app", "refs/pull/7/merge"), ("o/app", "ABC"), ("o/app", "def")]
        {
            assert!(
                is_unsafe("pull_request_target", &fork, repository, reference),
                "{repository} {reference}"
            );
            assert!(!is_unsafe("pull_request_target", &own, repository, reference));
            assert!(!is_unsafe("pull_request", &fork, repository, reference));
        }
        for reference in ["", "main", "refs/pull/7", "refs/pull/x/head"] {
            assert!(!is_unsafe("pull_request_target", &fork, "o/app", reference), "{reference}");
        }
    }

    #[test]
    fn a_run_after_a_pull_request_is_judged_by_what_caused_it() {
        let event = |cause: &str| {
            let run = json!({"event": cause, "head_sha": "abc", "head_commit": {"id": "def"},
                "head_repository": {"id": 2, "full_name": "fork/app"}});
            json!({"repository": {"id": 1}, "workflow_run": run})
        };
        assert!(is_unsafe("workflow_run", &event("pull_request"), "o/app", "abc"));
        assert!(!is_unsafe("workflow_run", &event("pull_request_target"), "o/app", "abc"));
        assert!(is_unsafe("workflow_run", &event("pull_request_target"), "o/app", "def"));
        assert!(!is_unsafe("workflow_run", &event("push"), "fork/app", "abc"));
    }

    #[test]
    fn versions_before_the_seventh_do_not_have_the_rule() {
        for (reference, guarded) in
            [("v4", false), ("v6.1.0", false), ("v7", true), ("v10.1", true), ("main", true)]
        {
            assert_eq!(is_guarded(reference), guarded, "{reference}");
        }
    }
}
