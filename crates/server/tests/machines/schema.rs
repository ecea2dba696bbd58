//! Answers against the OpenAPI document: as much of JSON Schema as the document uses.

use axum::http::Method;
use serde_json::{Map, Value};
use server::machines::OPENAPI;

use crate::fixture::Answer;

pub(crate) fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Fails unless the document has this method, status, and body on a path like this.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let document = document();
    let path = path.split('?').next().unwrap();
    let Some(template) = template(&document, path) else {
        assert!([404, 401].contains(&answer.status.as_u16()), "{path} is not in the document");
        return;
    };
    let operation = &document["paths"][&template][method.as_str().to_lowercase()];
    if operation.is_null() {
        assert_eq!(answer.status.as_u16(), 405, "{method} {template} is not in the document");
        return;
    }
    let declared = &operation["responses"][answer.status.as_str()];
    assert!(
        !declared.is_null(),
        "{method} {template} answers {}, which is not in the document",
        answer.status
    );
    let declared = resolve(&document, declared);
    let Some(content) = declared["content"].as_object() else {
        assert!(answer.bytes.is_empty(), "{method} {template} has a body, which is not in the document");
        return;
    };
    let kind = answer.headers["content-type"].to_str().unwrap();
    let media = content.get(kind).unwrap_or_else(|| panic!("{method} {template}: a body of {kind}"));
    if kind == "application/json" {
        conform(&document, &media["schema"], &answer.json(), &format!("{method} {template}"));
    }
    for (name, header) in declared["headers"].as_object().unwrap_or(&Map::new()) {
        let has = answer.headers.contains_key(name.as_str());
        assert!(has || header["required"] != true, "{method} {template}: no header {name}");
    }
}

/// Fails unless a value is as this schema says.
pub(crate) fn check_schema(name: &str, value: &Value) {
    let document = document();
    conform(&document, &document["components"]["schemas"][name], value, name);
}

/// The path of the document that this is an instance of.
fn template(document: &Value, path: &str) -> Option<String> {
    let fits = |template: &&String| {
        let (one, other): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        one.len() == other.len() && one.iter().zip(&other).all(|(t, p)| t.starts_with('{') || t == p)
    };
    document["paths"].as_object()?.keys().find(fits).cloned()
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            document.pointer(reference.trim_start_matches('#')).expect("a reference leads somewhere")
        }
        None => value,
    }
}

fn conform(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Err(reason) = fault(document, schema, value, place) {
        panic!("{reason}\n{value:#}");
    }
}

fn fault(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let schema = resolve(document, schema);
    if let Some(kinds) = schema["oneOf"].as_array() {
        let fitting = kinds.iter().filter(|kind| fault(document, kind, value, place).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{place}: {fitting} kinds fit")) };
    }
    if let Some(wanted) = schema.get("const") {
        return if wanted == value { Ok(()) } else { Err(format!("{place}: not {wanted}")) };
    }
    if let Some(wanted) = schema["enum"].as_array() {
        return if wanted.contains(value) { Ok(()) } else { Err(format!("{place}: none of {wanted:?}")) };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !kinds.contains(&kind) {
        return Err(format!("{place}: {kind}, not {kinds:?}"));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        fault(document, &schema["items"], item, &format!("{place}[{number}]"))?;
    }
    match value.as_object() {
        Some(object) => members(document, schema, object, place),
        None => Ok(()),
    }
}

fn members(document: &Value, schema: &Value, object: &Map<String, Value>, place: &str) -> Result<(), String> {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            return Err(format!("{place}: no {name}"));
        }
    }
    for (name, member) in object {
        match schema["properties"].get(name) {
            Some(schema) => fault(document, schema, member, &format!("{place}.{name}"))?,
            None if schema["additionalProperties"] == false => {
                return Err(format!("{place}: {name} is not in the document"));
            }
            None => {}
        }
    }
    Ok(())
}
