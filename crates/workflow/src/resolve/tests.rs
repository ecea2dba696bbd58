//! References and what is missing; the checks of calls are tested with the plan.

use std::sync::Arc;

use super::*;
use crate::span::Position;
use crate::syntax::Job;
use crate::syntax::{CallSecrets, Defaults};

fn span() -> Span {
    let place = Position { line: 1, column: 1 };
    Span { file: "ci.yml".into(), start: place, end: place }
}

/// A workflow that calls each of these.
fn calling(uses: &[&str]) -> Arc<Workflow> {
    let jobs = uses.iter().enumerate().map(|(number, uses)| Job {
        id: Spanned { value: format!("j{number}"), span: span() },
        name: None,
        needs: Vec::new(),
        condition: "success()".into(),
        permissions: None,
        cache_mode: None,
        environment: None,
        concurrency: None,
        strategy: None,
        env: None,
        defaults: Defaults::default(),
        outputs: None,
        timeout_minutes: None,
        cancel_timeout_minutes: None,
        continue_on_error: None,
        work: JobWork::Call {
            uses: Spanned { value: (*uses).to_owned(), span: span() },
            with: None,
            secrets: CallSecrets::None,
        },
    });
    Arc::new(Workflow {
        file: "ci.yml".into(),
        name: None,
        run_name: None,
        on: Vec::new(),
        env: None,
        defaults: Defaults::default(),
        permissions: None,
        cache_mode: None,
        concurrency: None,
        jobs: jobs.collect(),
    })
}

fn keys(workflow: &Workflow, called: &CalledWorkflows) -> Vec<String> {
    missing(workflow, called).into_iter().map(|file| file.key).collect()
}

#[test]
fn a_local_path_in_a_remote_file_means_that_files_repository() {
    let remote = Some("o/r/.github/workflows/a.yml@v1");
    let key = |caller, uses| called_key(caller, uses).unwrap();
    assert_eq!(key(remote, "./.github/workflows/b.yml"), "o/r/.github/workflows/b.yml@v1");
    assert_eq!(key(remote, "p/q/.github/workflows/c.yaml@x/y"), "p/q/.github/workflows/c.yaml@x/y");
    assert_eq!(
        key(Some("./.github/workflows/a.yml"), "./.github/workflows/b.yml"),
        "./.github/workflows/b.yml"
    );
    assert_eq!(key(None, "./.github/workflows/b.yml"), "./.github/workflows/b.yml");
}

#[test]
fn texts_that_name_no_workflow_say_what_is_wrong() {
    for (uses, problem) in [
        ("", "no version"),
        ("./x.yml", "rooted in"),
        ("./.github/workflows/../../etc/passwd.yml", "top level"),
        ("./.github/workflows/a/b.yml", "top level"),
        ("./.github/workflows/a.txt", "must end in"),
        ("./.github/workflows/a.yml@v1", "cannot specify version"),
        ("o/r/.github/workflows/a.yml", "no version"),
        ("o/r@v1", "expected owner/repo"),
        ("/r/.github/workflows/a.yml@v1", "expected owner/repo"),
        ("o/r/.github/workflows/a.yml@", "expected owner/repo"),
        ("o/r/elsewhere/a.yml@v1", "rooted in"),
        ("docker://alpine", "no version"),
        ("ü@é", "expected owner/repo"),
    ] {
        let error = WorkflowRef::parse(uses).unwrap_err().to_string();
        assert!(error.contains(problem), "{uses}: {error}");
    }
}

#[test]
fn files_are_asked_for_until_none_is_missing() {
    let workflow = calling(&["./.github/workflows/a.yml", "o/r/.github/workflows/b.yml@v1", "nonsense"]);
    let mut called = CalledWorkflows::new();
    assert_eq!(keys(&workflow, &called), ["./.github/workflows/a.yml", "o/r/.github/workflows/b.yml@v1"]);
    called.insert("./.github/workflows/a.yml".to_owned(), calling(&["./.github/workflows/a.yml"]));
    called.insert("o/r/.github/workflows/b.yml@v1".to_owned(), calling(&["./.github/workflows/c.yml"]));
    assert_eq!(keys(&workflow, &called), ["o/r/.github/workflows/c.yml@v1"]);
    called.insert("o/r/.github/workflows/c.yml@v1".to_owned(), calling(&[]));
    assert!(keys(&workflow, &called).is_empty());
}

#[test]
fn files_that_call_ever_new_ones_are_not_loaded_for_ever() {
    let file = |number: usize| format!("./.github/workflows/{number}.yml");
    let workflow = calling(&[&file(0)]);
    let mut called = CalledWorkflows::new();
    let mut rounds = 0;
    while let Some(next) = missing(&workflow, &called).pop() {
        rounds += 1;
        called.insert(next.key, calling(&[&file(rounds)]));
    }
    assert_eq!(rounds, REUSABLE_WORKFLOW_DEPTH);
}

#[test]
fn more_than_fifty_files_are_refused_and_not_all_loaded() {
    let many: Vec<String> = (0..200).map(|number| format!("./.github/workflows/{number}.yml")).collect();
    let workflow = calling(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(missing(&workflow, &CalledWorkflows::new()).len(), CALLED_FILES + 1);
    let problems = check_calls(&workflow, &CalledWorkflows::new(), &Limits::default());
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, crate::diagnostic::codes::CALL_FILES);
}
