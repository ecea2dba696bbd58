//! Contexts and names of steps.

use model::{ActionRef, Step, StepWork, Template};
use serde_json::{Map, Value as Json};
use workflow::expr::{Object, Value};

use super::{Frame, Stage, StepRun};
use crate::contexts::{Status, StepScope};
use crate::evaluate::EvaluationError;
use crate::job::{JobRun, MachineFailure};

/// Contexts that steps of composite actions do not see.
const JOB_ONLY: [&str; 4] = ["secrets", "needs", "vars", "inputs"];

impl JobRun<'_> {
    /// `github` for a step, without `event`.
    pub(crate) fn github(&self, frame: &Frame, status: Status, step: &str) -> Map<String, Json> {
        let mut github = self.fixed.github.clone();
        github.insert("action".to_owned(), step.into());
        if let Some(action) = &frame.action {
            github.insert("action".to_owned(), action.step.clone().into());
            github.insert("action_path".to_owned(), action.path.clone().into());
            let near = status.action.unwrap_or(status.job);
            github.insert("action_status".to_owned(), near.as_str().into());
            set_origin(&mut github, action.origin.as_ref());
        }
        github
    }

    /// Everything that expressions of a step see, but `env`.
    pub(crate) fn scope(&self, frame: &Frame, status: Status, step: &str) -> StepScope {
        let mut scope = StepScope::new(status);
        for (name, value) in &self.fixed.contexts {
            if frame.action.is_none() || !JOB_ONLY.contains(name) {
                scope.set(name, value.clone());
            }
        }
        if let Some(action) = &frame.action {
            scope.set("inputs", action.inputs.clone());
        }
        scope.set("github", self.github_value(&self.github(frame, status, step)));
        scope.set("runner", Value::from_json(&self.fixed.runner));
        scope.set("steps", frame.records.to_value());
        scope.set("job", job_context(status, &self.job.contexts.job));
        scope
    }

    /// `github` as a context, with its event.
    pub(crate) fn github_value(&self, github: &Map<String, Json>) -> Value {
        let mut object = Object::new();
        for (key, value) in github {
            object.insert(key.as_str(), Value::from_json(value));
        }
        object.insert("event", self.fixed.event.clone());
        Value::Object(object.into())
    }

    /// The name of a step, as far as it can be told; a wrong expression is no reason to fail.
    pub(crate) async fn step_name(&self, step: &Step, run: &mut StepRun) -> Result<String, MachineFailure> {
        let (prefix, template) = name_source(step);
        let text = match self.evaluator.text(Some(&template), &mut run.scope).await {
            Ok(text) => text.unwrap_or_default(),
            Err(EvaluationError::Machine(error)) => return Err(error.into()),
            Err(EvaluationError::Expression(_)) => plain_text(&template),
        };
        let name = format!("{prefix}{}", first_line(&text));
        Ok(match run.stage {
            Stage::Pre => format!("Pre {name}"),
            Stage::Main => name,
            Stage::Post => format!("Post {name}"),
        })
    }

    /// The name of a step without evaluating anything, for messages.
    pub(crate) fn plain_name(&self, step: &Step) -> String {
        let (prefix, template) = name_source(step);
        let name = format!("{prefix}{}", first_line(&plain_text(&template)));
        self.log.masker.mask(&name).into_owned()
    }
}

/// Names the repository and reference of the action that runs; takes them away where there is none.
pub(crate) fn set_origin(github: &mut Map<String, Json>, origin: Option<&(String, String)>) {
    match origin {
        Some((repository, reference)) => {
            github.insert("action_repository".to_owned(), repository.clone().into());
            github.insert("action_ref".to_owned(), reference.clone().into());
        }
        None => {
            github.insert("action_repository".to_owned(), "".into());
            github.insert("action_ref".to_owned(), "".into());
        }
    }
}

fn job_context(status: Status, known: &Json) -> Value {
    let mut job = Object::new();
    job.insert("status", Value::String(status.job.as_str().into()));
    for (key, value) in known.as_object().into_iter().flatten() {
        job.insert(key.as_str(), Value::from_json(value));
    }
    Value::Object(job.into())
}

/// What the name is made of: what the file says, or `Run` and the work.
fn name_source(step: &Step) -> (&'static str, Template) {
    match (&step.name, &step.work) {
        (Some(name), _) => ("", name.clone()),
        (None, StepWork::Script(script)) => ("Run ", script.script.clone()),
        (None, StepWork::Action { uses: ActionRef::Docker(image), .. }) => ("Run ", Template::text(image)),
        (None, StepWork::Action { uses, .. }) => ("Run ", Template::text(uses.to_string())),
        (None, StepWork::Wait { steps: None }) => ("", Template::text("Wait for all background steps")),
        (None, StepWork::Wait { steps: Some(ids) }) => ("Wait for ", Template::text(ids.join(", "))),
        (None, StepWork::Cancel { step }) => ("Cancel ", Template::text(step)),
    }
}

fn plain_text(template: &Template) -> String {
    match template {
        Template::String(text) => text.clone(),
        Template::Expression(source) => format!("${{{{ {source} }}}}"),
        Template::Number(number) => number.to_string(),
        Template::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

/// The first line that is not blank.
pub(crate) fn first_line(text: &str) -> &str {
    text.trim_start().split(['\r', '\n']).next().unwrap_or_default()
}
