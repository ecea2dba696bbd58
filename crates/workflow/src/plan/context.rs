//! What expressions of the plan can see.

use std::sync::Arc;

use model::{Conclusion, Secrets};

use crate::expr::{Object, Scope, Value};

/// The contexts for one evaluation. A context that GitHub does not allow at a key is left
/// out, so that naming it is an error and not silently empty.
#[derive(Clone, Debug)]
pub(super) struct Contexts {
    pub(super) github: Value,
    pub(super) vars: Value,
    pub(super) inputs: Value,
    pub(super) needs: Option<Value>,
    pub(super) strategy: Option<Value>,
    pub(super) matrix: Option<Value>,
    pub(super) secrets: Option<Value>,
    pub(super) jobs: Option<Value>,
    /// Only conditions have status functions.
    pub(super) status: Option<Status>,
}

/// What the status functions of a job's `if` answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// No ancestor failed, was skipped, or was cancelled; the run goes on.
    pub(super) success: bool,
    /// An ancestor failed.
    pub(super) failure: bool,
    /// The run (or the call that the job belongs to) is being cancelled.
    pub(super) cancelled: bool,
}

impl Contexts {
    /// The three contexts that exist everywhere.
    pub(super) fn new(github: Value, vars: Value, inputs: Value) -> Contexts {
        Contexts {
            github,
            vars,
            inputs,
            needs: None,
            strategy: None,
            matrix: None,
            secrets: None,
            jobs: None,
            status: None,
        }
    }
}

impl Scope for Contexts {
    fn context(&self, name: &str) -> Option<Value> {
        match name {
            "github" => Some(self.github.clone()),
            "vars" => Some(self.vars.clone()),
            "inputs" => Some(self.inputs.clone()),
            "needs" => self.needs.clone(),
            "strategy" => self.strategy.clone(),
            "matrix" => self.matrix.clone(),
            "secrets" => self.secrets.clone(),
            "jobs" => self.jobs.clone(),
            _ => None,
        }
    }

    fn status(&self, function: &str) -> Option<bool> {
        let status = self.status?;
        match function {
            "success" => Some(status.success),
            "failure" => Some(status.failure),
            "cancelled" => Some(status.cancelled),
            "always" => Some(true),
            _ => None,
        }
    }
}

/// An object of the expression language.
pub(super) fn object<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    let mut object = Object::new();
    for (key, value) in entries {
        object.insert(key, value);
    }
    Value::Object(Arc::new(object))
}

/// A string of the expression language.
pub(super) fn text(value: &str) -> Value {
    Value::String(value.into())
}

/// The `secrets` context.
pub(super) fn secrets_context(secrets: &Secrets) -> Value {
    object(secrets.iter().map(|(name, secret)| (name.as_str(), text(&secret.0))))
}

/// How one job stands in `needs` and in `jobs`.
pub(super) fn job_context(conclusion: Conclusion, outputs: &[(String, String)]) -> Value {
    object([
        ("result", text(conclusion.as_str())),
        ("outputs", object(outputs.iter().map(|(name, value)| (name.as_str(), text(value))))),
    ])
}
