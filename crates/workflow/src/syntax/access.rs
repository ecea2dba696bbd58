//! Ways into the tree of a [`Node`], and out of it.

use super::workflow::{Node, NodeKind};
use crate::expr;
use crate::span::Spanned;

impl Node {
    /// Pairs of a mapping whose keys are text; nothing for other kinds.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Node, &Node)> {
        let pairs: &[(Node, Node)] = match &self.kind {
            NodeKind::Mapping(pairs) => pairs,
            _ => &[],
        };
        pairs.iter().filter_map(|(key, value)| Some((key.text()?, key, value)))
    }

    /// The value of a key of a mapping, by its exact name.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().find_map(|(name, _, value)| (name == key).then_some(value))
    }

    /// Items of a list; nothing for other kinds.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            NodeKind::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Text without expressions.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Text without expressions, with its place.
    pub fn spanned_text(&self) -> Option<Spanned<String>> {
        self.text().map(|text| Spanned { value: text.to_owned(), span: self.span.clone() })
    }

    /// A literal scalar as GitHub writes it; `None` for expressions, lists, and mappings.
    pub fn literal(&self) -> Option<String> {
        match &self.kind {
            NodeKind::Null => Some(String::new()),
            NodeKind::Bool(value) => Some(value.to_string()),
            NodeKind::Number(number) => Some(expr::Value::Number(*number).to_text()),
            NodeKind::String(text) => Some(text.clone()),
            NodeKind::Expression(_) | NodeKind::Sequence(_) | NodeKind::Mapping(_) => None,
        }
    }

    /// A literal boolean.
    pub fn boolean(&self) -> Option<bool> {
        match self.kind {
            NodeKind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is an expression as a whole.
    pub fn is_expression(&self) -> bool {
        matches!(self.kind, NodeKind::Expression(_))
    }

    /// Whether there is an expression anywhere in it.
    pub fn has_expression(&self) -> bool {
        match &self.kind {
            NodeKind::Expression(_) => true,
            NodeKind::Sequence(items) => items.iter().any(Node::has_expression),
            NodeKind::Mapping(pairs) => {
                pairs.iter().any(|(key, value)| key.is_expression() || value.has_expression())
            }
            _ => false,
        }
    }
}
