//! Values and their coercions.

use std::sync::Arc;

/// A value of the language.
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

/// A mapping whose keys keep order and spelling and are found without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Object {
    _entries: Vec<(Arc<str>, Value)>,
}

impl Value {
    /// GitHub's conversion to a boolean: null, false, 0, NaN, and "" are false.
    pub fn truthy(&self) -> bool {
        unimplemented!()
    }
    /// GitHub's conversion to text: null is "", objects are `Object`, arrays `Array`.
    pub fn to_text(&self) -> String {
        unimplemented!()
    }
    /// From JSON.
    pub fn from_json(_json: &serde_json::Value) -> Value {
        unimplemented!()
    }
    /// To JSON, as `toJSON` shows it (NaN and infinities become text).
    pub fn to_json(&self) -> serde_json::Value {
        unimplemented!()
    }
}

impl Object {
    /// An empty one.
    pub fn new() -> Object {
        Object::default()
    }
    /// Finds a key without regard to case.
    pub fn get(&self, _key: &str) -> Option<&Value> {
        unimplemented!()
    }
    /// Sets a key; an equal one (without case) keeps its place and spelling.
    pub fn insert(&mut self, _key: impl Into<Arc<str>>, _value: Value) {
        unimplemented!()
    }
    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self._entries.iter().map(|(k, v)| (&**k, v))
    }
}
