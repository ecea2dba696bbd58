//! From a job of the file to the neutral job that the runner takes.

use model::{RunDefaults, Template};
use serde_json::{Value as Json, json};

use super::RunContext;
use crate::resolve::WorkflowRef;
use crate::syntax::{Defaults, Job, Node, Step};

/// `job.workflow_ref` and its kin: the file that a job is defined in. `reference` is the key of a called file.
///
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#job-context>
pub(super) fn origin(reference: Option<&str>, context: &RunContext) -> Json {
    let github = |key: &str| context.github[key].as_str().unwrap_or_default();
    let (repository, own) = (github("repository"), github("workflow_ref"));
    let (own_file, git_ref) = own.split_once('@').unwrap_or((own, ""));
    let of_run = |path: &str| {
        (
            format!("{repository}/{path}@{git_ref}"),
            github("workflow_sha"),
            repository.to_owned(),
            path.to_owned(),
        )
    };
    let (workflow_ref, sha, repository, path) = match (reference, reference.map(WorkflowRef::parse)) {
        (Some(key), Some(Ok(WorkflowRef::Remote { owner, repo, path, .. }))) => {
            let sha = context.commits.get(key).map_or("", String::as_str);
            (key.to_owned(), sha, format!("{owner}/{repo}"), path)
        }
        (_, Some(Ok(WorkflowRef::Local { path }))) => of_run(&path),
        _ => of_run(own_file.strip_prefix(repository).unwrap_or(own_file).trim_start_matches('/')),
    };
    json!({
        "workflow_ref": workflow_ref,
        "workflow_sha": sha,
        "workflow_repository": repository,
        "workflow_file_path": path,
    })
}

/// The steps of a job of a file; `reference` is the key of a called one. In a file of another repository, own
/// actions (`$/path`) are that repository's.
pub(super) fn steps(steps: &[Step], reference: Option<&str>, context: &RunContext) -> Vec<model::Step> {
    let mut steps: Vec<model::Step> = steps.iter().map(Step::to_model).collect();
    if let Some(key) = reference
        && let Ok(WorkflowRef::Remote { owner, repo, reference, .. }) = WorkflowRef::parse(key)
    {
        let version = context.commits.get(key).unwrap_or(&reference);
        steps.iter_mut().for_each(|step| step.work.own_is(&owner, &repo, version));
    }
    steps
}

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
