//! What a called workflow may ask of the run's token: never more than its caller has.

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

/// What a token may do where no file says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultPermissions {
    /// Nobody restricts it: a run on one's own machine.
    #[default]
    Unlimited,
    /// GitHub's restricted setting: read contents and packages.
    LimitedRead,
    /// GitHub's permissive setting: write everything.
    Write,
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
            asked.push(format!("{scope}: {}", word(wanted)));
            allowed.push(format!("{scope}: {}", word(limit)));
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

fn word(access: Access) -> &'static str {
    match access {
        Access::None => "none",
        Access::Read => "read",
        Access::Write => "write",
    }
}
