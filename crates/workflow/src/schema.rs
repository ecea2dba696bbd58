//! From text to a typed workflow or action: checks what GitHub checks, in GitHub's words.
//!
//! Reading has three stages. [`crate::yaml`] makes a tree; the reader lays the shape of the
//! language over it (which keys there are, of which type, with which contexts); the converters
//! check how the parts fit (ids, needs, matrices) and make the types of [`crate::syntax`]. A
//! stage goes on after a problem wherever what follows can still be judged, so that one run
//! shows all problems.

mod action_tables;
mod convert;
mod definition;
mod encoding;
mod event_tables;
mod reader;
mod workflow_tables;

pub use encoding::decode;

use crate::diagnostic::Diagnostic;
use crate::syntax::{Action, JobWork, Node, Workflow};
use crate::trigger;
use crate::yaml::{self, Limits, Problems};

/// How a file is read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Bounds on the file.
    pub limits: Limits,
    /// Whether to stop, as GitHub's parser does, before judging how parts fit when some part is wrong
    /// in itself, and to say no more and no less than that. Hearth goes on by default, to show all
    /// problems at once.
    pub stop_at_wrong_shape: bool,
}

/// Reads a workflow file. `file` is its name for people, and in diagnostics.
///
/// There is a workflow exactly when no diagnostic is an error. They are in the order of their places,
/// or of GitHub's stages where it is read in these.
pub fn read_workflow(file: &str, text: &str, options: &ReadOptions) -> (Option<Workflow>, Vec<Diagnostic>) {
    let mut problems = Problems::new(file);
    let workflow = read_parts(text, options, &mut problems).map(|(_, workflow)| workflow);
    for problem in workflow.iter().flat_map(trigger::check_filters) {
        if problem.span.as_ref().is_none_or(|span| problems.is_sound(span)) {
            problems.add(problem);
        }
    }
    let workflow = workflow.filter(|_| !problems.has_errors());
    let problems = if options.stop_at_wrong_shape { problems.into_found() } else { problems.into_sorted() };
    (workflow, problems)
}

/// Those jobs of a workflow file that call a workflow and are right themselves, although something
/// else in the file may be wrong: their calls can be judged. Nothing else of it is to be relied on.
pub fn read_calls(file: &str, text: &str) -> Option<Workflow> {
    let mut problems = Problems::new(file);
    let (root, mut workflow) = read_parts(text, &ReadOptions::default(), &mut problems)?;
    let jobs = root.get("jobs").into_iter().flat_map(Node::entries);
    let mut is_right = jobs.map(|(_, _, job)| problems.is_sound(&job.span) && problems.is_whole(&job.span));
    workflow.jobs.retain(|job| is_right.next().unwrap_or(false) && matches!(job.work, JobWork::Call { .. }));
    Some(workflow)
}

/// The tree of a workflow, checked, and its parts, as far as they go.
fn read_parts(text: &str, options: &ReadOptions, problems: &mut Problems) -> Option<(Node, Workflow)> {
    let tree = yaml::parse(text, &options.limits, problems)?;
    let root = reader::read(&tree, &workflow_tables::WORKFLOW, problems);
    if options.stop_at_wrong_shape && problems.has_errors() {
        return None;
    }
    let workflow = convert::workflow(&root, problems);
    if !options.stop_at_wrong_shape {
        convert::check_service(&root, problems);
    }
    Some((root, workflow?))
}

/// Reads an `action.yml`. `file` is its name for people, and in diagnostics.
///
/// There is an action exactly when no diagnostic is an error. Keys that GitHub ignores are
/// warnings.
pub fn read_action(file: &str, text: &str) -> (Option<Action>, Vec<Diagnostic>) {
    let mut problems = Problems::new(file);
    let action = yaml::parse(text, &Limits::default(), &mut problems).and_then(|tree| {
        let root = reader::read(&tree, &action_tables::ACTION, &mut problems);
        convert::action(&root, &mut problems)
    });
    let action = action.filter(|_| !problems.has_errors());
    (action, problems.into_sorted())
}
