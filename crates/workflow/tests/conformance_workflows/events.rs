//! `events` of a workflow in the JSON of GitHub's suite.

use serde_json::{Map, Value as Json, json};
use workflow::span::Spanned;
use workflow::syntax::{Input, InputKind, Node, NodeKind, Trigger};

use super::json::{kind_name, number_json, put};

type Object = Map<String, Json>;

/// All events; `secrets` is what stands under `workflow_call`.
pub(crate) fn events(triggers: &[Trigger], secrets: Option<Json>) -> Json {
    let secrets = secrets.as_ref();
    let events = triggers.iter().map(|trigger| (trigger.event.value.clone(), event(trigger, secrets)));
    Json::Object(events.collect())
}

fn event(trigger: &Trigger, secrets: Option<&Json>) -> Json {
    if trigger.event.value == "schedule" {
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
        let inputs = trigger.inputs.iter().map(|entry| (entry.name.value.clone(), input(entry)));
        out.insert("inputs".into(), Json::Object(inputs.collect()));
    }
    if let Some(secrets) = secrets.filter(|_| trigger.event.value == "workflow_call") {
        out.insert("secrets".into(), plain(secrets));
    }
    Json::Object(out)
}

fn schedule(entry: &workflow::syntax::Schedule) -> Json {
    let mut out = Object::new();
    out.insert("cron".into(), json!(entry.cron.value));
    put(&mut out, "timezone", entry.timezone.as_ref().map(|zone| json!(zone.value)));
    Json::Object(out)
}

fn input(input: &Input) -> Json {
    let mut out = Object::new();
    out.insert("type".into(), json!(kind_name(&input.kind)));
    put(&mut out, "description", input.description.as_ref().map(|text| json!(text)));
    put(&mut out, "required", input.required.then(|| json!(true)));
    if let InputKind::Choice(options) = &input.kind {
        out.insert("options".into(), json!(options));
    }
    put(&mut out, "default", input.default.as_ref().and_then(literal));
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

/// The suite's `{type, map: [{Key, Value}]}` as an object.
fn plain(value: &Json) -> Json {
    match value.get("map").and_then(Json::as_array) {
        Some(pairs) => Json::Object(
            pairs
                .iter()
                .filter_map(|pair| Some((pair["Key"].as_str()?.to_owned(), plain(&pair["Value"]))))
                .collect(),
        ),
        None if value.is_null() => json!({}),
        None => value.clone(),
    }
}
