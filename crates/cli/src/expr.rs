//! `hearth expr`: the value of an expression, to try one out.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};
use workflow::expr::{EvaluateError, Expression, Object, Scope, Value};

use crate::args::{ExprArgs, ExprFormat};
use crate::exit;
use crate::json;

/// Evaluates the expression. Returns the exit code.
pub(crate) fn expr(args: &ExprArgs) -> Result<u8> {
    let contexts = match &args.contexts {
        Some(path) => read_contexts(path)?,
        None => Object::new(),
    };
    match (evaluate(&args.expression, &contexts), args.format) {
        (Ok(value), ExprFormat::Json) => {
            say!("{}", json::line(&json!({"kind": value.kind(), "value": value.to_json()})));
            Ok(exit::SUCCESS)
        }
        (Ok(value), ExprFormat::Text) => {
            say!("{}", text(&value));
            Ok(exit::SUCCESS)
        }
        (Err(error), ExprFormat::Json) => {
            say!("{}", json::line(&json!({"error": error})));
            Ok(exit::FAILURE)
        }
        (Err(error), ExprFormat::Text) => {
            eprintln!("hearth: {error}");
            Ok(exit::FAILURE)
        }
    }
}

fn read_contexts(path: &Path) -> Result<Object> {
    let bytes = std::fs::read(path).with_context(|| format!("can't read the contexts {}", path.display()))?;
    let json: Json = serde_json::from_slice(&bytes)
        .with_context(|| format!("the contexts {} are not JSON", path.display()))?;
    match json {
        Json::Object(entries) => {
            Ok(entries.iter().map(|(name, value)| (name.as_str(), Value::from_json(value))).collect())
        }
        _ => bail!("the contexts {} are not a JSON object", path.display()),
    }
}

/// The contexts given are all that there are, so that a misspelled one is an error, as in a workflow.
fn evaluate(source: &str, contexts: &Object) -> Result<Value, String> {
    let inner = source.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    let names: Vec<String> = contexts.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let allowed = workflow::expr::Allowed { contexts: &names, functions: FUNCTIONS_OF_JOBS };
    let expression =
        Expression::parse(inner.unwrap_or(source).trim(), Some(&allowed)).map_err(|e| e.to_string())?;
    expression.evaluate(&Given(contexts)).map_err(|error| match error {
        EvaluateError::NeedsHashFiles(_) => {
            "hashFiles looks at the files of a job, which there is none of here: run it in a step".to_owned()
        }
        EvaluateError::Failed(message) => message,
    })
}

/// Functions that depend on a job; here a job that has gone well so far.
const FUNCTIONS_OF_JOBS: &[&str] = &["success", "failure", "always", "cancelled", "hashFiles"];

struct Given<'a>(&'a Object);

impl Scope for Given<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }

    fn status(&self, function: &str) -> Option<bool> {
        Some(matches!(function, "success" | "always"))
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => {
            json::pretty(&value.to_json()).unwrap_or_else(|_| value.to_text())
        }
        plain => plain.to_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_taken_with_and_without_its_braces() {
        let contexts: Object = [("github", Value::from_json(&json!({"ref": "main"})))].into_iter().collect();
        for source in ["github.ref == 'MAIN'", "${{ github.ref == 'main' }}"] {
            assert_eq!(evaluate(source, &contexts).map(|value| value.to_json()), Ok(json!(true)), "{source}");
        }
    }

    #[test]
    fn hash_files_is_known_and_says_that_it_needs_a_job() {
        let error = evaluate("hashFiles('**/x')", &Object::new()).unwrap_err();
        assert!(error.starts_with("hashFiles looks at the files of a job"), "{error}");
    }

    #[test]
    fn a_context_that_was_not_given_is_an_error_in_githubs_words() {
        let error = evaluate("githb.ref", &Object::new()).unwrap_err();
        assert!(error.starts_with("Unrecognized named-value: 'githb'"), "{error}");
    }
}
