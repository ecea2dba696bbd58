//! From a job of the file to the neutral job that the runner takes.

use model::{RunDefaults, Template};

use crate::syntax::{Defaults, Job, Node};

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

/// `outputs`.
pub(super) fn outputs(job: &Job) -> Vec<(String, Template)> {
    let entries = job.outputs.iter().flat_map(Node::entries);
    entries.map(|(name, _, value)| (name.to_owned(), value.to_template())).collect()
}

/// `environment.url`.
pub(super) fn environment_url(job: &Job) -> Option<Template> {
    job.environment.as_ref()?.get("url").map(Node::to_template)
}
