//! The keys of a job that are evaluated before it starts, each to the type that GitHub asks for.

use std::time::Duration;

use model::CacheMode;

use crate::concurrency::Concurrency;
use crate::expr::{EvaluateError, Expression, Scope, Value, evaluate_template};
use crate::span::Span;
use crate::syntax::{Node, NodeKind, QUEUE_CONFLICT};

use super::RunsOn;
use super::context::Contexts;
use super::matrix::Entry;

/// Longest name of a concurrency group, in UTF-16 units: GitHub's limit.
const GROUP_NAME_UNITS: usize = 400;

/// Most labels of one job: no machine has more.
const LABELS: usize = 100;

/// Longest label, in UTF-16 units: GitHub's limit.
const LABEL_UNITS: usize = 256;

/// Longest timeout that is told apart from none, in minutes (a year): keeps durations far from overflow.
const TIMEOUT_MINUTES: f64 = 525_600.0;

/// An evaluator of the keys of one job: knows what to say when one is wrong.
pub(super) struct Evaluator<'a> {
    /// The job's key; empty where the workflow as a whole is evaluated.
    pub(super) job: &'a str,
    /// What its expressions see.
    pub(super) contexts: &'a Contexts,
}

impl Evaluator<'_> {
    /// The value of `node`, which stands under `key`.
    pub(super) fn value(&self, key: &str, node: &Node) -> Result<Value, String> {
        evaluate_template(&node.to_template(), self.contexts)
            .map_err(|error| self.error(key, Some(&node.span), &say(&error)))
    }

    /// The entries of a mapping, each evaluated by itself where its keys are plain, so that
    /// an error can tell the place.
    pub(super) fn entries(&self, key: &str, node: &Node) -> Result<Vec<Entry>, String> {
        if let Some(pairs) = plain_keys(node) {
            return pairs
                .map(|(name, node)| {
                    Ok(Entry { key: name.to_owned(), value: self.value(key, node)?, span: node.span.clone() })
                })
                .collect();
        }
        let value = self.value(key, node)?;
        self.entries_of(key, &value, &node.span)
    }

    /// The entries of a value, which must be an object; all have the place of the whole.
    pub(super) fn entries_of(&self, key: &str, value: &Value, span: &Span) -> Result<Vec<Entry>, String> {
        let Value::Object(object) = value else {
            return Err(self.error(key, Some(span), &value.unexpected()));
        };
        Ok(object
            .iter()
            .map(|(name, value)| Entry { key: name.to_owned(), value: value.clone(), span: span.clone() })
            .collect())
    }

    /// Whether the job's `if` holds; `scope` has the status functions.
    pub(super) fn condition(&self, source: &str, scope: &dyn Scope) -> Result<bool, String> {
        let expression =
            Expression::parse(source, None).map_err(|error| self.error("if", None, &error.message))?;
        let value = expression.evaluate(scope).map_err(|error| self.error("if", None, &say(&error)))?;
        Ok(value.truthy())
    }

    /// A text; numbers and booleans become text.
    pub(super) fn text(&self, key: &str, node: &Node) -> Result<String, String> {
        let value = self.value(key, node)?;
        scalar_text(&value).map_err(|problem| self.error(key, Some(&node.span), &problem))
    }

    /// A boolean; the text `true` is none.
    pub(super) fn boolean(&self, key: &str, node: &Node) -> Result<bool, String> {
        let value = self.value(key, node)?;
        as_boolean(&value).map_err(|problem| self.error(key, Some(&node.span), &problem))
    }

    /// A number; text with digits is none.
    pub(super) fn number(&self, key: &str, node: &Node) -> Result<f64, String> {
        let value = self.value(key, node)?;
        as_number(&value).map_err(|problem| self.error(key, Some(&node.span), &problem))
    }

    /// Minutes as a duration, or `default` without the key and for nought and less. Parts of a minute count.
    pub(super) fn minutes(
        &self,
        key: &str,
        node: Option<&Node>,
        default: Duration,
    ) -> Result<Duration, String> {
        let Some(node) = node else { return Ok(default) };
        let minutes = self.number(key, node)?;
        Ok(if minutes > 0.0 { Duration::from_secs_f64(minutes.min(TIMEOUT_MINUTES) * 60.0) } else { default })
    }

    /// `runs-on`: a label, a list of labels, or a mapping of `group` and `labels`.
    pub(super) fn runs_on(&self, node: &Node) -> Result<RunsOn, String> {
        let value = self.value("runs-on", node)?;
        read_runs_on(&value).map_err(|problem| self.error("runs-on", Some(&node.span), &problem))
    }

    /// `concurrency`: a group, or a mapping of `group`, `cancel-in-progress`, and `queue`.
    pub(super) fn concurrency(&self, node: &Node) -> Result<Concurrency, String> {
        let value = self.value("concurrency", node)?;
        read_concurrency(&value).map_err(|problem| self.error("concurrency", Some(&node.span), &problem))
    }

    /// `cache-mode`.
    pub(super) fn cache_mode(&self, node: &Node) -> Result<CacheMode, String> {
        let word = self.text("cache-mode", node)?;
        CacheMode::named(&word).ok_or_else(|| {
            let words = CacheMode::ALL.map(CacheMode::as_str).join(", ");
            let problem = format!("Unexpected value '{word}': it is one of {words}");
            self.error("cache-mode", Some(&node.span), &problem)
        })
    }

    /// The name of the `environment`; its `url` is left for the runner.
    pub(super) fn environment(&self, node: &Node) -> Result<Option<String>, String> {
        let name = match &node.kind {
            NodeKind::Mapping(_) => match node.get("name") {
                Some(name) => self.text("environment", name)?,
                None => return Ok(None),
            },
            _ => self.text("environment", node)?,
        };
        Ok((!name.is_empty()).then_some(name))
    }

    /// An error in GitHub's words.
    pub(super) fn error(&self, key: &str, span: Option<&Span>, problem: &str) -> String {
        let place = span
            .map(|span| format!("{} (Line: {}, Col: {}): ", span.file, span.start.line, span.start.column));
        let job = if self.job.is_empty() { String::new() } else { format!(" for job '{}'", self.job) };
        format!("Error when evaluating '{key}'{job}. {}{problem}", place.unwrap_or_default())
    }
}

fn say(error: &EvaluateError) -> String {
    match error {
        EvaluateError::Failed(message) => message.clone(),
        EvaluateError::NeedsHashFiles(_) => {
            "hashFiles needs the job's files, which exist in its steps only; use it in a step".to_owned()
        }
    }
}

/// The pairs of a mapping without expressions among its keys.
fn plain_keys(node: &Node) -> Option<impl Iterator<Item = (&str, &Node)>> {
    let NodeKind::Mapping(pairs) = &node.kind else { return None };
    let plain: Option<Vec<(&str, &Node)>> = pairs
        .iter()
        .map(|(key, value)| match &key.kind {
            NodeKind::String(key) => Some((key.as_str(), value)),
            _ => None,
        })
        .collect();
    plain.map(Vec::into_iter)
}

pub(super) fn scalar_text(value: &Value) -> Result<String, String> {
    match value {
        Value::Array(_) | Value::Object(_) => Err(value.unexpected()),
        scalar => Ok(scalar.to_text()),
    }
}

pub(super) fn as_boolean(value: &Value) -> Result<bool, String> {
    if let Value::Bool(value) = value { Ok(*value) } else { Err(value.unexpected()) }
}

pub(super) fn as_number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Number(number) if !number.is_nan() => Ok(*number),
        other => Err(other.unexpected()),
    }
}

fn non_empty_text(value: &Value) -> Result<String, String> {
    match scalar_text(value)? {
        text if text.is_empty() => Err(value.unexpected()),
        text => Ok(text),
    }
}

fn read_runs_on(value: &Value) -> Result<RunsOn, String> {
    let Value::Object(object) = value else {
        let labels = read_labels(value)?;
        // No machine is meant, and not any.
        return match labels.is_empty() {
            true => Err("There is no label".to_owned()),
            false => Ok(RunsOn { group: None, labels }),
        };
    };
    let mut runs_on = RunsOn::default();
    for (key, value) in object.iter() {
        match key {
            "group" => runs_on.group = Some(read_runner_group(value)?),
            "labels" => runs_on.labels = read_labels(value)?,
            other => return Err(format!("Unexpected value '{other}'")),
        }
    }
    match runs_on.group.is_none() && runs_on.labels.is_empty() {
        true => Err("There is neither a group nor a label".to_owned()),
        false => Ok(runs_on),
    }
}

fn read_labels(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) if items.len() > LABELS => Err(format!("More than {LABELS} labels")),
        Value::Array(items) => items.iter().map(read_label).collect(),
        scalar => Ok(vec![read_label(scalar)?]),
    }
}

fn read_label(value: &Value) -> Result<String, String> {
    match non_empty_text(value)? {
        label if label.encode_utf16().count() > LABEL_UNITS => {
            Err(format!("A label has more than {LABEL_UNITS} characters"))
        }
        label => Ok(label),
    }
}

/// A group may say whose it is (`organization/`, `enterprise/`, or short).
fn read_runner_group(value: &Value) -> Result<String, String> {
    let group = non_empty_text(value)?;
    match group.split('/').collect::<Vec<_>>()[..] {
        [_] => Ok(group),
        ["org" | "organization" | "ent" | "enterprise", name] if !name.is_empty() => Ok(group),
        [_, ""] => Err(format!("Invalid runs-on group name '{group}'.")),
        _ => Err(format!(
            "Invalid runs-on group name '{group}'. Please use 'organization/' or 'enterprise/' prefix to target a single runner group."
        )),
    }
}

fn read_concurrency(value: &Value) -> Result<Concurrency, String> {
    let mut read = Concurrency { group: String::new(), cancel_in_progress: false, keep_all: false };
    if let Value::Object(object) = value {
        for (key, value) in object.iter() {
            match key {
                "group" => read.group = scalar_text(value)?,
                "cancel-in-progress" => read.cancel_in_progress = as_boolean(value)?,
                "queue" => read.keep_all = read_queue(value)?,
                other => return Err(format!("Unexpected value '{other}'")),
            }
        }
    } else {
        read.group = scalar_text(value)?;
    }
    if read.group.is_empty() {
        return Err("Concurrency group name cannot be empty".to_owned());
    }
    if read.keep_all && read.cancel_in_progress {
        return Err(QUEUE_CONFLICT.to_owned());
    }
    if read.group.encode_utf16().count() > GROUP_NAME_UNITS {
        return Err(format!("Concurrency group name must be less than {GROUP_NAME_UNITS} characters"));
    }
    Ok(read)
}

fn read_queue(value: &Value) -> Result<bool, String> {
    match scalar_text(value)?.as_str() {
        "max" => Ok(true),
        "single" => Ok(false),
        other => Err(format!("Unexpected value '{other}'")),
    }
}
