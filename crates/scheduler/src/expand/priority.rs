//! Who goes before others, as the operator says.

use forge::github::event::Start;
use serde::Deserialize;
use store::record::NewRun;
use workflow::trigger::{Pattern, PatternError};

/// Rules of which the first that fits gives a run its priority. Where none does, it is 0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Priorities(Vec<Rule>);

/// What a run must be like, and its priority then. What a rule does not name may be anything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    /// The event's name.
    event: Option<Glob>,
    /// `owner/name`.
    repository: Option<Glob>,
    /// The branch or tag; of a pull request the one that it would be merged into, as anybody may name their own.
    branch: Option<Glob>,
    /// The workflow file.
    workflow: Option<Glob>,
    /// Higher ones go first.
    priority: i32,
}

/// A pattern as filters of workflows have them.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Glob(Pattern);

impl TryFrom<String> for Glob {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Glob, PatternError> {
        Pattern::new(&text).map(Glob)
    }
}

impl Glob {
    fn fits(pattern: Option<&Glob>, name: &str) -> bool {
        pattern.is_none_or(|Glob(pattern)| pattern.matches(name) != pattern.negates())
    }
}

impl Priorities {
    /// The priority of a run of `repository`.
    pub(super) fn of(&self, repository: &str, run: &NewRun, start: &Start) -> i32 {
        let pull = start.pull_request.as_ref().map(|pull| pull.base_ref.as_str());
        let branch = pull.unwrap_or_else(|| short(&run.reference));
        let fits = |rule: &&Rule| {
            Glob::fits(rule.event.as_ref(), &run.event)
                && Glob::fits(rule.repository.as_ref(), repository)
                && Glob::fits(rule.branch.as_ref(), branch)
                && Glob::fits(rule.workflow.as_ref(), &run.workflow_path)
        };
        self.0.iter().find(fits).map_or(0, |rule| rule.priority)
    }
}

/// A reference without `refs/heads/` or `refs/tags/`.
fn short(reference: &str) -> &str {
    let branch = reference.strip_prefix("refs/heads/").or_else(|| reference.strip_prefix("refs/tags/"));
    branch.unwrap_or(reference)
}
