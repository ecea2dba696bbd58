//! `runs-on`.

use crate::diagnostic::codes;
use crate::syntax::Node;
use crate::yaml::Problems;

/// Prefixes of a group's name.
const OWNERS: [&str; 4] = ["org", "organization", "ent", "enterprise"];

/// Checks the name of the group.
pub(super) fn check(node: &Node, problems: &mut Problems) {
    let Some(group) = node.get("group") else { return };
    let Some(name) = group.text() else { return };
    let message = match name.split('/').collect::<Vec<_>>()[..] {
        [_] => return,
        [owner, ""] if OWNERS.contains(&owner) => format!("Invalid runs-on group name '{name}'."),
        [owner, _] if OWNERS.contains(&owner) => return,
        // GitHub's words, its misplaced quote included.
        _ => format!(
            "Invalid runs-on group name '{name}. Please use 'organization/' or 'enterprise/' prefix to target a single runner group.'"
        ),
    };
    problems.error(codes::RUNNER_GROUP, &group.span, message);
}
