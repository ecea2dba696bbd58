//! Mappings whose keys are found without regard to case.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use super::{Value, ordinal};

/// Up to this many keys a look through all of them is faster than hashing one.
const SCANNED_KEYS: usize = 12;

/// A mapping whose keys keep order and spelling and are found without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Object {
    entries: Vec<(Arc<str>, Value)>,
    /// Case counts after all.
    exact: bool,
    index: Option<Box<Index>>,
}

/// Places of keys by the hash of their upper case.
#[derive(Clone, Debug, Default)]
struct Index {
    state: RandomState,
    places: HashMap<u64, Vec<usize>>,
}

impl Object {
    /// An empty one.
    pub fn new() -> Object {
        Object::default()
    }

    /// An empty one whose keys differ by case too: `env` on Linux, where variables do.
    pub fn case_sensitive() -> Object {
        Object { exact: true, ..Object::default() }
    }

    /// Finds a key without regard to case (unless it is case-sensitive).
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.place(key).map(|place| &self.entries[place].1)
    }

    /// Sets a key; an equal one (without case) keeps its place and spelling.
    pub fn insert(&mut self, key: impl Into<Arc<str>>, value: Value) {
        let key = key.into();
        match self.place(&key) {
            Some(place) => self.entries[place].1 = value,
            None => self.push(key, value),
        }
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn place(&self, key: &str) -> Option<usize> {
        let has_key = |place: &usize| match (&*self.entries[*place].0, self.exact) {
            (own, true) => own == key,
            (own, false) => ordinal::equals(own, key),
        };
        match &self.index {
            Some(index) => index.candidates(key).iter().copied().find(has_key),
            None => (0..self.entries.len()).find(has_key),
        }
    }

    fn push(&mut self, key: Arc<str>, value: Value) {
        if let Some(index) = &mut self.index {
            index.add(&key, self.entries.len());
        }
        self.entries.push((key, value));
        if self.index.is_none() && self.entries.len() > SCANNED_KEYS {
            let mut index = Index::default();
            for (place, (key, _)) in self.entries.iter().enumerate() {
                index.add(key, place);
            }
            self.index = Some(Box::new(index));
        }
    }
}

impl Index {
    fn hash(&self, key: &str) -> u64 {
        let mut hasher = self.state.build_hasher();
        ordinal::hash(key, &mut hasher);
        hasher.finish()
    }

    fn candidates(&self, key: &str) -> &[usize] {
        self.places.get(&self.hash(key)).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, key: &str, place: usize) {
        let hash = self.hash(key);
        self.places.entry(hash).or_default().push(place);
    }
}

impl<K: Into<Arc<str>>> FromIterator<(K, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(pairs: I) -> Object {
        let mut object = Object::new();
        for (key, value) in pairs {
            object.insert(key, value);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_twice_keeps_its_place_and_spelling() {
        let mut object: Object = [("Path", Value::Null), ("b", Value::Null)].into_iter().collect();
        object.insert("PATH", Value::Bool(true));
        assert_eq!(object.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["Path", "b"]);
        assert!(matches!(object.get("path"), Some(Value::Bool(true))));
    }

    #[test]
    fn case_counts_where_it_should() {
        let mut object = Object::case_sensitive();
        for number in 0..20 {
            object.insert(format!("key{number}"), Value::Null);
            object.insert(format!("KEY{number}"), Value::Bool(true));
        }
        assert_eq!(object.len(), 40);
        assert!(matches!(object.get("key7"), Some(Value::Null)));
        assert!(matches!(object.get("KEY7"), Some(Value::Bool(true))));
        assert!(object.get("Key7").is_none());
    }

    #[test]
    fn many_keys_are_found_without_case_too() {
        let mut object: Object = (0..1000)
            .map(|number| (format!("Schlüssel-{number}"), Value::Number(f64::from(number))))
            .collect();
        object.insert("SCHLÜSSEL-700", Value::Null);
        assert_eq!(object.len(), 1000);
        assert!(matches!(object.get("schlüssel-700"), Some(Value::Null)));
        assert!(matches!(object.get("SCHLüSSEL-999"), Some(Value::Number(number)) if *number == 999.0));
        assert!(object.get("schlüssel-1000").is_none());
    }
}
