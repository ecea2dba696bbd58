//! The expression language: text to syntax tree, syntax tree and contexts to a value.

mod value;

pub use value::{Object, Value};

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression {
    source: String,
}

/// Why a text is not an expression; the words are GitHub's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// GitHub's message, with position and expression.
    pub message: String,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// It is wrong.
    #[error("{0}")]
    Failed(String),
    /// It needs `hashFiles` of these patterns, which the scope does not know yet. The caller
    /// computes it, gives it to the scope, and evaluates again: so evaluation stays pure.
    #[error("hashFiles({0:?}) is not known yet")]
    NeedsHashFiles(Vec<String>),
}

/// Which names and functions an expression may use: checked when it is parsed.
#[derive(Clone, Debug)]
pub struct Allowed<'a> {
    /// Contexts (`github`, `env`), lower case.
    pub contexts: &'a [&'a str],
    /// Functions beyond the built-in ones (`success`, `failure`, `always`, `cancelled`, `hashFiles`).
    pub functions: &'a [&'a str],
}

/// Gives values to the names in an expression.
pub trait Scope {
    /// The context of this name (given in lower case), or `None` where it does not exist.
    fn context(&self, name: &str) -> Option<Value>;
    /// `success()`, `failure()`, `always()`, `cancelled()`, by lower-case name.
    fn status(&self, function: &str) -> Option<bool>;
    /// `hashFiles(patterns)`.
    fn hash_files(&self, patterns: &[String]) -> Result<String, EvaluateError> {
        Err(EvaluateError::NeedsHashFiles(patterns.to_vec()))
    }
}

impl Expression {
    /// Parses `source` (without `${{ }}`); `allowed` of `None` allows every name and function of the language.
    pub fn parse(source: &str, _allowed: Option<&Allowed<'_>>) -> Result<Expression, ParseError> {
        Ok(Expression { source: source.to_owned() })
    }
    /// The text.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// Whether `success`, `failure`, `always`, or `cancelled` is called in it.
    pub fn calls_status_function(&self) -> bool {
        unimplemented!()
    }
    /// Its value.
    pub fn evaluate(&self, _scope: &dyn Scope) -> Result<Value, EvaluateError> {
        unimplemented!()
    }
}

/// Evaluates all expressions of a template. `${{ insert }}` keys splice; keys become strings.
pub fn evaluate_template(_template: &model::Template, _scope: &dyn Scope) -> Result<Value, EvaluateError> {
    unimplemented!()
}
