//! The tree.

use crate::expr;
use crate::span::Span;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// From its first character (tag and anchor included) to one past its last.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A scalar that was reported and has no value.
    Invalid,
    /// `null`, `~`, or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Pairs in the order of the file; a key may occur more than once.
    Mapping(Vec<(Node, Node)>),
}

impl Value {
    /// A scalar as text, as GitHub writes it; `None` for lists and mappings.
    pub fn scalar_text(&self) -> Option<String> {
        match self {
            Value::Invalid | Value::Null => Some(String::new()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(value) => Some(expr::Value::Number(*value).to_text()),
            Value::String(text) => Some(text.clone()),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }
}
