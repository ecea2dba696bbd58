//! What expressions of a step see.

use std::collections::HashMap;

use model::Conclusion;
use serde_json::Value as Json;
use workflow::expr::{EvaluateError, Object, Scope, Value};

use crate::environment::Variables;

/// What `success()`, `failure()`, and `cancelled()` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// How the job stands.
    pub job: Conclusion,
    /// How the composite action stands whose main steps run; `None` for steps of the job and for pre and post.
    pub action: Option<Conclusion>,
}

impl Status {
    fn answer(self, function: &str) -> Option<bool> {
        // Success and failure look at the composite action that a step is in, cancelled at the job.
        let near = self.action.unwrap_or(self.job);
        match function {
            "always" => Some(true),
            "success" => Some(near == Conclusion::Success),
            "failure" => Some(near == Conclusion::Failure),
            "cancelled" => Some(self.job == Conclusion::Cancelled),
            _ => None,
        }
    }
}

/// The contexts of one step.
#[derive(Clone)]
pub struct StepScope {
    contexts: HashMap<&'static str, Value>,
    /// What the status functions say.
    pub status: Status,
    hashes: HashMap<Vec<String>, String>,
}

impl StepScope {
    /// A scope without contexts.
    pub fn new(status: Status) -> StepScope {
        StepScope { contexts: HashMap::new(), status, hashes: HashMap::new() }
    }

    /// Gives a context its value.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.contexts.insert(name, value);
    }

    /// Remembers what `hashFiles` of these patterns is.
    pub fn remember_hash(&mut self, patterns: Vec<String>, digest: String) {
        self.hashes.insert(patterns, digest);
    }

    /// The `env` context, from variables. Case counts in it, as it does for variables.
    pub fn set_env(&mut self, variables: &Variables) {
        let mut env = Object::case_sensitive();
        for (name, value) in variables {
            env.insert(name.as_str(), Value::String(value.as_str().into()));
        }
        self.set("env", Value::Object(env.into()));
    }
}

impl Scope for StepScope {
    fn context(&self, name: &str) -> Option<Value> {
        self.contexts.get(name).cloned()
    }

    fn status(&self, function: &str) -> Option<bool> {
        self.status.answer(function)
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, EvaluateError> {
        let known = self.hashes.get(patterns).cloned();
        known.ok_or_else(|| EvaluateError::NeedsHashFiles(patterns.to_vec()))
    }
}

/// An object of texts.
pub fn text_object<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let mut object = Object::new();
    for (name, value) in pairs {
        object.insert(name, Value::String(value.into()));
    }
    Value::Object(object.into())
}

/// An object from JSON; empty for null.
pub fn json_object(json: &Json) -> Value {
    match json {
        Json::Null => Value::Object(Object::new().into()),
        other => Value::from_json(other),
    }
}

/// How a step ended, as the `steps` context shows it.
#[derive(Clone, Debug, Default)]
pub struct StepRecord {
    /// Outputs in the order in which they were set.
    pub outputs: Variables,
    /// Before `continue-on-error`.
    pub outcome: Option<Conclusion>,
    /// After it.
    pub conclusion: Option<Conclusion>,
}

/// The `steps` context of a job or of a composite action.
#[derive(Clone, Debug, Default)]
pub struct StepRecords {
    records: indexmap::IndexMap<String, StepRecord>,
}

impl StepRecords {
    /// The record of a step; steps without an id of their own (`__run`) have none.
    pub fn entry(&mut self, id: &str) -> Option<&mut StepRecord> {
        let named = !id.is_empty() && !id.starts_with("__");
        named.then(|| self.records.entry(id.to_owned()).or_default())
    }

    /// Sets an output of a step.
    pub fn set_output(&mut self, id: &str, name: &str, value: &str) {
        if let Some(record) = self.entry(id) {
            record.outputs.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Sets how a step ended.
    pub fn set_result(&mut self, id: &str, outcome: Conclusion, conclusion: Conclusion) {
        if let Some(record) = self.entry(id) {
            record.outcome = Some(outcome);
            record.conclusion = Some(conclusion);
        }
    }

    /// The records of steps with an id, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &StepRecord)> {
        self.records.iter()
    }

    /// The context.
    pub fn to_value(&self) -> Value {
        let mut steps = Object::new();
        for (id, record) in &self.records {
            let mut step = Object::new();
            let outputs = record.outputs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            step.insert("outputs", text_object(outputs));
            for (key, value) in [("outcome", record.outcome), ("conclusion", record.conclusion)] {
                if let Some(value) = value {
                    step.insert(key, Value::String(value.as_str().into()));
                }
            }
            steps.insert(id.as_str(), Value::Object(step.into()));
        }
        Value::Object(steps.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_functions_look_at_the_composite_action_first() {
        let status = Status { job: Conclusion::Failure, action: Some(Conclusion::Success) };
        assert_eq!(status.answer("success"), Some(true));
        assert_eq!(status.answer("failure"), Some(false));
        let status = Status { job: Conclusion::Failure, action: None };
        assert_eq!(status.answer("failure"), Some(true));
        assert_eq!(status.answer("always"), Some(true));
        assert_eq!(status.answer("hashfiles"), None);
    }

    #[test]
    fn a_cancelled_job_is_neither_success_nor_failure() {
        let status = Status { job: Conclusion::Cancelled, action: None };
        assert_eq!(status.answer("success"), Some(false));
        assert_eq!(status.answer("failure"), Some(false));
        assert_eq!(status.answer("cancelled"), Some(true));
    }

    #[test]
    fn steps_without_an_id_are_not_in_the_context() {
        let mut records = StepRecords::default();
        records.set_output("__run", "a", "1");
        records.set_result("", Conclusion::Success, Conclusion::Success);
        assert!(records.records.is_empty());
    }
}
