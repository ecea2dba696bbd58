//! What is told of each try of a call, for metrics.

use std::sync::Arc;
use std::time::Duration;

use super::call::Method;
use super::retry::Outcome;

/// One try of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// `GET`, `POST`, and so on.
    pub method: &'static str,
    /// The path without what differs from object to object (`/repos/{}/{}/check-runs/{}`): a label of few values.
    pub route: String,
    /// What was answered; `None` where nothing was.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// Whoever is told.
pub type Observer = Arc<dyn Fn(&Observed) + Send + Sync>;

impl Observed {
    pub(super) fn of(method: Method, path: &str, outcome: &Outcome, took: Duration) -> Observed {
        let status = match outcome {
            Outcome::Answered { status, .. } => Some(*status),
            Outcome::NotSent | Outcome::Lost => None,
        };
        Observed { method: method.as_str(), route: route(path), status, took }
    }
}

/// The words of the API that stand in paths. Whatever else does is somebody's.
const WORDS: &[&str] = &[
    "access_tokens",
    "app",
    "attempts",
    "check-runs",
    "collaborators",
    "comments",
    "commits",
    "deliveries",
    "hook",
    "hooks",
    "installation",
    "installations",
    "issues",
    "meta",
    "permission",
    "pulls",
    "repos",
    "repositories",
    "statuses",
    "user",
];

fn route(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut names = 0_u8;
    let parts = path.split('/').map(|part| {
        // Owner and name of a repository come right after, and may be called like anything.
        let is_name = names > 0;
        names = if part == "repos" && !is_name { 2 } else { names.saturating_sub(1) };
        if part.is_empty() || !is_name && WORDS.contains(&part) { part } else { "{}" }
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_nobodys_name_in_it() {
        for (path, expected) in [
            ("/repos/octo/hello/check-runs/17", "/repos/{}/{}/check-runs/{}"),
            ("/repos/app/repos/statuses/aabb", "/repos/{}/{}/statuses/{}"),
            ("/repos/o/r/commits/aa/check-runs?check_name=x", "/repos/{}/{}/commits/{}/check-runs"),
            ("/app/installations/9/access_tokens", "/app/installations/{}/access_tokens"),
            ("/repos/o/r/collaborators/mona/permission", "/repos/{}/{}/collaborators/{}/permission"),
            ("/app/hook/deliveries?cursor=v1_1", "/app/hook/deliveries"),
            ("/repositories/1/issues/7/comments", "/repositories/{}/issues/{}/comments"),
        ] {
            assert_eq!(route(path), expected);
        }
    }
}
