//! Answers against an OpenAPI document: as much of JSON Schema as ours use.

use axum::http::{HeaderMap, Method};
use serde_json::{Map, Value};

/// An answer, as far as a document speaks of it.
pub(crate) struct Said<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) bytes: &'a [u8],
}

/// Fails unless the document has this method, status, and body on a path like this.
pub(crate) fn check(document: &Value, method: &Method, path: &str, said: &Said<'_>) {
    let path = path.split('?').next().unwrap();
    let Some(template) = template(document, path) else {
        assert!([404, 401].contains(&said.status), "{path} is not in the document");
        return;
    };
    let operation = &document["paths"][&template][method.as_str().to_lowercase()];
    if operation.is_null() {
        assert_eq!(said.status, 405, "{method} {template} is not in the document");
        return;
    }
    let declared = &operation["responses"][said.status.to_string()];
    assert!(!declared.is_null(), "{method} {template} answers {}, which is not in the document", said.status);
    let declared = resolve(document, declared);
    let Some(content) = declared["content"].as_object() else {
        assert!(said.bytes.is_empty(), "{method} {template} has a body, which is not in the document");
        return;
    };
    let kind = said.headers["content-type"].to_str().unwrap();
    let media = content.get(kind).unwrap_or_else(|| panic!("{method} {template}: a body of {kind}"));
    if kind == "application/json" {
        let json = serde_json::from_slice(said.bytes).expect("the body is JSON");
        conform(document, &media["schema"], &json, &format!("{method} {template}"));
    }
    for (name, header) in declared["headers"].as_object().unwrap_or(&Map::new()) {
        let has = said.headers.contains_key(name.as_str());
        assert!(has || header["required"] != true, "{method} {template}: no header {name}");
    }
}

/// The path of the document that this is an instance of; one without parameters before one with them.
fn template(document: &Value, path: &str) -> Option<String> {
    let fits = |template: &&String| {
        let (one, other): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        one.len() == other.len() && one.iter().zip(&other).all(|(t, p)| t.starts_with('{') || t == p)
    };
    let mut fitting: Vec<&String> = document["paths"].as_object()?.keys().filter(fits).collect();
    fitting.sort_by_key(|template| template.matches('{').count());
    fitting.first().map(|template| (*template).clone())
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            document.pointer(reference.trim_start_matches('#')).expect("a reference leads somewhere")
        }
        None => value,
    }
}

/// Fails unless a value is as a schema says.
pub(crate) fn conform(document: &Value, schema: &Value, value: &Value, place: &str) {
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
