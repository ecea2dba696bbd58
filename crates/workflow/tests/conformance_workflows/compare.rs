//! Reads a case and compares what comes out.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::plan::CalledWorkflows;
use workflow::resolve::{WorkflowRef, check_calls};
use workflow::schema::{ReadOptions, read_workflow};
use workflow::span::Span;
use workflow::syntax::{JobWork, Workflow};

use workflow::yaml::{self, Problems};

use super::case::Case;
use super::json::{Trees, Writer};

/// Keys that GitHub's editor service leaves out of jobs and steps.
const NOT_FOR_EDITORS: [&str; 8] = [
    "permissions",
    "defaults",
    "timeout-minutes",
    "cancel-timeout-minutes",
    "continue-on-error",
    "with",
    "shell",
    "working-directory",
];

/// Whether the case comes out as GitHub says.
pub(crate) fn run(case: &Case) -> Result<(), String> {
    let actual = read(case);
    let mut expected = case.expected.clone();
    let mut shown = actual.clone();
    normalize(&mut expected);
    normalize(&mut shown);
    // Younger than some cases.
    keep_as_expected(&mut shown, &expected, "input-types");
    if case.options.is_for_editors {
        for key in NOT_FOR_EDITORS {
            keep_as_expected(&mut shown, &expected, key);
        }
    } else if let Json::Object(workflow) = &mut shown {
        workflow.remove("events");
    }
    if shown == expected {
        return Ok(());
    }
    Err(difference("", &expected, &shown).unwrap_or_default())
}

/// The first place where two values differ, and both values there.
fn difference(path: &str, expected: &Json, actual: &Json) -> Option<String> {
    match (expected, actual) {
        (Json::Object(expected), Json::Object(actual)) => {
            let names = expected.keys().chain(actual.keys());
            names.into_iter().find_map(|name| {
                let missing = Json::Null;
                let path = format!("{path}/{name}");
                let (expected, actual) = (expected.get(name), actual.get(name));
                match (expected, actual) {
                    (Some(expected), Some(actual)) => difference(&path, expected, actual),
                    _ => Some(said(&path, expected.unwrap_or(&missing), actual.unwrap_or(&missing))),
                }
            })
        }
        (Json::Array(expected), Json::Array(actual)) if expected.len() == actual.len() => {
            expected.iter().zip(actual).enumerate().find_map(|(place, (expected, actual))| {
                difference(&format!("{path}/{place}"), expected, actual)
            })
        }
        _ => (expected != actual).then(|| said(path, expected, actual)),
    }
}

fn said(path: &str, expected: &Json, actual: &Json) -> String {
    format!("at {path}\n  expected {expected}\n       got {actual}")
}

fn read(case: &Case) -> Json {
    let options = ReadOptions { limits: case.options.limits.clone(), stop_at_wrong_shape: true };
    let (root, problems) = read_workflow(&case.file, &case.workflow, &options);
    let Some(root) = root else { return errors(&problems) };
    let mut trees = Trees::new();
    trees.insert(case.file.clone(), tree(&case.file, &case.workflow));
    let mut called = CalledWorkflows::new();
    for (name, content) in &case.called {
        let (callee, problems) = read_workflow(name, content, &options);
        let Some(callee) = callee else {
            let caller = case.options.is_for_servers.then(|| caller(name, &root, &called)).flatten();
            return errors_of_called(&problems, caller);
        };
        let key = WorkflowRef::parse(name).map_or_else(|_| name.clone(), |reference| reference.to_string());
        trees.insert(name.clone(), tree(name, content));
        called.insert(key, Arc::new(callee));
    }
    if !case.called.is_empty() {
        let problems = check_calls(&root, &called, &case.options.calls);
        if !problems.is_empty() {
            return errors(&problems);
        }
    }
    Writer::new(case.options.include_source, &trees).workflow(&root, &called)
}

/// The `uses` that names a file.
fn caller<'a>(name: &str, root: &'a Workflow, called: &'a CalledWorkflows) -> Option<&'a Span> {
    let files = std::iter::once(root).chain(called.values().map(AsRef::as_ref));
    files.flat_map(|file| &file.jobs).find_map(|job| match &job.work {
        JobWork::Call { uses, .. } if uses.value == name => Some(&uses.span),
        _ => None,
    })
}

/// Errors of a called file, with the place of its caller before them if there is one.
fn errors_of_called(problems: &[Diagnostic], caller: Option<&Span>) -> Json {
    let Some(Span { file, start, .. }) = caller else { return errors(problems) };
    let prefix =
        format!("In {file} (Line: {}, Col: {}): Error from called workflow", start.line, start.column);
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let errors = errors.map(|problem| json!({"Message": format!("{prefix} {problem}")}));
    json!({"errors": errors.collect::<Vec<_>>()})
}

/// The tree of a file that has been read without problems.
fn tree(file: &str, text: &str) -> yaml::Node {
    let mut problems = Problems::new(file);
    yaml::parse(text, &yaml::Limits::default(), &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

fn errors(problems: &[Diagnostic]) -> Json {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    json!({"errors": errors.map(|problem| json!({"Message": problem.to_string()})).collect::<Vec<_>>()})
}

/// One spelling for equal numbers, and no keys without a value.
fn normalize(json: &mut Json) {
    match json {
        Json::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            *json = json!(if number == 0.0 { 0.0 } else { number });
        }
        Json::Array(items) => items.iter_mut().for_each(normalize),
        Json::Object(entries) => entries.values_mut().for_each(normalize),
        _ => {}
    }
}

/// Takes a key out wherever what is expected does not have it.
fn keep_as_expected(actual: &mut Json, expected: &Json, key: &str) {
    match (actual, expected) {
        (Json::Array(actual), Json::Array(expected)) => {
            for (actual, expected) in actual.iter_mut().zip(expected) {
                keep_as_expected(actual, expected, key);
            }
        }
        (Json::Object(actual), Json::Object(expected)) => {
            if !expected.contains_key(key) {
                actual.shift_remove(key);
            }
            for (name, actual) in actual.iter_mut() {
                if let Some(expected) = expected.get(name) {
                    keep_as_expected(actual, expected, key);
                }
            }
        }
        _ => {}
    }
}
