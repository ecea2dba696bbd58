//! Values, what they are worth as another kind, and how two of them compare.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::number::{format_number, parse_number};
use super::{Object, ordinal};

/// A value of the language. Clones are cheap; lists and mappings are equal only to themselves.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Double precision, with NaN and infinities.
    Number(f64),
    /// Text.
    String(Arc<str>),
    /// A list.
    Array(Arc<Vec<Value>>),
    /// A mapping; keys keep their order and are found without case.
    Object(Arc<Object>),
}

impl Value {
    /// Text.
    pub fn string(text: impl Into<Arc<str>>) -> Value {
        Value::String(text.into())
    }

    /// A list.
    pub fn array(items: Vec<Value>) -> Value {
        Value::Array(Arc::new(items))
    }

    /// A mapping.
    pub fn object(object: Object) -> Value {
        Value::Object(Arc::new(object))
    }

    /// GitHub's conversion to a boolean: null, false, 0, NaN, and "" are false.
    pub fn truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::String(text) => !text.is_empty(),
            Value::Array(_) | Value::Object(_) => true,
        }
    }

    /// GitHub's complaint about a value of a kind that does not belong where it stands.
    pub fn unexpected(&self) -> String {
        match self {
            Value::Array(_) => "A sequence was not expected".to_owned(),
            Value::Object(_) => "A mapping was not expected".to_owned(),
            scalar => format!("Unexpected value '{}'", scalar.text()),
        }
    }

    /// GitHub's conversion to text: null is "", objects are `Object`, arrays `Array`.
    pub fn to_text(&self) -> String {
        self.text().into_owned()
    }

    /// As [`Value::to_text`], without a copy where the value is text already.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Null => Cow::Borrowed(""),
            Value::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Value::Number(number) => Cow::Owned(format_number(*number)),
            Value::String(text) => Cow::Borrowed(text),
            Value::Array(_) | Value::Object(_) => Cow::Borrowed(self.kind()),
        }
    }

    /// GitHub's conversion to a number: null and "" are 0, what spells no number, lists, and
    /// mappings are NaN.
    pub fn to_number(&self) -> f64 {
        match self {
            Value::Null => 0.0,
            Value::Bool(value) => f64::from(u8::from(*value)),
            Value::Number(number) => *number,
            Value::String(text) => parse_number(text),
            Value::Array(_) | Value::Object(_) => f64::NAN,
        }
    }

    /// The text of a string; `None` for every other kind.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Its kind in GitHub's words: `Null`, `Boolean`, `Number`, `String`, `Array`, `Object`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "Null",
            Value::Bool(_) => "Boolean",
            Value::Number(_) => "Number",
            Value::String(_) => "String",
            Value::Array(_) => "Array",
            Value::Object(_) => "Object",
        }
    }

    /// Whether it is neither a list nor a mapping.
    pub fn is_primitive(&self) -> bool {
        !matches!(self, Value::Array(_) | Value::Object(_))
    }

    /// `==`: different kinds meet as numbers, text has no case, lists and mappings equal only themselves.
    pub fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Array(left), Value::Array(right)) => Arc::ptr_eq(left, right),
            (Value::Object(left), Value::Object(right)) => Arc::ptr_eq(left, right),
            (Value::String(left), Value::String(right)) => ordinal::equals(left, right),
            (Value::Null, Value::Null) => true,
            (left, right) if left.is_primitive() && right.is_primitive() => {
                left.to_number() == right.to_number()
            }
            _ => false,
        }
    }

    /// Order for `<` and `>`; `None` where the two have none (NaN, lists, mappings, two nulls).
    pub fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::String(left), Value::String(right)) => Some(ordinal::compare(left, right)),
            (Value::Null, Value::Null) => None,
            (left, right) if left.is_primitive() && right.is_primitive() => {
                left.to_number().partial_cmp(&right.to_number())
            }
            _ => None,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value.into())
    }
}
