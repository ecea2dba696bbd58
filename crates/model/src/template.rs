//! Values that may hold expressions which nobody has evaluated yet.

use serde::{Deserialize, Serialize};

/// A tree of values in which any leaf or key may still be an expression.
///
/// It is the neutral form of what a workflow file says: the `workflow` crate
/// makes it from GitHub's language, a forge makes it from a job payload, and the
/// runner evaluates it when the step's contexts are known. A string that mixes
/// text and expressions has become one `format(...)` expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// An empty scalar.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number; the language has one kind only.
    Number(f64),
    /// Text without expressions.
    String(String),
    /// The source of an expression, without `${{` and `}}`.
    Expression(String),
    /// A list.
    Sequence(Vec<Template>),
    /// Pairs in the order of the file. A key `Expression("insert")` splices the
    /// mapping that its value evaluates to (`${{ insert }}`).
    Mapping(Vec<(Template, Template)>),
}

impl Template {
    /// A literal string.
    pub fn text(text: impl Into<String>) -> Self {
        Template::String(text.into())
    }

    /// An expression, given without `${{` and `}}`.
    pub fn expression(source: impl Into<String>) -> Self {
        Template::Expression(source.into())
    }
}
