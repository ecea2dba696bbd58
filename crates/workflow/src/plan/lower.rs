//! From a job of the file to the neutral job that the runner takes.

use std::sync::Arc;

use model::{ProcessStep, RunDefaults, Template};

use crate::syntax::{Defaults, Job, Node, NodeKind, Step, StepWork};

use super::evaluate::mapping_entry;

/// `defaults.run` of the job laid over the workflow's.
pub(super) fn defaults(workflow: &Defaults, job: &Defaults) -> RunDefaults {
    let pick = |job: &Option<Node>, workflow: &Option<Node>| {
        job.as_ref().or(workflow.as_ref()).map(Node::to_template)
    };
    RunDefaults {
        shell: pick(&job.shell, &workflow.shell),
        working_directory: pick(&job.working_directory, &workflow.working_directory),
    }
}

/// `env` of the workflow, then of the job.
pub(super) fn env_layers(workflow: Option<&Node>, job: Option<&Node>) -> Vec<Template> {
    [workflow, job].into_iter().flatten().map(Node::to_template).collect()
}

/// `outputs`; a key that is no text is taken as GitHub shows it.
pub(super) fn outputs(job: &Job) -> Vec<(String, Template)> {
    let Some(Node { kind: NodeKind::Mapping(pairs), .. }) = &job.outputs else { return Vec::new() };
    pairs.iter().map(|(key, value)| (key_text(key), value.to_template())).collect()
}

fn key_text(key: &Node) -> String {
    match &key.kind {
        NodeKind::String(text) => text.clone(),
        NodeKind::Bool(value) => value.to_string(),
        NodeKind::Number(value) => value.to_string(),
        NodeKind::Expression(source) => Arc::clone(source).to_string(),
        NodeKind::Null | NodeKind::Sequence(_) | NodeKind::Mapping(_) => String::new(),
    }
}

/// `environment.url`.
pub(super) fn environment_url(job: &Job) -> Option<Template> {
    mapping_entry(job.environment.as_ref()?, "url").map(Node::to_template)
}

/// One step.
pub(super) fn step(step: &Step) -> model::Step {
    let template = |node: &Option<Node>| node.as_ref().map(Node::to_template);
    model::Step {
        id: step.id.clone(),
        name: template(&step.name),
        condition: step.condition.to_string(),
        env: template(&step.env),
        continue_on_error: template(&step.continue_on_error),
        timeout_minutes: template(&step.timeout_minutes),
        work: match &step.work {
            StepWork::Run { script, shell, working_directory } => model::StepWork::Script(ProcessStep {
                script: script.to_template(),
                shell: template(shell),
                working_directory: template(working_directory),
            }),
            StepWork::Uses { uses, with } => {
                model::StepWork::Action { uses: uses.value.clone(), with: template(with) }
            }
        },
    }
}
