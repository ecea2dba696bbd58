//! The commands that run nothing, as a user meets them: exit code, standard output, standard error.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};

fn hearth(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(args)
        .current_dir(folder)
        .env("HEARTH_DATA", folder.join("data"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parsed(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stdout)))
}

/// A folder with this workflow.
fn repository(workflow: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let workflows = folder.path().join(".github/workflows");
    std::fs::create_dir_all(&workflows).expect("folders");
    std::fs::write(workflows.join("ci.yml"), workflow).expect("a file");
    folder
}

const GOOD: &str = "name: Grüße\non: push\njobs:\n  first:\n    runs-on: ubuntu-latest\n    steps: [{run: echo}]\n  \
                    second:\n    needs: first\n    if: false\n    runs-on: ubuntu-latest\n    steps: [{run: echo}]\n";

const BAD: &str = "on: psh\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: echo}]\n";

#[test]
fn expr_gives_kind_and_value_or_the_error_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("c.json"), r#"{"github": {"ref": "Ä", "n": [1, 2]}}"#).expect("a file");
    let run = |source| hearth(folder.path(), &["expr", "--contexts", "c.json", "--format", "json", source]);
    let good = run("github.n");
    assert_eq!((good.status.code(), parsed(&good)), (Some(0), json!({"kind": "Array", "value": [1, 2]})));
    let bad = run("githb.ref");
    assert_eq!(bad.status.code(), Some(1));
    let error = parsed(&bad)["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.starts_with("Unrecognized named-value: 'githb'"), "{error}");
}

#[test]
fn lint_lists_problems_with_their_places_and_fails() {
    let folder = repository(BAD);
    let output = hearth(folder.path(), &["lint", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let first = &parsed(&output)[0];
    assert_eq!(first["path"], ".github/workflows/ci.yml");
    assert_eq!((&first["line"], &first["column"]), (&json!(1), &json!(5)));
    assert_eq!((&first["severity"], &first["code"]), (&json!("error"), &json!("unexpected-value")));
    let good = hearth(repository(GOOD).path(), &["lint", "--format", "json"]);
    assert_eq!((good.status.code(), parsed(&good)), (Some(0), json!([])));
}

#[test]
fn plan_says_what_would_run_and_why_not() {
    let output = hearth(repository(GOOD).path(), &["plan"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(shown.contains("Grüße") && shown.contains("first: 1 step on ubuntu-latest"), "{shown}");
    assert!(shown.contains("second: skipped"), "{shown}");
}

#[test]
fn an_invalid_workflow_a_wrong_flag_and_an_unknown_job_have_exit_codes_of_their_own() {
    let bad = hearth(repository(BAD).path(), &["run"]);
    assert_eq!(bad.status.code(), Some(3));
    assert!(text(&bad.stderr).contains("Unexpected value 'psh'"), "{}", text(&bad.stderr));
    let folder = repository(GOOD);
    assert_eq!(hearth(folder.path(), &["run", "--nonsense"]).status.code(), Some(2));
    let unknown = hearth(folder.path(), &["run", "frist"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(text(&unknown.stderr).contains("first"), "{}", text(&unknown.stderr));
}

#[test]
fn an_event_that_starts_nothing_says_why() {
    let output = hearth(repository(GOOD).path(), &["run", "--event", "release"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains(".github/workflows/ci.yml") && error.contains("release"), "{error}");
}

#[test]
fn completions_name_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = hearth(folder.path(), &["completions", "bash"]);
    assert!(output.status.success() && text(&output.stdout).contains("doctor"));
}
