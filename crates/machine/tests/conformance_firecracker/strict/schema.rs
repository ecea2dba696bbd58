//! Holds a value to a schema of Swagger 2, as far as Firecracker's description uses it.

use serde_json::Value;

/// Everything in `value` that `schema` does not allow. What a schema does not name is not allowed
/// either, unless it says `additionalProperties`: Firecracker refuses unknown fields.
pub(crate) fn problems(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    check(document, schema, value, "", &mut problems);
    problems
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    let schema = resolve(document, schema);
    let mut wrong =
        |what: String| problems.push(format!("{}: {what}", if at.is_empty() { "body" } else { at }));
    match schema["type"].as_str() {
        Some("object") => object(document, schema, value, at, problems),
        Some("array") => match value.as_array() {
            None => wrong(format!("{value} is no array")),
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    check(document, &schema["items"], item, &format!("{at}[{index}]"), problems);
                }
            }
        },
        Some("string") => match value.as_str() {
            None => wrong(format!("{value} is no string")),
            Some(_) => {
                if let Some(allowed) = schema["enum"].as_array()
                    && !allowed.contains(value)
                {
                    wrong(format!("{value} is none of {}", schema["enum"]));
                }
            }
        },
        Some("boolean") if !value.is_boolean() => wrong(format!("{value} is no boolean")),
        Some("boolean") => {}
        Some("integer") => integer(schema, value, &mut wrong),
        other => panic!("{at}: the description has a type that this validator does not know: {other:?}"),
    }
}

fn object(document: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    let place = if at.is_empty() { "body" } else { at };
    let Some(fields) = value.as_object() else {
        problems.push(format!("{place}: {value} is no object"));
        return;
    };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            problems.push(format!("{place}: no {required}"));
        }
    }
    for (name, field) in fields {
        let known = &schema["properties"][name];
        let more = &schema["additionalProperties"];
        match (known.is_null(), more) {
            (false, _) => check(document, known, field, &format!("{at}.{name}"), problems),
            (true, Value::Bool(true)) => {}
            (true, more @ Value::Object(_)) => {
                check(document, more, field, &format!("{at}.{name}"), problems)
            }
            (true, _) => problems.push(format!("{place}: unknown field {name}")),
        }
    }
}

fn integer(schema: &Value, value: &Value, wrong: &mut impl FnMut(String)) {
    let Some(number) = value.as_i64() else {
        wrong(format!("{value} is no integer"));
        return;
    };
    let below = schema["minimum"].as_i64().is_some_and(|minimum| number < minimum);
    let above = schema["maximum"].as_i64().is_some_and(|maximum| number > maximum);
    if below || above {
        wrong(format!("{number} is out of range"));
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let name = reference.strip_prefix("#/definitions/").expect("references are to definitions");
            let definition = &document["definitions"][name];
            assert!(!definition.is_null(), "the description lacks {name}");
            resolve(document, definition)
        }
        None => schema,
    }
}

#[test]
fn a_body_that_differs_in_any_way_is_found_out() {
    use super::description::Description;
    use serde_json::json;
    let description = Description::read();
    for (path, body, expected) in [
        ("/machine-config", json!({"vcpu_count": 1, "mem_size_mib": 128}), vec![]),
        (
            "/machine-config",
            json!({"vcpu_count": 33, "mem_size_mib": "1"}),
            vec!["33 is out", "\"1\" is no integer"],
        ),
        (
            "/machine-config",
            json!({"vcpu_count": 1, "mem": 128}),
            vec!["no mem_size_mib", "unknown field mem"],
        ),
        ("/machine-config", json!([]), vec!["is no object"]),
        ("/actions", json!({"action_type": "Start"}), vec!["is none of"]),
        ("/mmds", json!({"anything": {"goes": [1, true]}}), vec![]),
        (
            "/drives/a",
            json!({"drive_id": "a", "is_root_device": 0, "rate_limiter": {"ops": {"size": -1, "refill_time": 1}}}),
            vec!["0 is no boolean", ".rate_limiter.ops.size: -1 is out"],
        ),
    ] {
        let operation = description.operation("PUT", path).unwrap();
        let found = operation.problems(&description, Some(&body));
        assert_eq!(found.len(), expected.len(), "{path} {body}: {found:?}");
        for phrase in expected {
            assert!(found.iter().any(|problem| problem.contains(phrase)), "{path} {body}: {found:?}");
        }
    }
    assert_eq!(description.operation("PUT", "/vsock").unwrap().problems(&description, None).len(), 1);
    let looked = description.operation("GET", "/").unwrap();
    assert_eq!(looked.problems(&description, Some(&json!({}))).len(), 1);
}
