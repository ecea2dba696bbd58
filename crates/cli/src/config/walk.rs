//! Which keys a type reads, found out by asking it: each is offered to it alone.

use std::cell::RefCell;

use serde::de::value::Error;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// What a type asks for at a place.
enum Asked {
    Keys(&'static [&'static str]),
    Value,
}

/// All keys with values of their own, dots between their names.
pub(crate) fn keys<T: DeserializeOwned>() -> Vec<String> {
    let mut found = Vec::new();
    walk::<T>(&mut Vec::new(), &mut found);
    found
}

fn walk<T: DeserializeOwned>(path: &mut Vec<&'static str>, found: &mut Vec<String>) {
    let asked = RefCell::new(Asked::Value);
    // It never gets all that it wants.
    let _ = T::deserialize(Probe { path, asked: &asked });
    match asked.into_inner() {
        Asked::Value => found.push(path.join(".")),
        Asked::Keys(names) => {
            for name in names {
                path.push(name);
                walk::<T>(path, found);
                path.pop();
            }
        }
    }
}

struct Probe<'a> {
    path: &'a [&'static str],
    asked: &'a RefCell<Asked>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a value"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.path.split_first() {
            None => {
                *self.asked.borrow_mut() = Asked::Keys(names);
                Err(Error::custom("keys"))
            }
            Some((name, path)) => {
                visitor.visit_map(One { name: Some(name), probe: Probe { path, asked: self.asked } })
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// One key and its value.
struct One<'a> {
    name: Option<&'a &'static str>,
    probe: Probe<'a>,
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let name = self.name.take();
        name.map(|name| seed.deserialize((*name).into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Probe { path: self.probe.path, asked: self.probe.asked })
    }
}
