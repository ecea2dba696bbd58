//! `on`.

use super::input;
use crate::cron::Cron;
use crate::diagnostic::codes;
use crate::span::Spanned;
use crate::syntax::{Node, NodeKind, Schedule, Trigger};
use crate::yaml::Problems;

/// All triggers, in the order of the file.
pub(super) fn triggers(on: &Node, problems: &mut Problems) -> Vec<Trigger> {
    match &on.kind {
        NodeKind::Sequence(names) => {
            // An event that is named twice is one event.
            let mut triggers: Vec<Trigger> = Vec::new();
            for name in names.iter().filter_map(Node::spanned_text) {
                if !triggers.iter().any(|trigger| trigger.event.value == name.value) {
                    triggers.push(bare(name));
                }
            }
            triggers
        }
        NodeKind::Mapping(_) => on
            .entries()
            .filter_map(|(_, key, config)| Some(trigger(key.spanned_text()?, config, problems)))
            .collect(),
        _ => on.spanned_text().map(bare).into_iter().collect(),
    }
}

fn bare(event: Spanned<String>) -> Trigger {
    Trigger {
        event,
        types: Vec::new(),
        branches: None,
        branches_ignore: None,
        tags: None,
        tags_ignore: None,
        paths: None,
        paths_ignore: None,
        workflows: Vec::new(),
        names: None,
        versions: None,
        schedule: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        secrets: Vec::new(),
    }
}

fn trigger(event: Spanned<String>, config: &Node, problems: &mut Problems) -> Trigger {
    let is_call = event.value == "workflow_call";
    let list = |key| config.get(key).and_then(texts);
    Trigger {
        types: list("types").unwrap_or_default(),
        branches: list("branches"),
        branches_ignore: list("branches-ignore"),
        tags: list("tags"),
        tags_ignore: list("tags-ignore"),
        paths: list("paths"),
        paths_ignore: list("paths-ignore"),
        workflows: list("workflows").unwrap_or_default(),
        names: list("names"),
        versions: list("versions"),
        schedule: config.items().iter().filter_map(|item| schedule(item, problems)).collect(),
        inputs: config
            .get("inputs")
            .map(|inputs| input::inputs(inputs, is_call, problems))
            .unwrap_or_default(),
        outputs: config.get("outputs").map(outputs).unwrap_or_default(),
        secrets: config.get("secrets").map(secrets).unwrap_or_default(),
        ..bare(event)
    }
}

/// One text or a list of them; `None` for nothing.
fn texts(node: &Node) -> Option<Vec<Spanned<String>>> {
    match &node.kind {
        NodeKind::Null => None,
        NodeKind::Sequence(items) => Some(items.iter().filter_map(Node::spanned_text).collect()),
        _ => node.spanned_text().map(|text| vec![text]),
    }
}

fn schedule(item: &Node, problems: &mut Problems) -> Option<Schedule> {
    let cron = item.get("cron")?.spanned_text()?;
    if Cron::parse(&cron).is_none() && problems.is_sound(&cron.span) {
        problems.error_with_hint(
            codes::CRON,
            &cron.span,
            "Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)",
            "fields are separated by blanks; each holds `*`, numbers, ranges `1-5`, lists `1,2`, or steps `*/5`",
        );
    }
    Some(Schedule { cron, timezone: item.get("timezone").and_then(Node::spanned_text) })
}

fn outputs(node: &Node) -> Vec<(Spanned<String>, Node)> {
    node.entries()
        .filter_map(|(_, key, output)| Some((key.spanned_text()?, output.get("value")?.clone())))
        .collect()
}

fn secrets(node: &Node) -> Vec<(Spanned<String>, bool)> {
    node.entries()
        .filter_map(|(_, key, secret)| {
            let required = secret.get("required").and_then(Node::boolean).unwrap_or(false);
            Some((key.spanned_text()?, required))
        })
        .collect()
}
