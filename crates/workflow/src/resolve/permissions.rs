//! What jobs may ask of their tokens, and a called workflow never more than its caller has.

use model::token::ID_TOKEN;
use serde::{Deserialize, Serialize};

use crate::syntax::{Access, Permissions};

/// Scopes of a token in GitHub's order, the order of its messages.
const SCOPES: [&str; 13] = [
    "actions",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "statuses",
    "security-events",
    "id-token",
];

/// Scopes that came after those of the messages. With them, these are all that `read-all` and `write-all` mean.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions>
const NEWER_SCOPES: [&str; 4] = ["artifact-metadata", "attestations", "models", "vulnerability-alerts"];

/// What a token may do where no file says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultPermissions {
    /// Nobody restricts it: a run on one's own machine.
    #[default]
    Unlimited,
    /// GitHub's restricted setting: read contents and packages.
    LimitedRead,
    /// GitHub's permissive setting: write everything.
    Write,
}

/// All that somebody asks for, scope by scope.
pub(crate) fn asked(requested: &Permissions) -> model::Permissions {
    let scopes = scopes(requested).into_iter().chain(NEWER_SCOPES);
    let asked = scopes.filter(|scope| is_written_or_nothing(scope, requested));
    let asked = asked.map(|scope| (scope.to_owned(), access(requested, scope)));
    asked.filter(|(_, access)| *access != Access::None).collect()
}

/// What a job has that asks for nothing in particular. OIDC tokens are never among it.
pub(crate) fn unasked(default: DefaultPermissions) -> model::Permissions {
    let scopes = SCOPES.into_iter().chain(NEWER_SCOPES).filter(|scope| *scope != ID_TOKEN);
    let given = scopes.map(|scope| (scope.to_owned(), by_default(default, scope)));
    given.filter(|(_, access)| *access != Access::None).collect()
}

/// The most that code has which nobody vouches for: it reads.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#how-permissions-are-calculated-for-a-workflow-job>
pub(crate) fn of_forks() -> model::Permissions {
    unasked(DefaultPermissions::Write).into_keys().map(|scope| (scope, Access::Read)).collect()
}

/// As much of it as a limit lets through; without one, all.
pub(crate) fn within(asked: model::Permissions, limit: Option<&model::Permissions>) -> model::Permissions {
    let Some(limit) = limit else { return asked };
    asked
        .into_iter()
        .filter_map(|(scope, access)| {
            let access = access.min(*limit.get(&scope)?);
            Some((scope, access))
        })
        .collect()
}

/// `id-token` can only be written, so `read-all` does not mean it.
fn is_written_or_nothing(scope: &str, requested: &Permissions) -> bool {
    scope != ID_TOKEN || access(requested, scope) == Access::Write
}

/// What of `requested` goes beyond `max`: as requested, and as allowed.
pub(super) fn violations(
    requested: &Permissions,
    max: Option<&Permissions>,
    default: DefaultPermissions,
) -> Option<(String, String)> {
    let mut asked = Vec::new();
    let mut allowed = Vec::new();
    for scope in scopes(requested) {
        let wanted = access(requested, scope);
        let limit = max.map_or_else(|| by_default(default, scope), |max| access(max, scope));
        if wanted > limit {
            asked.push(format!("{scope}: {}", wanted.as_str()));
            allowed.push(format!("{scope}: {}", limit.as_str()));
        }
    }
    (!asked.is_empty()).then(|| (asked.join(", "), allowed.join(", ")))
}

/// The scopes that are compared: the known ones, then what is named besides.
fn scopes(requested: &Permissions) -> Vec<&str> {
    let mut scopes = SCOPES.to_vec();
    if let Permissions::Scopes(named) = requested {
        scopes.extend(named.iter().map(|(name, _)| name.as_str()).filter(|name| !SCOPES.contains(name)));
    }
    scopes
}

fn access(permissions: &Permissions, scope: &str) -> Access {
    match permissions {
        Permissions::ReadAll => Access::Read,
        Permissions::WriteAll => Access::Write,
        Permissions::Scopes(named) => {
            named.iter().find(|(name, _)| name == scope).map_or(Access::None, |(_, access)| *access)
        }
    }
}

fn by_default(default: DefaultPermissions, scope: &str) -> Access {
    match default {
        DefaultPermissions::Unlimited | DefaultPermissions::Write => Access::Write,
        DefaultPermissions::LimitedRead if matches!(scope, "contents" | "packages") => Access::Read,
        DefaultPermissions::LimitedRead => Access::None,
    }
}
