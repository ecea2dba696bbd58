//! The expression language: text to syntax tree, syntax tree and contexts to a value.
//!
//! What GitHub documents is at
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions>; where it is
//! silent, this follows what GitHub's own runner does.

mod budget;
mod evaluator;
mod format;
mod function;
mod json;
mod lexer;
mod number;
mod object;
mod ordinal;
mod parser;
mod template;
mod tree;
mod value;

use self::function::{Arity, Function};
use self::tree::Tree;

pub use object::Object;
pub use template::{evaluate_template, fold_text};
pub use value::Value;

/// Contexts that the language knows.
pub const CONTEXTS: [&str; 12] = [
    "github", "env", "vars", "job", "jobs", "steps", "runner", "secrets", "strategy", "matrix", "needs",
    "inputs",
];

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression {
    source: String,
    tree: Tree,
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
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// Contexts (`github`, `env`), without regard to case.
    pub contexts: &'a [&'a str],
    /// Functions beyond the built-in ones (`success`, `failure`, `always`, `cancelled`, `hashFiles`).
    /// `name(min,max)` bounds the arguments, where `max` may be `MAX`, as GitHub's schema writes
    /// it: `hashFiles(1,255)`; a bare name has the function's own bounds.
    pub functions: &'a [&'a str],
}

/// Gives values to the names in an expression.
pub trait Scope {
    /// The context of this name (given in lower case), or `None` where it does not exist, which
    /// counts as null.
    ///
    /// A list or mapping equals only itself, so one evaluation should be given clones of one
    /// [`Value`], not two that were built alike.
    fn context(&self, name: &str) -> Option<Value>;
    /// `success()`, `failure()`, `always()`, `cancelled()`, by lower-case name; `None` where it
    /// can't be called.
    fn status(&self, function: &str) -> Option<bool>;
    /// `success('a', 'b')` and `failure(..)` of certain jobs.
    fn status_of_jobs(&self, function: &str, _jobs: &[String]) -> Option<bool> {
        self.status(function)
    }
    /// `hashFiles(patterns)`.
    fn hash_files(&self, patterns: &[String]) -> Result<String, EvaluateError> {
        Err(EvaluateError::NeedsHashFiles(patterns.to_vec()))
    }
}

impl Expression {
    /// Parses `source` (without `${{ }}`); `allowed` of `None` allows every name and function of
    /// the language. An empty one is null.
    pub fn parse(source: &str, allowed: Option<&Allowed<'_>>) -> Result<Expression, ParseError> {
        let tree = parser::parse(source, allowed)?;
        Ok(Expression { source: source.to_owned(), tree })
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether `success`, `failure`, `always`, or `cancelled` is called in it.
    pub fn calls_status_function(&self) -> bool {
        self.tree.functions().any(Function::is_status)
    }

    /// The pattern of the `format` that it is as a whole: what text with expressions in it becomes.
    pub fn format_pattern(&self) -> Option<&str> {
        self.tree.format_pattern()
    }

    /// Its value.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, EvaluateError> {
        evaluator::evaluate(&self.tree, &self.source, scope)
    }
}

impl Allowed<'_> {
    fn context_in(allowed: Option<&Allowed<'_>>, name: &str) -> bool {
        let contexts = allowed.map_or(&CONTEXTS[..], |allowed| allowed.contexts);
        contexts.iter().any(|context| context.eq_ignore_ascii_case(name))
    }

    fn function_in(allowed: Option<&Allowed<'_>>, name: &str) -> Option<(Function, Arity)> {
        let (function, arity) = Function::find(name)?;
        let Some(allowed) = allowed.filter(|_| !function.is_built_in()) else {
            return Some((function, arity));
        };
        let bounds = allowed.functions.iter().find_map(|signature| {
            let (known, bounds) = function::parse_signature(signature);
            known.eq_ignore_ascii_case(name).then_some(bounds)
        })?;
        Some((function, bounds.unwrap_or(arity)))
    }
}

impl ParseError {
    /// GitHub's form; it counts positions in UTF-16 code units from 1.
    fn at(problem: &str, token: &str, offset: usize, source: &str) -> ParseError {
        let position = source[..offset].encode_utf16().count() + 1;
        let message =
            format!("{problem}: '{token}'. Located at position {position} within expression: {source}");
        ParseError { message }
    }
}

#[cfg(test)]
mod tests;
