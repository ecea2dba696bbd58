//! Answers against the document of the machine API.

use axum::http::Method;
use serde_json::Value;
use server::machines::OPENAPI;

use crate::fixture::Answer;
use crate::openapi::{self, Said};

pub(crate) fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Fails unless the document has this method, status, and body on a path like this.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let said = Said { status: answer.status.as_u16(), headers: &answer.headers, bytes: &answer.bytes };
    openapi::check(&document(), method, path, &said);
}

/// Fails unless a value is as this schema says.
pub(crate) fn check_schema(name: &str, value: &Value) {
    let document = document();
    openapi::conform(&document, &document["components"]["schemas"][name], value, name);
}
