//! Lays the shape of a language over a tree: what fits becomes a [`Node`], what does not is reported.
//!
//! The order and the words of what is reported are GitHub's.

mod mapping;
mod scalar;

pub(super) use scalar::expression_hint;

use std::rc::Rc;

use super::definition::Definition;
use crate::diagnostic::codes;
use crate::expr;
use crate::syntax::{Node, NodeKind};
use crate::yaml::{self, Problems, Value};

/// Reads a tree that shall have this shape.
pub(super) fn read(root: &yaml::Node, shape: &'static Definition, problems: &mut Problems) -> Node {
    let nothing = Rc::new(Names::default());
    Reader { problems }.value(root, &Place::inside(&nothing, shape))
}

/// What expressions may use at a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    contexts: Vec<&'static str>,
    functions: Vec<&'static str>,
}

impl Names {
    /// Those of a definition by itself.
    pub(super) fn of(definition: &Definition) -> Names {
        Names { contexts: definition.contexts.to_vec(), functions: definition.functions.to_vec() }
    }

    /// As the expression language wants it.
    pub(super) fn allowed(&self) -> expr::Allowed<'_> {
        expr::Allowed { contexts: &self.contexts, functions: &self.functions }
    }

    fn is_empty(&self) -> bool {
        self.contexts.is_empty() && self.functions.is_empty()
    }
}

/// A definition, and what the definitions around it allow in it.
#[derive(Clone)]
struct Place {
    definition: &'static Definition,
    names: Rc<Names>,
}

impl Place {
    fn inside(around: &Rc<Names>, definition: &'static Definition) -> Place {
        if definition.contexts.is_empty() && definition.functions.is_empty() {
            return Place { definition, names: around.clone() };
        }
        let mut names = Names::clone(around);
        extend(&mut names.contexts, definition.contexts);
        extend(&mut names.functions, definition.functions);
        Place { definition, names: Rc::new(names) }
    }

    fn child(&self, definition: &'static Definition) -> Place {
        Place::inside(&self.names, definition)
    }
}

fn extend(known: &mut Vec<&'static str>, more: &[&'static str]) {
    for name in more {
        if !known.contains(name) {
            known.push(name);
        }
    }
}

struct Reader<'a> {
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn value(&mut self, node: &yaml::Node, place: &Place) -> Node {
        let kind = match &node.value {
            Value::Sequence(items) => self.sequence(node, items, place),
            Value::Mapping(pairs) => self.mapping(node, pairs, place),
            _ => self.scalar(node, place),
        };
        Node { span: node.span.clone(), kind }
    }

    fn sequence(&mut self, node: &yaml::Node, items: &[yaml::Node], place: &Place) -> NodeKind {
        let Some(item) = place.definition.item() else {
            if self.problems.is_whole(&node.span) {
                self.problems.error(codes::UNEXPECTED_SEQUENCE, &node.span, "A sequence was not expected");
            }
            return NodeKind::Sequence(Vec::new());
        };
        let item_place = place.child(item);
        NodeKind::Sequence(items.iter().map(|item| self.value(item, &item_place)).collect())
    }
}
