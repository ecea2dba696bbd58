//! `permissions`.

use crate::syntax::{Access, Node, Permissions};

/// Typed permissions. What is not among the known words has been reported.
pub(super) fn permissions(node: &Node) -> Permissions {
    match node.text() {
        Some("read-all") => return Permissions::ReadAll,
        Some("write-all") => return Permissions::WriteAll,
        _ => {}
    }
    let scopes = node.entries().filter_map(|(scope, _, access)| {
        let access = match access.text()? {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => Access::None,
        };
        Some((scope.to_owned(), access))
    });
    Permissions::Scopes(scopes.collect())
}
