//! What expressions of the plan can see.

use std::sync::Arc;

use model::{Conclusion, Secrets};

use crate::expr::{Scope, Value};

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

    /// Only conditions have status functions.
    fn status(&self, _function: &str) -> Option<bool> {
        None
    }
}

/// An object of the expression language.
pub(super) fn object<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::object(entries.into_iter().collect())
}

/// The `secrets` context.
pub(super) fn secrets_context(secrets: &Secrets) -> Value {
    object(secrets.iter().map(|(name, secret)| (name.as_str(), Value::from(secret.0.as_str()))))
}

/// How one job stands in `needs` and in `jobs`.
pub(super) fn job_context(conclusion: Conclusion, outputs: &[(String, String)]) -> Value {
    object([
        ("result", Value::from(conclusion.as_str())),
        ("outputs", object(outputs.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str()))))),
    ])
}
