//! Calls of reusable workflows: what goes in, and what comes out.

use std::sync::Arc;

use model::Secrets;

use crate::expr::Value;
use crate::resolve::called_key;
use crate::span::Spanned;
use crate::syntax::{CallSecrets, Input, InputKind, Node as SyntaxNode, Trigger, Workflow};

use super::RunPlan;
use super::context::{job_context, object, secrets_context};
use super::evaluate::{Evaluator, scalar_text};
use super::matrix::Entry;
use super::state::{Call, FrameId, NodeId};
use crate::concurrency::Concurrency;

/// The secret that every job has, however it was called.
pub(super) const TOKEN: &str = "GITHUB_TOKEN";

impl RunPlan {
    /// Evaluates a call: finds the file, types the inputs, chooses the secrets.
    pub(super) fn call(
        &self,
        node: NodeId,
        evaluator: &Evaluator<'_>,
        uses: &Spanned<String>,
        with: Option<&SyntaxNode>,
        secrets: &CallSecrets,
    ) -> Result<Call, String> {
        let frame = self.frame(self.node(node).frame);
        let wrong = |problem: String| evaluator.error("uses", Some(&uses.span), &problem);
        let reference =
            called_key(frame.reference.as_deref(), uses).map_err(|error| wrong(error.to_string()))?;
        let workflow = self
            .called
            .get(&reference)
            .ok_or_else(|| wrong(format!("The workflow '{reference}' was not found")))?;
        let trigger = call_trigger(workflow).ok_or_else(|| {
            wrong(format!("'{reference}' can't be called: it has no 'workflow_call' under 'on'"))
        })?;
        let given = match with {
            Some(node) => evaluator.entries("with", node)?,
            None => Vec::new(),
        };
        let inputs = self.inputs(evaluator, &trigger.inputs, &given)?;
        let secrets = self.passed_secrets(evaluator, &frame.secrets, secrets)?;
        Ok(Call { workflow: Arc::clone(workflow), reference, inputs, secrets })
    }

    /// Typed inputs: what is given, else the default, else the empty value of the type.
    fn inputs(
        &self,
        evaluator: &Evaluator<'_>,
        declared: &[Input],
        given: &[Entry],
    ) -> Result<Value, String> {
        let is_declared = |key: &str| declared.iter().any(|input| input.name.eq_ignore_ascii_case(key));
        if let Some(unknown) = given.iter().find(|entry| !is_declared(&entry.key)) {
            let problem =
                format!("Invalid input, {} is not defined in the referenced workflow.", unknown.key);
            return Err(evaluator.error("with", Some(&unknown.span), &problem));
        }
        // Defaults see the caller's inputs, and nothing of the job that calls.
        let contexts = self.base_contexts(evaluator.contexts.inputs.clone());
        let defaults = Evaluator { job: evaluator.job, contexts: &contexts };
        let mut inputs = Vec::new();
        for input in declared {
            let entry = given.iter().find(|entry| input.name.eq_ignore_ascii_case(&entry.key));
            let value = match (entry, &input.default) {
                (Some(entry), _) => typed(&input.kind, &entry.value)
                    .map_err(|problem| evaluator.error("with", Some(&entry.span), &problem))?,
                (None, Some(default)) => typed(&input.kind, &defaults.value("with", default)?)
                    .map_err(|problem| evaluator.error("with", Some(&default.span), &problem))?,
                (None, None) => empty(&input.kind),
            };
            inputs.push((input.name.as_str(), value));
        }
        Ok(object(inputs))
    }

    /// What the callee may know: nothing but what is passed, and the token.
    fn passed_secrets(
        &self,
        evaluator: &Evaluator<'_>,
        own: &Secrets,
        passed: &CallSecrets,
    ) -> Result<Secrets, String> {
        let mut secrets = match passed {
            CallSecrets::None => Secrets::new(),
            CallSecrets::Inherit => own.clone(),
            CallSecrets::Named(node) => named_secrets(evaluator, own, node)?,
        };
        if let Some((name, token)) = own.iter().find(|(name, _)| name.eq_ignore_ascii_case(TOKEN)) {
            secrets.retain(|name, _| !name.eq_ignore_ascii_case(TOKEN));
            secrets.insert(name.clone(), token.clone());
        }
        Ok(secrets)
    }

    /// The group of the called workflow as a whole.
    pub(super) fn workflow_group(
        &self,
        evaluator: &Evaluator<'_>,
        call: &Call,
    ) -> Result<Option<Concurrency>, String> {
        let contexts = self.base_contexts(call.inputs.clone());
        let inside = Evaluator { job: evaluator.job, contexts: &contexts };
        call.workflow.concurrency.as_ref().map(|node| inside.concurrency(node)).transpose()
    }

    /// Outputs of a called workflow whose jobs have all ended.
    pub(super) fn call_outputs(&self, job: &str, frame: FrameId) -> Result<Vec<(String, String)>, String> {
        let frame = self.frame(frame);
        let Some(trigger) = call_trigger(&frame.workflow) else { return Ok(Vec::new()) };
        let jobs = frame.nodes.iter().filter_map(|node| {
            let outcome = self.outcome(*node)?;
            Some((self.job(*node).id.as_str(), job_context(outcome.conclusion, &outcome.outputs)))
        });
        let mut contexts = self.base_contexts(frame.inputs.clone());
        contexts.jobs = Some(object(jobs));
        let evaluator = Evaluator { job, contexts: &contexts };
        trigger
            .outputs
            .iter()
            .map(|(name, value)| Ok((name.value.clone(), evaluator.text("outputs", value)?)))
            .collect()
    }
}

/// The `workflow_call` of a file.
pub(super) fn call_trigger(workflow: &Workflow) -> Option<&Trigger> {
    workflow.on.iter().find(|trigger| *trigger.event == "workflow_call")
}

/// Secrets by name; one that is empty does not exist.
fn named_secrets(evaluator: &Evaluator<'_>, own: &Secrets, node: &SyntaxNode) -> Result<Secrets, String> {
    let mut contexts = evaluator.contexts.clone();
    contexts.secrets = Some(secrets_context(own));
    let evaluator = Evaluator { job: evaluator.job, contexts: &contexts };
    let mut secrets = Secrets::new();
    // What went wrong may show a part of a secret, so it is not told.
    let wrong = || evaluator.error("secrets", Some(&node.span), "A value can't be evaluated to text");
    for entry in evaluator.entries("secrets", node).map_err(|_| wrong())? {
        let value = scalar_text(&entry.value).map_err(|_| wrong())?;
        if !value.is_empty() {
            secrets.insert(entry.key, model::Secret(value));
        }
    }
    Ok(secrets)
}

/// The value as the type of an input wants it: text takes any scalar, the others only their own kind.
fn typed(kind: &InputKind, value: &Value) -> Result<Value, String> {
    match (kind, value) {
        (InputKind::Boolean, Value::Bool(_)) | (InputKind::Number, Value::Number(_)) => Ok(value.clone()),
        (InputKind::Boolean | InputKind::Number, other) => Err(other.unexpected()),
        (InputKind::String | InputKind::Choice(_) | InputKind::Environment, value) => {
            scalar_text(value).map(|text| Value::String(text.into()))
        }
    }
}

fn empty(kind: &InputKind) -> Value {
    match kind {
        InputKind::Boolean => Value::Bool(false),
        InputKind::Number => Value::Number(0.0),
        InputKind::String | InputKind::Choice(_) | InputKind::Environment => Value::String("".into()),
    }
}
