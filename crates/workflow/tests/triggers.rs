//! Workflow files against events, from text to decision.

use std::collections::BTreeMap;

use serde_json::json;
use workflow::diagnostic::Severity;
use workflow::schema::{ReadOptions, read_workflow};
use workflow::syntax::Workflow;
use workflow::trigger::{Decision, Event, decide, resolve_inputs};

fn read(on: &str) -> Workflow {
    let text = format!("{on}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n");
    let (workflow, problems) = read_workflow("ci.yml", &text, &ReadOptions::default());
    workflow.unwrap_or_else(|| panic!("{text}\n{problems:?}"))
}

fn event(name: &str, payload: serde_json::Value) -> Event {
    Event { name: name.to_owned(), payload: payload.into(), ..Event::default() }
}

fn push(reference: &str, files: &[&str]) -> Event {
    Event {
        changed_files: Some(files.iter().map(|file| (*file).to_owned()).collect()),
        ..event("push", json!({"ref": reference}))
    }
}

const CI: &str = "
on:
  push:
    branches: [main, 'releases/**', '!releases/**-alpha']
    tags: ['v[0-9]+.[0-9]+']
    paths:
      - '**'
      - '!**.md'
  pull_request:
    types: [opened, labeled]
    branches-ignore: 'wip/**'
  schedule:
    - cron: '30 5 * * 1,3'
";

#[test]
fn a_file_decides_for_each_of_its_events() {
    let workflow = read(CI);
    let pull_request = |action: &str, base: &str| {
        event("pull_request", json!({"action": action, "pull_request": {"base": {"ref": base}}}))
    };
    for runs in [
        push("refs/heads/main", &["src/main.rs", "README.md"]),
        push("refs/heads/releases/10", &["a"]),
        push("refs/tags/v1.20", &[]),
        pull_request("labeled", "main"),
        event("schedule", json!({"schedule": "30 5 * * 1,3"})),
    ] {
        assert_eq!(decide(&workflow, &runs), Decision::Run, "{runs:?}");
    }
    for (skips, reason) in [
        (push("refs/heads/main", &["docs/a.md"]), "no changed file matches a pattern of paths (**, !**.md)"),
        (
            push("refs/heads/releases/10-alpha", &["a"]),
            "branch releases/10-alpha matches no pattern of branches",
        ),
        (push("refs/tags/v1", &[]), "tag v1 matches no pattern of tags"),
        (pull_request("synchronize", "main"), "activity type synchronize is not one of opened, labeled"),
        (pull_request("opened", "wip/x"), "base branch wip/x matches a pattern of branches-ignore"),
        (event("fork", json!({})), "the workflow is not triggered by fork"),
    ] {
        assert_eq!(decide(&workflow, &skips), Decision::Skip(reason.to_owned()), "{skips:?}");
    }
}

#[test]
fn a_pattern_that_can_not_be_read_is_reported_when_the_file_is() {
    let text =
        "on:\n  push:\n    branches: ['a[']\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: a\n";
    let (workflow, problems) = read_workflow("ci.yml", text, &ReadOptions::default());
    assert!(workflow.is_none());
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["ci.yml (Line: 3, Col: 16): Invalid filter pattern 'a[': '[' needs a ']'"]);
}

#[test]
fn filters_that_take_only_away_or_stand_beside_their_opposite_are_warned_of() {
    for (filters, code, severity) in [
        ("paths: ['!a']", "filter-includes-nothing", Severity::Warning),
        ("branches: [a]\n    branches-ignore: [b]", "filter-conflict", Severity::Warning),
        ("tags: [a]\n    tags-ignore: [b]", "filter-conflict", Severity::Warning),
        ("paths: [a]\n    paths-ignore: [b]", "filter-conflict", Severity::Warning),
    ] {
        let text =
            format!("on:\n  push:\n    {filters}\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: a\n");
        let (workflow, problems) = read_workflow("ci.yml", &text, &ReadOptions::default());
        assert_eq!(workflow.is_some(), severity == Severity::Warning, "{filters}");
        assert_eq!(problems.len(), 1, "{filters}");
        assert_eq!((problems[0].severity, problems[0].code), (severity, code));
    }
}

#[test]
fn inputs_of_a_file_are_completed_and_typed() {
    let workflow = read(
        "
on:
  workflow_dispatch:
    inputs:
      level:
        type: choice
        options: [info, debug]
        default: info
      dry:
        type: boolean
        required: true
      count:
        type: number
        default: 2
      note:
        description: Free text
",
    );
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        resolve_inputs(&workflow, given(&[("dry", "false"), ("level", "debug")])),
        Ok(json!({"level": "debug", "dry": false, "count": 2, "note": ""}))
    );
    let problems = resolve_inputs(&workflow, given(&[("level", "warn")])).expect_err("it is wrong");
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "ci.yml (Line: 5, Col: 7): Provided value 'warn' for input 'level' not in the list of allowed values: info, debug",
            "ci.yml (Line: 9, Col: 7): Required input 'dry' not provided",
        ]
    );
}
