//! Ids, words, and JSON, to columns and back.

use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::fault::Fault;

/// The word that an enum without fields has in records.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String, Fault> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(Fault::Damaged(format!("{other} is no word"))),
    }
}

/// The word at a column, as the enum that has it.
pub(super) fn get_word<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    from_word(column, &row.get::<_, String>(column)?)
}

/// The word at a column, if there is one.
pub(super) fn get_word_or_none<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    row.get::<_, Option<String>>(column)?.map(|text| from_word(column, &text)).transpose()
}

/// The JSON at a column.
pub(super) fn get_json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    from_json(column, &row.get::<_, String>(column)?)
}

/// The JSON at a column, if there is any.
pub(super) fn get_json_or_none<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    row.get::<_, Option<String>>(column)?.map(|text| from_json(column, &text)).transpose()
}

fn from_word<T: DeserializeOwned>(column: &str, text: &str) -> rusqlite::Result<T> {
    let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|error| unreadable(column, error))
}

fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

fn unreadable(column: &str, error: impl std::fmt::Display) -> rusqlite::Error {
    let reason = format!("column {column}: {error}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, reason.into())
}
