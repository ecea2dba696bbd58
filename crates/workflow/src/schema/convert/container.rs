//! `container` and `services`.

use crate::diagnostic::codes;
use crate::syntax::{Node, NodeKind};
use crate::yaml::Problems;

const DOCKER: &str = "docker://";

/// Checks the container of a job.
pub(super) fn check_container(node: &Node, problems: &mut Problems) {
    // `container: ''` is no container.
    if node.text() != Some("") {
        check(node, problems);
    }
}

/// Checks the service containers of a job.
pub(super) fn check_services(node: &Node, problems: &mut Problems) {
    for (_, _, service) in node.entries() {
        check(service, problems);
    }
}

fn check(node: &Node, problems: &mut Problems) {
    if node.has_expression() || !problems.is_sound(&node.span) || !problems.is_whole(&node.span) {
        return;
    }
    let image = match &node.kind {
        NodeKind::Mapping(_) => node.get("image").and_then(Node::literal).unwrap_or_default(),
        _ => node.literal().unwrap_or_default(),
    };
    if image.strip_prefix(DOCKER).unwrap_or(&image).is_empty() {
        let hint = "add `image:` with the name of a container image";
        let message = "Container image cannot be empty";
        problems.error_with_hint(codes::CONTAINER_IMAGE, &node.span, message, hint);
    }
}
