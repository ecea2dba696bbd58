//! Workflows written as JSON, without the reader of YAML.

use std::sync::Arc;

use model::{ActionRef, JobId, RunId, Secret, Template, Trust};
use serde_json::{Value as Json, json};

use crate::expr::{Expression, fold_text};
use crate::plan::{CalledWorkflows, RunContext};
use crate::span::{Position, Span, Spanned};
use crate::syntax::{
    Access, CallSecrets, Defaults, Input, InputKind, Job, JobWork, Node, NodeKind, Permissions, Step,
    StepWork, Trigger, Workflow,
};

/// A run of a push with one secret and one variable.
pub(super) fn context() -> RunContext {
    RunContext {
        run: RunId(7),
        attempt: 1,
        github: json!({"event_name": "push", "ref": "refs/heads/main", "sha": "abc", "event": {"n": 3}}),
        vars: json!({"REGION": "eu"}),
        inputs: json!({}),
        secrets: [("GITHUB_TOKEN", "ghs"), ("KEY", "k1"), ("OTHER", "o1")]
            .map(|(name, value)| (name.to_owned(), Secret(value.to_owned())))
            .into(),
        trust: Trust::Trusted,
        parallel: 1000,
        only: Vec::new(),
        matrix: Vec::new(),
        first_job: JobId(1000),
    }
}

pub(super) fn called<const N: usize>(files: [(&str, Json); N]) -> CalledWorkflows {
    files.map(|(key, file)| (key.to_owned(), Arc::new(workflow_file(key, &file)))).into()
}

pub(super) fn workflow(json: &Json) -> Arc<Workflow> {
    Arc::new(workflow_file("ci.yml", json))
}

fn workflow_file(file: &str, json: &Json) -> Workflow {
    let jobs = json["jobs"].as_object().expect("a workflow has jobs");
    Workflow {
        file: file.into(),
        name: json["name"].as_str().map(spanned),
        run_name: None,
        on: json
            .get("on")
            .and_then(Json::as_object)
            .map(|on| on.iter().map(trigger).collect())
            .unwrap_or_default(),
        env: json.get("env").map(node),
        defaults: defaults(&json["defaults"]),
        permissions: json.get("permissions").map(permissions),
        concurrency: json.get("concurrency").map(node),
        jobs: jobs.iter().map(|(id, job)| self::job(id, job)).collect(),
    }
}

fn job(id: &str, json: &Json) -> Job {
    let key = |key: &str| json.get(key).map(node);
    Job {
        id: spanned(id),
        name: key("name"),
        needs: names(&json["needs"]),
        condition: condition(json["if"].as_str()),
        permissions: json.get("permissions").map(permissions),
        environment: key("environment"),
        concurrency: key("concurrency"),
        strategy: key("strategy"),
        env: key("env"),
        defaults: defaults(&json["defaults"]),
        outputs: key("outputs"),
        timeout_minutes: key("timeout-minutes"),
        cancel_timeout_minutes: key("cancel-timeout-minutes"),
        continue_on_error: key("continue-on-error"),
        work: work(json),
    }
}

fn work(json: &Json) -> JobWork {
    match json.get("uses") {
        Some(uses) => JobWork::Call {
            uses: spanned(uses.as_str().expect("uses is text")),
            with: json.get("with").map(node),
            secrets: match json.get("secrets") {
                None => CallSecrets::None,
                Some(Json::String(_)) => CallSecrets::Inherit,
                Some(named) => CallSecrets::Named(node(named)),
            },
        },
        None => JobWork::Steps {
            runs_on: node(json.get("runs-on").unwrap_or(&json!("linux"))),
            container: json.get("container").map(node),
            services: json.get("services").map(node),
            snapshot: None,
            steps: json["steps"].as_array().map(|steps| steps.iter().map(step).collect()).unwrap_or_default(),
        },
    }
}

fn step(json: &Json) -> Step {
    Step {
        span: span(),
        id: json["id"].as_str().unwrap_or("__run").to_owned(),
        name: json.get("name").map(node),
        condition: condition(json["if"].as_str()),
        env: json.get("env").map(node),
        continue_on_error: json.get("continue-on-error").map(node),
        timeout_minutes: json.get("timeout-minutes").map(node),
        work: match json.get("uses") {
            Some(uses) => StepWork::Uses {
                uses: Spanned {
                    value: ActionRef::Local(uses.as_str().unwrap_or_default().to_owned()),
                    span: span(),
                },
                with: json.get("with").map(node),
            },
            None => StepWork::Run {
                script: node(&json["run"]),
                shell: json.get("shell").map(node),
                working_directory: json.get("working-directory").map(node),
            },
        },
    }
}

fn trigger((event, json): (&String, &Json)) -> Trigger {
    let entries = |key: &str| json.get(key).and_then(Json::as_object).into_iter().flatten();
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
        inputs: entries("inputs").map(input).collect(),
        outputs: entries("outputs").map(|(name, value)| (spanned(name), node(value))).collect(),
        secrets: entries("secrets")
            .map(|(name, required)| (spanned(name), *required == json!(true)))
            .collect(),
    }
}

fn input((name, json): (&String, &Json)) -> Input {
    Input {
        name: spanned(name),
        description: None,
        required: json["required"] == json!(true),
        default: json.get("default").map(node),
        kind: match json["type"].as_str() {
            Some("boolean") => InputKind::Boolean,
            Some("number") => InputKind::Number,
            _ => InputKind::String,
        },
    }
}

fn permissions(json: &Json) -> Permissions {
    match json.as_str() {
        Some("read-all") => Permissions::ReadAll,
        Some(_) => Permissions::WriteAll,
        None => Permissions::Scopes(
            json.as_object()
                .into_iter()
                .flatten()
                .map(|(scope, access)| {
                    let access = match access.as_str() {
                        Some("write") => Access::Write,
                        Some("read") => Access::Read,
                        _ => Access::None,
                    };
                    (scope.clone(), access)
                })
                .collect(),
        ),
    }
}

fn defaults(json: &Json) -> Defaults {
    Defaults {
        shell: json.get("shell").map(node),
        working_directory: json.get("working-directory").map(node),
    }
}

/// The condition as the reader of files leaves it.
fn condition(source: Option<&str>) -> Arc<str> {
    let Some(source) = source else { return "success()".into() };
    let calls_status =
        Expression::parse(source, None).is_ok_and(|expression| expression.calls_status_function());
    if calls_status { source.into() } else { format!("success() && ({source})").into() }
}

fn names(json: &Json) -> Vec<Spanned<String>> {
    match json {
        Json::String(name) => vec![spanned(name)],
        Json::Array(names) => names.iter().filter_map(Json::as_str).map(spanned).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn node(json: &Json) -> Node {
    let kind = match json {
        Json::Null => NodeKind::Null,
        Json::Bool(value) => NodeKind::Bool(*value),
        Json::Number(value) => NodeKind::Number(value.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => text_kind(text),
        Json::Array(items) => NodeKind::Sequence(items.iter().map(node).collect()),
        Json::Object(entries) => {
            NodeKind::Mapping(entries.iter().map(|(key, value)| (node(&json!(key)), node(value))).collect())
        }
    };
    Node { span: span(), kind }
}

fn text_kind(text: &str) -> NodeKind {
    match fold_text(text, None) {
        Ok(Template::Expression(source)) => NodeKind::Expression(source.into()),
        Ok(Template::String(text)) => NodeKind::String(text),
        other => panic!("{text:?} is no scalar of a workflow: {other:?}"),
    }
}

fn spanned(text: impl AsRef<str>) -> Spanned<String> {
    Spanned { value: text.as_ref().to_owned(), span: span() }
}

fn span() -> Span {
    Span {
        file: "ci.yml".into(),
        start: Position { line: 3, column: 5 },
        end: Position { line: 3, column: 9 },
    }
}
