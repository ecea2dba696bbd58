//! How far the code of an event is trusted.

use forge::github::event::Start;
use model::Trust;

/// GitHub's updates of dependencies: in branches of the repository, and of code that nobody here has looked at.
const DEPENDABOT: &str = "dependabot[bot]";

/// The events that GitHub runs as those of a fork when Dependabot causes them, whoever runs them again.
const AS_A_FORK: &[&str] = &[
    "create",
    "deployment",
    "deployment_status",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
];

/// Whether somebody here vouches for the code that runs.
///
/// Source: <https://docs.github.com/en/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions>
pub(super) fn of(start: &Start) -> Trust {
    let author = start.pull_request.as_ref().map(|pull| pull.author.as_str());
    let is_dependabots = start.actor == DEPENDABOT
        && match start.event.as_str() {
            "pull_request_target" => author == Some(DEPENDABOT),
            event => AS_A_FORK.contains(&event),
        };
    if start.is_fork || is_dependabots { Trust::Untrusted } else { Trust::Trusted }
}
