//! Events against workflows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::span::{Position, Span, Spanned};
use crate::syntax::{Defaults, Input, InputKind, Node, NodeKind, Schedule, Trigger, Workflow};

fn span() -> Span {
    let position = Position { line: 1, column: 1 };
    Span { file: Arc::from("ci.yml"), start: position, end: position }
}

fn spanned(text: &str) -> Spanned<String> {
    Spanned { value: text.to_owned(), span: span() }
}

fn list(patterns: &[&str]) -> Option<Vec<Spanned<String>>> {
    Some(names(patterns))
}

fn names(names: &[&str]) -> Vec<Spanned<String>> {
    names.iter().map(|name| spanned(name)).collect()
}

fn on(event: &str) -> Trigger {
    Trigger {
        event: spanned(event),
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

fn workflow(trigger: Trigger) -> Workflow {
    Workflow {
        file: Arc::from("ci.yml"),
        name: None,
        run_name: None,
        on: vec![trigger],
        env: None,
        defaults: Defaults::default(),
        permissions: None,
        cache_mode: None,
        concurrency: None,
        jobs: Vec::new(),
    }
}

fn event(name: &str, payload: Json) -> Event {
    Event { name: name.to_owned(), payload: payload.into(), ..Event::default() }
}

fn push(reference: &str) -> Event {
    event("push", json!({"ref": reference, "head_commit": {"message": "Fix"}}))
}

fn push_of(files: &[&str]) -> Event {
    Event {
        changed_files: Some(files.iter().map(|file| (*file).to_owned()).collect()),
        ..push("refs/heads/main")
    }
}

fn pull_request(action: &str, base: &str) -> Event {
    event("pull_request", json!({"action": action, "pull_request": {"base": {"ref": base}}}))
}

#[track_caller]
fn runs(trigger: Trigger, event: &Event) {
    assert_eq!(decide(&workflow(trigger), event), Decision::Run);
}

#[track_caller]
fn skips(trigger: Trigger, event: &Event, reason: &str) {
    assert_eq!(decide(&workflow(trigger), event), Decision::Skip(reason.to_owned()));
}

#[test]
fn a_workflow_runs_only_for_its_events() {
    runs(on("push"), &push("refs/heads/main"));
    skips(on("push"), &event("fork", json!({})), "the workflow is not triggered by fork");
    runs(on("workflow_dispatch"), &event("workflow_dispatch", json!({"inputs": {}})));
}

#[test]
fn branch_filters_decide_for_branches_and_leave_tags_out() {
    let trigger = || Trigger { branches: list(&["main", "releases/**", "!releases/**-alpha"]), ..on("push") };
    runs(trigger(), &push("refs/heads/main"));
    runs(trigger(), &push("refs/heads/releases/10"));
    skips(trigger(), &push("refs/heads/dev"), "branch dev matches no pattern of branches");
    let alpha = push("refs/heads/releases/10-alpha");
    skips(trigger(), &alpha, "branch releases/10-alpha matches no pattern of branches");
    let tag = push("refs/tags/main");
    skips(trigger(), &tag, "tag main was pushed, and the workflow filters branches only");
    let ignoring = || Trigger { branches_ignore: list(&["dev*"]), ..on("push") };
    runs(ignoring(), &push("refs/heads/main"));
    skips(ignoring(), &push("refs/heads/dev-1"), "branch dev-1 matches a pattern of branches-ignore");
    skips(ignoring(), &push("refs/tags/v1"), "tag v1 was pushed, and the workflow filters branches only");
}

#[test]
fn tag_filters_decide_for_tags_and_leave_branches_out() {
    let trigger = || Trigger { tags: list(&["v*"]), ..on("push") };
    runs(trigger(), &push("refs/tags/v1"));
    skips(trigger(), &push("refs/tags/x"), "tag x matches no pattern of tags");
    skips(trigger(), &push("refs/heads/v1"), "branch v1 was pushed, and the workflow filters tags only");
    let both = || Trigger { tags_ignore: list(&["x"]), branches: list(&["main"]), ..on("push") };
    runs(both(), &push("refs/tags/v1"));
    runs(both(), &push("refs/heads/main"));
    skips(both(), &push("refs/tags/x"), "tag x matches a pattern of tags-ignore");
    runs(on("push"), &push("refs/tags/v1"));
}

#[test]
fn the_last_pattern_that_matches_counts() {
    let trigger = |patterns: &[&str]| Trigger { branches: list(patterns), ..on("push") };
    runs(trigger(&["**", "!a/**", "a/b"]), &push("refs/heads/a/b"));
    assert!(!decide(&workflow(trigger(&["a/b", "!a/**"])), &push("refs/heads/a/b")).runs());
    assert!(!decide(&workflow(trigger(&["!main"])), &push("refs/heads/dev")).runs());
}

#[test]
fn path_filters_look_at_the_changed_files() {
    let paths = || Trigger { paths: list(&["src/**", "!src/**.md"]), ..on("push") };
    runs(paths(), &push_of(&["README.md", "src/main.rs"]));
    let reason = "no changed file matches a pattern of paths (src/**, !src/**.md)";
    skips(paths(), &push_of(&["src/a.md"]), reason);
    skips(paths(), &push_of(&[]), reason);
    runs(paths(), &push("refs/heads/main"));
    let ignoring = || Trigger { paths_ignore: list(&["docs/**"]), ..on("push") };
    runs(ignoring(), &push_of(&["docs/a", "b"]));
    let reason = "every changed file matches a pattern of paths-ignore (docs/**)";
    skips(ignoring(), &push_of(&["docs/a"]), reason);
}

#[test]
fn path_filters_pass_tags_and_pushes_of_more_than_a_thousand_commits() {
    let trigger = || Trigger { paths: list(&["src/**"]), ..on("push") };
    let elsewhere = || Some(vec!["a".to_owned()]);
    runs(trigger(), &Event { changed_files: elsewhere(), ..push("refs/tags/v1") });
    let commits = |count| json!({"ref": "refs/heads/main", "commits": vec![json!({}); count]});
    let pushed = |count| Event { changed_files: elsewhere(), ..event("push", commits(count)) };
    runs(trigger(), &pushed(1001));
    assert!(!decide(&workflow(trigger()), &pushed(1000)).runs());
}

#[test]
fn path_filters_see_the_first_three_hundred_changed_files() {
    let files = |last: &str| {
        let docs = (0..299).map(|number| format!("docs/{number:03}"));
        Event {
            changed_files: Some(docs.chain([last.to_owned(), "src/z".to_owned()]).collect()),
            ..push("refs/heads/main")
        }
    };
    let including = || Trigger { paths: list(&["src/**"]), ..on("push") };
    runs(including(), &files("src/a"));
    skips(including(), &files("docs/z"), "no changed file matches a pattern of paths (src/**)");
    let ignoring = || Trigger { paths_ignore: list(&["docs/**"]), ..on("push") };
    runs(ignoring(), &files("src/a"));
    skips(ignoring(), &files("docs/z"), "every changed file matches a pattern of paths-ignore (docs/**)");
}

#[test]
fn branches_and_paths_must_both_match() {
    let trigger = || Trigger { branches: list(&["main"]), paths: list(&["a"]), ..on("push") };
    runs(trigger(), &push_of(&["a"]));
    assert!(!decide(&workflow(trigger()), &push_of(&["b"])).runs());
    let elsewhere = Event { changed_files: Some(vec!["a".to_owned()]), ..push("refs/heads/dev") };
    skips(trigger(), &elsewhere, "branch dev matches no pattern of branches");
}

#[test]
fn the_push_that_deletes_a_branch_runs_nothing() {
    let deleted = event("push", json!({"ref": "refs/heads/dev", "deleted": true, "head_commit": null}));
    skips(on("push"), &deleted, "branch dev was deleted");
}

#[test]
fn pull_requests_run_when_opened_or_changed_unless_types_say_otherwise() {
    for action in ["opened", "synchronize", "reopened"] {
        runs(on("pull_request"), &pull_request(action, "main"));
    }
    let reason = "activity type closed is not one of opened, synchronize, reopened";
    skips(on("pull_request"), &pull_request("closed", "main"), reason);
    let target = Event { name: "pull_request_target".to_owned(), ..pull_request("labeled", "main") };
    assert!(!decide(&workflow(on("pull_request_target")), &target).runs());
    let closed = || Trigger { types: names(&["closed"]), ..on("pull_request") };
    runs(closed(), &pull_request("closed", "main"));
    skips(closed(), &pull_request("opened", "main"), "activity type opened is not one of closed");
    runs(on("issues"), &event("issues", json!({"action": "demilestoned"})));
}

#[test]
fn pull_requests_are_filtered_by_their_base_branch() {
    let trigger = || Trigger { branches: list(&["main"]), ..on("pull_request") };
    runs(trigger(), &pull_request("opened", "main"));
    let reason = "base branch dev matches no pattern of branches";
    skips(trigger(), &pull_request("opened", "dev"), reason);
}

#[test]
fn a_pull_request_with_a_conflict_runs_no_pull_request_workflow() {
    let payload = json!({"action": "opened", "pull_request": {"mergeable": false, "base": {"ref": "main"}}});
    let conflict = event("pull_request", payload.clone());
    skips(on("pull_request"), &conflict, "the pull request has a merge conflict");
    runs(on("pull_request_target"), &event("pull_request_target", payload));
}

#[test]
fn a_commit_message_can_ask_for_no_run() {
    let message = json!({"ref": "refs/heads/main", "head_commit": {"message": "Docs [skip ci]"}});
    skips(on("push"), &event("push", message), "the message of the head commit says [skip ci]");
    let asking = |name: &str| Event {
        name: name.to_owned(),
        head_commit_message: Some("Docs\n\n\nskip-checks: true".to_owned()),
        ..pull_request("opened", "main")
    };
    let reason = "the message of the head commit says skip-checks: true";
    skips(on("pull_request"), &asking("pull_request"), reason);
    runs(on("pull_request_target"), &asking("pull_request_target"));
}

#[test]
fn a_workflow_follows_another_by_name_type_and_branch() {
    let finished = |name: &str, action: &str, branch: &str| {
        event(
            "workflow_run",
            json!({"action": action, "workflow_run": {"name": name, "head_branch": branch}}),
        )
    };
    let trigger = || Trigger {
        workflows: names(&["Build", "Test"]),
        types: names(&["completed"]),
        branches: list(&["main"]),
        ..on("workflow_run")
    };
    runs(trigger(), &finished("Test", "completed", "main"));
    let reason = "workflow Deploy is not one of Build, Test";
    skips(trigger(), &finished("Deploy", "completed", "main"), reason);
    skips(
        trigger(),
        &finished("Build", "requested", "main"),
        "activity type requested is not one of completed",
    );
    let reason = "branch dev matches no pattern of branches";
    skips(trigger(), &finished("Build", "completed", "dev"), reason);
}

#[test]
fn other_events_are_matched_by_what_they_carry() {
    let schedule = Schedule { cron: spanned("0 3 * * *"), timezone: None };
    let nightly = || Trigger { schedule: vec![schedule.clone()], ..on("schedule") };
    runs(nightly(), &event("schedule", json!({"schedule": "0 3 * * *"})));
    let reason = "no schedule of the workflow is '0 4 * * *'";
    skips(nightly(), &event("schedule", json!({"schedule": "0 4 * * *"})), reason);
    let at = |zone: Json| event("schedule", json!({"schedule": "0 3 * * *", "timezone": zone}));
    runs(nightly(), &at(Json::Null));
    skips(nightly(), &at(json!("Asia/Tokyo")), "no schedule of the workflow is '0 3 * * *' in Asia/Tokyo");
    let schedule = Schedule { timezone: Some(spanned("Asia/Tokyo")), ..schedule };
    let in_tokyo = || Trigger { schedule: vec![schedule.clone()], ..on("schedule") };
    runs(in_tokyo(), &at(json!("Asia/Tokyo")));
    runs(in_tokyo(), &event("schedule", json!({"schedule": "0 3 * * *"})));
    skips(in_tokyo(), &at(Json::Null), "no schedule of the workflow is '0 3 * * *'");

    let dispatched = || Trigger { types: names(&["deploy"]), ..on("repository_dispatch") };
    runs(dispatched(), &event("repository_dispatch", json!({"action": "deploy"})));
    let reason = "activity type build is not one of deploy";
    skips(dispatched(), &event("repository_dispatch", json!({"action": "build"})), reason);

    let queued = Trigger { branches: list(&["main"]), ..on("merge_group") };
    let group = json!({"action": "checks_requested", "merge_group": {"base_ref": "refs/heads/main"}});
    runs(queued, &event("merge_group", group));

    let own = json!({"action": "completed", "check_suite": {"app": {"slug": "github-actions"}}});
    skips(on("check_suite"), &event("check_suite", own), "the check_suite is one of GitHub Actions");

    let inactive = event("deployment_status", json!({"deployment_status": {"state": "inactive"}}));
    skips(on("deployment_status"), &inactive, "the deployment became inactive");

    let image = json!({"action": "ready", "image_version": {"name": "base", "version": "1.4"}});
    let ready =
        |names: &[&str]| Trigger { names: list(names), versions: list(&["1.*"]), ..on("image_version") };
    runs(ready(&["base"]), &event("image_version", image.clone()));
    skips(ready(&["x"]), &event("image_version", image), "image base matches no pattern of names");

    let draft = |action: &str| event("release", json!({"action": action, "release": {"draft": true}}));
    skips(on("release"), &draft("created"), "the release is a draft");
    runs(on("release"), &draft("released"));
}

#[test]
fn a_pattern_that_can_not_be_read_is_a_diagnostic() {
    let broken = workflow(Trigger { branches: list(&["["]), tags: list(&["+"]), ..on("push") });
    let Decision::Invalid(problems) = decide(&broken, &push("refs/heads/main")) else {
        panic!("it decided");
    };
    assert_eq!(problems.len(), 2);
    assert_eq!(
        problems[0].to_string(),
        "ci.yml (Line: 1, Col: 1): Invalid filter pattern '[': '[' needs a ']'"
    );
    assert_eq!(check_filters(&broken).len(), 2);
    let negative = workflow(Trigger { paths: list(&["!a", "!b"]), ..on("push") });
    assert_eq!(check_filters(&negative)[0].code, "filter-includes-nothing");
}

#[test]
fn payloads_of_any_shape_are_survived() {
    for payload in [json!(null), json!([]), json!("x"), json!({"ref": 5, "pull_request": [], "action": {}})] {
        for name in ["push", "pull_request", "workflow_run", "schedule", "merge_group", "check_run"] {
            let _ = decide(&workflow(on(name)), &event(name, payload.clone()));
        }
    }
}

fn input(name: &str, kind: InputKind, required: bool, default: Option<NodeKind>) -> Input {
    Input {
        name: spanned(name),
        description: None,
        required,
        default: default.map(|kind| Node { span: span(), kind }),
        kind,
    }
}

fn dispatched_with(inputs: Vec<Input>, given: &[(&str, &str)]) -> Result<Json, Vec<String>> {
    let given: BTreeMap<String, String> =
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let workflow = workflow(Trigger { inputs, ..on("workflow_dispatch") });
    resolve_inputs(&workflow, given)
        .map_err(|problems| problems.into_iter().map(|problem| problem.message).collect())
}

#[test]
fn inputs_are_completed_and_typed() {
    let choice = || InputKind::Choice(vec!["info".to_owned(), "debug".to_owned()]);
    let inputs = || {
        vec![
            input("text", InputKind::String, false, None),
            input("Flag", InputKind::Boolean, true, None),
            input("off", InputKind::Boolean, false, None),
            input("count", InputKind::Number, false, Some(NodeKind::Number(3.0))),
            input("level", choice(), true, Some(NodeKind::String("info".to_owned()))),
            input("where", InputKind::Environment, false, None),
        ]
    };
    let resolved = dispatched_with(inputs(), &[("flag", "TRUE"), ("where", "prod")]);
    let wanted =
        json!({"text": "", "Flag": true, "off": false, "count": 3, "level": "info", "where": "prod"});
    assert_eq!(resolved, Ok(wanted.clone()));
    let texts =
        json!({"text": "", "Flag": "true", "off": "false", "count": "3", "level": "info", "where": "prod"});
    assert_eq!(event_inputs(&wanted), texts);
    assert_eq!(
        dispatched_with(inputs(), &[("count", "x"), ("level", "warn"), ("nope", "1")]),
        Err(vec![
            "Unexpected inputs provided: 'nope'".to_owned(),
            "Required input 'Flag' not provided".to_owned(),
            "Provided value 'x' for input 'count' is not a number".to_owned(),
            "Provided value 'warn' for input 'level' not in the list of allowed values: info, debug"
                .to_owned(),
        ])
    );
}

#[test]
fn a_workflow_without_manual_start_takes_no_inputs() {
    assert_eq!(resolve_inputs(&workflow(on("push")), BTreeMap::new()), Ok(json!({})));
    let given = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let problems = resolve_inputs(&workflow(on("push")), given).expect_err("there are no inputs");
    assert_eq!(problems[0].message, "Unexpected inputs provided: 'a'");
}
