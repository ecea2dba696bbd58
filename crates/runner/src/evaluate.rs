//! Evaluates what a step says, with `hashFiles` answered by the machine.

use guest::client::{Guest, GuestError};
use model::Template;
use workflow::expr::{EvaluateError, Expression, Scope, Value, evaluate_template};

use crate::contexts::StepScope;
use crate::hash_files::{HashFilesError, hash_files};

/// Different `hashFiles` calls that one value may hold.
const HASH_ROUNDS: usize = 256;

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluationError {
    /// The expression is wrong: the step fails.
    #[error("{0}")]
    Expression(String),
    /// The machine could not be asked.
    #[error(transparent)]
    Machine(#[from] GuestError),
}

/// Evaluates expressions for steps of one job.
#[derive(Clone)]
pub(crate) struct Evaluator {
    /// Answers `hashFiles`.
    pub(crate) guest: Guest,
    /// Where relative patterns start.
    pub(crate) workspace: String,
    /// What `~` means in patterns.
    pub(crate) home: String,
}

impl Evaluator {
    /// The value of a template.
    pub(crate) async fn template(
        &self,
        template: &Template,
        scope: &mut StepScope,
    ) -> Result<Value, EvaluationError> {
        // The common case needs no scope at all.
        if let Template::String(text) = template {
            return Ok(Value::String(text.as_str().into()));
        }
        self.complete(scope, |scope| evaluate_template(template, scope)).await
    }

    /// The value of an optional template as text; `None` for null and absent ones.
    pub(crate) async fn text(
        &self,
        template: Option<&Template>,
        scope: &mut StepScope,
    ) -> Result<Option<String>, EvaluationError> {
        let Some(template) = template else { return Ok(None) };
        Ok(match self.template(template, scope).await? {
            Value::Null => None,
            value => Some(value.to_text()),
        })
    }

    /// The value of an optional mapping as pairs of text.
    pub(crate) async fn pairs(
        &self,
        template: Option<&Template>,
        what: &str,
        scope: &mut StepScope,
    ) -> Result<Vec<(String, String)>, EvaluationError> {
        let Some(template) = template else { return Ok(Vec::new()) };
        match self.template(template, scope).await? {
            Value::Null => Ok(Vec::new()),
            Value::Object(object) => object.iter().map(|(key, value)| pair(what, key, value)).collect(),
            other => Err(EvaluationError::Expression(format!(
                "{what} must be a mapping, but its expression gives '{}'",
                other.to_text()
            ))),
        }
    }

    /// Whether a condition holds.
    pub(crate) async fn condition(
        &self,
        source: &str,
        scope: &mut StepScope,
    ) -> Result<bool, EvaluationError> {
        if source.trim().is_empty() {
            return Ok(scope.status("success").unwrap_or(false));
        }
        let expression = Expression::parse(source, None)
            .map_err(|error| EvaluationError::Expression(error.to_string()))?;
        Ok(self.complete(scope, |scope| expression.evaluate(scope)).await?.truthy())
    }

    /// Evaluates until no digest is missing.
    async fn complete(
        &self,
        scope: &mut StepScope,
        evaluate: impl Fn(&StepScope) -> Result<Value, EvaluateError>,
    ) -> Result<Value, EvaluationError> {
        for _ in 0..HASH_ROUNDS {
            match evaluate(scope) {
                Ok(value) => return Ok(value),
                Err(EvaluateError::Failed(message)) => return Err(EvaluationError::Expression(message)),
                Err(EvaluateError::NeedsHashFiles(patterns)) => {
                    let digest = hash_files(&self.guest, &self.workspace, &self.home, &patterns).await;
                    let digest = digest.map_err(|error| match error {
                        HashFilesError::Machine(error) => machine_error(error, &patterns),
                        wrong => EvaluationError::Expression(wrong.to_string()),
                    })?;
                    scope.remember_hash(patterns, digest);
                }
            }
        }
        Err(EvaluationError::Expression(format!("more than {HASH_ROUNDS} different calls of hashFiles")))
    }
}

fn machine_error(error: GuestError, patterns: &[String]) -> EvaluationError {
    match error {
        GuestError::Lost { .. } => EvaluationError::Machine(error),
        other => EvaluationError::Expression(format!("hashFiles('{}') failed. {other}", patterns.join(", "))),
    }
}

fn pair(what: &str, key: &str, value: &Value) -> Result<(String, String), EvaluationError> {
    match value {
        Value::Array(_) | Value::Object(_) => Err(EvaluationError::Expression(format!(
            "{what}: the value of '{key}' must be text, not a list or mapping"
        ))),
        scalar => Ok((key.to_owned(), scalar.to_text())),
    }
}
