//! `events` of a workflow in the JSON of GitHub's suite.

use serde_json::{Map, Value as Json, json};
use workflow::span::Spanned;
use workflow::syntax::{Input, InputKind, Node, NodeKind, Trigger};

use super::json::{kind_name, number_json, put};

type Object = Map<String, Json>;

/// All events; `on` is what stands in the file, for what types do not keep.
pub(crate) fn events(triggers: &[Trigger], on: Option<&Json>) -> Json {
    let on = on.map(plain).unwrap_or_default();
    let events = triggers
        .iter()
        .map(|trigger| (trigger.event.value.clone(), event(trigger, &on[&trigger.event.value])));
    Json::Object(events.collect())
}

fn event(trigger: &Trigger, stated: &Json) -> Json {
    if stated.is_array() {
        return Json::Array(trigger.schedule.iter().map(schedule).collect());
    }
    let mut out = Object::new();
    let is_given = |list: &Vec<Spanned<String>>| !list.is_empty();
    put(&mut out, "types", Some(&trigger.types).filter(|list| is_given(list)).map(|list| texts(list)));
    put(
        &mut out,
        "workflows",
        Some(&trigger.workflows).filter(|list| is_given(list)).map(|list| texts(list)),
    );
    for (name, list) in [
        ("branches", &trigger.branches),
        ("branches-ignore", &trigger.branches_ignore),
        ("tags", &trigger.tags),
        ("tags-ignore", &trigger.tags_ignore),
        ("paths", &trigger.paths),
        ("paths-ignore", &trigger.paths_ignore),
        ("names", &trigger.names),
        ("versions", &trigger.versions),
    ] {
        put(&mut out, name, list.as_deref().map(texts));
    }
    if !trigger.inputs.is_empty() {
        let stated = &stated["inputs"];
        let inputs = trigger
            .inputs
            .iter()
            .map(|entry| (entry.name.value.clone(), input(entry, &stated[&entry.name.value])));
        out.insert("inputs".into(), Json::Object(inputs.collect()));
    }
    if let Some(secrets) = stated["secrets"].as_object() {
        let secret = |value: &Json| if value.is_null() { json!({}) } else { value.clone() };
        let secrets = secrets.iter().map(|(name, value)| (name.clone(), secret(value)));
        out.insert("secrets".into(), Json::Object(secrets.collect()));
    }
    Json::Object(out)
}

fn schedule(entry: &workflow::syntax::Schedule) -> Json {
    let mut out = Object::new();
    out.insert("cron".into(), json!(entry.cron.value));
    put(&mut out, "timezone", entry.timezone.as_ref().map(|zone| json!(zone.value)));
    Json::Object(out)
}

/// The suite has neither type nor default of an input that is a number.
fn input(input: &Input, stated: &Json) -> Json {
    let mut out = Object::new();
    let is_number = input.kind == InputKind::Number;
    put(&mut out, "type", (!is_number).then(|| json!(kind_name(&input.kind))));
    put(&mut out, "description", input.description.as_ref().map(|text| json!(text)));
    put(&mut out, "required", stated.get("required").cloned());
    if let InputKind::Choice(options) = &input.kind {
        out.insert("options".into(), json!(options));
    }
    put(&mut out, "default", input.default.as_ref().filter(|_| !is_number).and_then(literal));
    Json::Object(out)
}

fn literal(node: &Node) -> Option<Json> {
    match &node.kind {
        NodeKind::Bool(value) => Some(json!(value)),
        NodeKind::Number(number) => Some(number_json(*number)),
        NodeKind::String(text) => Some(json!(text)),
        _ => None,
    }
}

fn texts(list: &[Spanned<String>]) -> Json {
    list.iter().map(|text| json!(text.value)).collect()
}

/// The suite's `{type, map: [{Key, Value}]}` and `{type, seq: []}` as objects and lists.
fn plain(value: &Json) -> Json {
    if let Some(pairs) = value.get("map").and_then(Json::as_array) {
        let pairs =
            pairs.iter().filter_map(|pair| Some((pair["Key"].as_str()?.to_owned(), plain(&pair["Value"]))));
        return Json::Object(pairs.collect());
    }
    match value.get("seq").and_then(Json::as_array) {
        Some(items) => Json::Array(items.iter().map(plain).collect()),
        None => value.clone(),
    }
}
