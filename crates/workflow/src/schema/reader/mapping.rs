//! Mappings: which keys there are, and which kind of mapping they make.

use std::collections::HashSet;

use super::scalar::scalar_text;
use super::{Place, Reader};
use crate::diagnostic::{Diagnostic, codes};
use crate::nearest;
use crate::schema::definition::{ANY, Mapping, Others, Property};
use crate::span::Span;
use crate::syntax::{Node, NodeKind};
use crate::yaml::{self, Value};

/// Keys of a mapping so far.
#[derive(Default)]
struct Keys {
    /// In upper case: the same key in another case is the same key.
    seen: HashSet<String>,
    has_expression: bool,
}

impl Reader<'_> {
    pub(super) fn mapping(
        &mut self,
        node: &yaml::Node,
        pairs: &[(yaml::Node, yaml::Node)],
        place: &Place,
    ) -> NodeKind {
        let mut candidates = place.definition.mappings();
        let Some(first) = candidates.first() else {
            if !self.problems.is_whole(&node.span) {
                return NodeKind::Mapping(Vec::new());
            }
            self.problems.error(codes::UNEXPECTED_MAPPING, &node.span, "A mapping was not expected");
            return NodeKind::Mapping(Vec::new());
        };
        let others = &first.others;
        let mut keys = Keys::default();
        let mut read = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            match self.key(key, &mut keys, place) {
                Some(key @ Node { kind: NodeKind::Expression(_), .. }) => {
                    let value = self.value(value, &place.child(value_of_expression(&candidates)));
                    read.push((key, value));
                }
                Some(key) => {
                    let name = scalar_text(&key.kind);
                    let value_place = self.place_of(&name, &key.span, &mut candidates, others, place);
                    if let Some(value_place) = value_place {
                        let value = self.value(value, &value_place);
                        read.push((key, value));
                    } else if matches!(others, Others::Ignored) {
                        // One that is required in another case is still missing.
                        keys.seen.remove(&name.to_uppercase());
                    }
                }
                None => {}
            }
        }
        self.check_whole(&node.span, &candidates, &keys);
        NodeKind::Mapping(read)
    }

    /// A key as text or expression; `None` when its pair is to be skipped.
    fn key(&mut self, key: &yaml::Node, keys: &mut Keys, place: &Place) -> Option<Node> {
        let span = key.span.clone();
        let kind = match &key.value {
            Value::String(text) => self.text(text, &span, &place.names),
            other => NodeKind::String(other.scalar_text()?),
        };
        if let NodeKind::Expression(_) = kind {
            keys.has_expression = true;
            if place.names.is_empty() {
                self.expression_not_allowed(&span);
                return None;
            }
            return Some(Node { span, kind });
        }
        let name = scalar_text(&kind);
        if !keys.seen.insert(name.to_uppercase()) {
            let message = format!("'{name}' is already defined");
            let hint = "keys are compared without regard to case: remove one of them";
            self.problems.error_with_hint(codes::DUPLICATE_KEY, &span, message, hint);
            return None;
        }
        Some(Node { span, kind })
    }

    /// Where the value of a key stands; narrows the candidates to those that have the key.
    fn place_of(
        &mut self,
        name: &str,
        span: &Span,
        candidates: &mut Vec<&'static Mapping>,
        others: &Others,
        place: &Place,
    ) -> Option<Place> {
        let property = candidates.iter().find_map(|mapping| find(mapping, name));
        if let Some(property) = property {
            candidates.retain(|mapping| find(mapping, name).is_some());
            return Some(place.child(property.definition));
        }
        match others {
            Others::Named(key, value) => {
                let text = NodeKind::String(name.to_owned());
                self.check_name(&text, span, &place.child(key));
                Some(place.child(value))
            }
            Others::Ignored => {
                let message = format!("The key '{name}' is not known here and is ignored");
                let warning = Diagnostic::warning(codes::IGNORED_KEY, span.clone(), message);
                self.problems.add(warning.with_hint(similar_or_all(name, candidates)));
                None
            }
            Others::Refused => {
                let message = format!("Unexpected value '{name}'");
                let hint = similar_or_all(name, candidates);
                self.problems.error_with_hint(codes::UNEXPECTED_VALUE, span, message, hint);
                None
            }
        }
    }

    fn check_name(&mut self, name: &NodeKind, span: &Span, place: &Place) {
        let node = yaml::Node { span: span.clone(), value: Value::String(scalar_text(name)) };
        // A key's expressions have been read: only the text is judged.
        if scalar_text(name).is_empty() {
            self.scalar(&node, place);
        }
    }

    fn check_whole(&mut self, span: &Span, candidates: &[&'static Mapping], keys: &Keys) {
        if let [mapping] = candidates {
            if keys.has_expression {
                return;
            }
            for property in mapping.properties.iter().filter(|property| property.is_required) {
                let is_seen = keys.seen.contains(&property.name.to_uppercase());
                if !is_seen && !self.problems.may_hide(span, property.name) {
                    let message = format!("Required property is missing: {}", property.name);
                    let hint = format!("add `{}:`", property.name);
                    self.problems.error_with_hint(codes::REQUIRED_PROPERTY, span, message, hint);
                }
            }
        } else if candidates.len() > 1 && self.problems.is_whole(span) {
            let message = format!(
                "There's not enough info to determine what you meant. Add one of these properties: {}",
                telling_keys(candidates).join(", ")
            );
            self.problems.error(codes::AMBIGUOUS_MAPPING, span, message);
        }
    }
}

fn find(mapping: &'static Mapping, name: &str) -> Option<&'static Property> {
    mapping.properties.iter().find(|property| property.name == name)
}

/// What may stand behind a key that is an expression.
fn value_of_expression(candidates: &[&'static Mapping]) -> &'static crate::schema::definition::Definition {
    match candidates {
        [Mapping { properties: [], others: Others::Named(_, value) }] => value,
        _ => &ANY,
    }
}

/// Keys that only one of the candidates has.
fn telling_keys(candidates: &[&'static Mapping]) -> Vec<&'static str> {
    let names = candidates.iter().flat_map(|mapping| mapping.properties).map(|property| property.name);
    let mut telling: Vec<_> = names
        .filter(|name| candidates.iter().filter(|mapping| find(mapping, name).is_some()).count() == 1)
        .collect();
    telling.sort_unstable();
    telling
}

fn similar_or_all(name: &str, candidates: &[&'static Mapping]) -> String {
    let mut known: Vec<&str> =
        candidates.iter().flat_map(|mapping| mapping.properties).map(|property| property.name).collect();
    known.sort_unstable();
    known.dedup();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("keys that are known here: {}", known.join(", ")),
    }
}
