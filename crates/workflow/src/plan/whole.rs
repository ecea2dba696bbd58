//! What a workflow says of its run as a whole, before there is a plan.

use serde_json::Value as Json;

use crate::concurrency::Concurrency;
use crate::expr::{Value, evaluate_template};
use crate::syntax::Workflow;

use super::context::Contexts;
use super::evaluate::Evaluator;
use super::{with_workflow, workflow_name};

/// `run-name`, evaluated; empty where there is none or it can't be evaluated.
#[must_use]
pub fn run_name(workflow: &Workflow, github: &Json, inputs: &Json, vars: &Json) -> String {
    let Some(node) = &workflow.run_name else { return String::new() };
    evaluate_template(&node.to_template(), &contexts(workflow, github, inputs, vars))
        .map(|value| value.to_text())
        .unwrap_or_default()
}

/// The concurrency group that the run as a whole asks for, if it asks for one.
///
/// # Errors
/// It can't be evaluated.
pub fn run_group(
    workflow: &Workflow,
    github: &Json,
    inputs: &Json,
    vars: &Json,
) -> Result<Option<Concurrency>, String> {
    let contexts = contexts(workflow, github, inputs, vars);
    let evaluator = Evaluator { job: "", contexts: &contexts };
    workflow.concurrency.as_ref().map(|node| evaluator.concurrency(node)).transpose()
}

fn contexts(workflow: &Workflow, github: &Json, inputs: &Json, vars: &Json) -> Contexts {
    let github = with_workflow(github, &workflow_name(workflow, github));
    Contexts::new(Value::from_json(&github), Value::from_json(vars), Value::from_json(inputs))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workflow(head: &str) -> Workflow {
        let text = format!("on: push\n{head}\njobs: {{a: {{runs-on: x, steps: [{{run: echo}}]}}}}\n");
        crate::schema::read_workflow("ci.yml", &text, &Default::default()).0.unwrap()
    }

    #[test]
    fn name_and_group_of_a_run_see_the_event_the_inputs_and_the_variables() {
        let (github, inputs, vars) = (json!({"ref": "r"}), json!({"to": "prod"}), json!({"TEAM": "a"}));
        let named = workflow("run-name: ${{ inputs.to }} by ${{ vars.TEAM }}");
        assert_eq!(run_name(&named, &github, &inputs, &vars), "prod by a");
        assert_eq!(run_name(&workflow(""), &github, &inputs, &vars), "");
        let grouped = workflow(
            "concurrency: {group: '${{ github.workflow }}-${{ github.ref }}', cancel-in-progress: true}",
        );
        let group = run_group(&grouped, &github, &inputs, &vars).unwrap().unwrap();
        assert_eq!(
            (group.group.as_str(), group.cancel_in_progress, group.keep_all),
            ("ci.yml-r", true, false)
        );
        assert_eq!(run_group(&workflow(""), &github, &inputs, &vars), Ok(None));
        let wrong = workflow("concurrency: '${{ fromJSON(github.ref) }}'");
        assert!(run_group(&wrong, &github, &inputs, &vars).is_err());
    }
}
