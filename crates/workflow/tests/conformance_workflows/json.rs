//! A typed workflow in the JSON of GitHub's suite.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use workflow::plan::CalledWorkflows;
use workflow::resolve::WorkflowRef;
use workflow::span::{Span, Spanned};
use workflow::syntax::{
    Access, CallSecrets, InputKind, Job, JobWork, Node, NodeKind, Permissions, Step, StepWork, Workflow,
};
use workflow::yaml;

use super::events;

/// Scopes that `read-all` and `write-all` stand for in the suite.
const ALL_SCOPES: [&str; 13] = [
    "actions",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "id-token",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
];

type Object = Map<String, Json>;

/// The trees of all files by their names: the suite shows some parts as they stand in the file.
pub(crate) type Trees = BTreeMap<String, yaml::Node>;

/// Writes JSON, with places if asked to.
pub(crate) struct Writer<'a> {
    include_source: bool,
    trees: &'a Trees,
    files: Vec<Arc<str>>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(include_source: bool, trees: &'a Trees) -> Writer<'a> {
        Writer { include_source, trees, files: Vec::new() }
    }

    pub(crate) fn workflow(mut self, workflow: &Workflow, called: &CalledWorkflows) -> Json {
        self.file(&workflow.file);
        let mut out = Object::new();
        let on = Writer::new(false, self.trees).tree(&workflow.file, &["on"]);
        out.insert("events".into(), events::events(&workflow.on, on.as_ref()));
        let types = dispatch_types(workflow);
        if !types.is_empty() {
            out.insert("input-types".into(), Json::Object(types));
        }
        put(&mut out, "env", workflow.env.as_ref().map(|node| self.node(node)));
        put(&mut out, "permissions", workflow.permissions.as_ref().map(permissions));
        put(&mut out, "defaults", self.tree(&workflow.file, &["defaults"]));
        put(&mut out, "concurrency", workflow.concurrency.as_ref().map(|node| self.node(node)));
        out.insert("jobs".into(), self.jobs(workflow, None, workflow.permissions.as_ref(), called));
        if self.include_source {
            let files: Vec<&str> = self.files.iter().map(|file| &**file).collect();
            out.insert("file-table".into(), json!(files));
        }
        Json::Object(out)
    }

    fn jobs(
        &mut self,
        workflow: &Workflow,
        file: Option<&WorkflowRef>,
        given: Option<&Permissions>,
        called: &CalledWorkflows,
    ) -> Json {
        let given = workflow.permissions.as_ref().or(given);
        Json::Array(workflow.jobs.iter().map(|job| self.job(job, file, given, called)).collect())
    }

    fn job(
        &mut self,
        job: &Job,
        file: Option<&WorkflowRef>,
        given: Option<&Permissions>,
        called: &CalledWorkflows,
    ) -> Json {
        let mut out = Object::new();
        let is_call = matches!(job.work, JobWork::Call { .. });
        out.insert("type".into(), json!(if is_call { "reusableWorkflowJob" } else { "job" }));
        out.insert("id".into(), self.text(&job.id.value, &job.id.span));
        let name =
            job.name.as_ref().filter(|name| !matches!(&name.kind, NodeKind::String(text) if text.is_empty()));
        let name = match name {
            Some(name) => self.node(name),
            None => self.text(&job.id.value, &job.id.span),
        };
        out.insert("name".into(), name);
        if is_call || !job.needs.is_empty() {
            let needs = job.needs.iter().map(|need| self.text(&need.value, &need.span)).collect();
            out.insert("needs".into(), Json::Array(needs));
        }
        out.insert("if".into(), expression(&job.condition));
        put(&mut out, "strategy", job.strategy.as_ref().map(|node| self.node(node)));
        put(&mut out, "continue-on-error", job.continue_on_error.as_ref().map(|node| self.node(node)));
        put(&mut out, "timeout-minutes", job.timeout_minutes.as_ref().map(|node| self.node(node)));
        put(
            &mut out,
            "cancel-timeout-minutes",
            job.cancel_timeout_minutes.as_ref().map(|node| self.node(node)),
        );
        put(&mut out, "concurrency", job.concurrency.as_ref().map(|node| self.node(node)));
        let own = job.permissions.as_ref().or(given);
        put(&mut out, "env", job.env.as_ref().map(|node| self.node(node)));
        put(&mut out, "environment", job.environment.as_ref().map(|node| self.node(node)));
        put(&mut out, "defaults", self.tree(&job.id.span.file, &["jobs", &job.id, "defaults"]));
        put(&mut out, "outputs", job.outputs.as_ref().map(|node| self.node(node)));
        match &job.work {
            JobWork::Steps { runs_on, container, services, snapshot, steps } => {
                put(&mut out, "permissions", own.map(permissions));
                out.insert("runs-on".into(), self.node(runs_on));
                put(&mut out, "container", container.as_ref().map(|node| self.node(node)));
                put(&mut out, "services", services.as_ref().map(|node| self.node(node)));
                put(&mut out, "snapshot", snapshot.as_ref().map(|node| self.node(node)));
                if !steps.is_empty() {
                    out.insert(
                        "steps".into(),
                        Json::Array(steps.iter().map(|step| self.step(step)).collect()),
                    );
                }
            }
            JobWork::Call { uses, with, secrets } => {
                put(&mut out, "input-values", with.as_ref().map(|node| self.node(node)));
                match secrets {
                    CallSecrets::None => {}
                    CallSecrets::Inherit => put(&mut out, "inherit-secrets", Some(json!(true))),
                    CallSecrets::Named(node) => put(&mut out, "secret-values", Some(self.node(node))),
                }
                self.call(&mut out, uses, file, own, called);
            }
        }
        Json::Object(out)
    }

    /// What a call adds of the file that it calls.
    fn call(
        &mut self,
        out: &mut Object,
        uses: &Spanned<String>,
        file: Option<&WorkflowRef>,
        given: Option<&Permissions>,
        called: &CalledWorkflows,
    ) {
        let reference = WorkflowRef::parse(uses).ok().map(|reference| reference.seen_from(file));
        let key = reference.as_ref().map_or_else(|| uses.value.clone(), WorkflowRef::to_string);
        out.insert("ref".into(), self.text(&key, &uses.span));
        let Some(callee) = called.get(&key) else {
            put(out, "permissions", given.map(permissions));
            return;
        };
        self.file(&callee.file);
        put(out, "permissions", callee.permissions.as_ref().or(given).map(permissions));
        put(out, "env", callee.env.as_ref().map(|node| self.node(node)));
        put(out, "defaults", self.tree(&callee.file, &["defaults"]));
        put(out, "embedded-concurrency", callee.concurrency.as_ref().map(|node| self.node(node)));
        for (name, key) in
            [("input-definitions", "inputs"), ("secret-definitions", "secrets"), ("outputs", "outputs")]
        {
            put(out, name, self.tree(&callee.file, &["on", "workflow_call", key]));
        }
        let jobs = self.jobs(callee, reference.as_ref(), given, called);
        out.insert("jobs".into(), jobs);
    }

    fn step(&mut self, step: &Step) -> Json {
        let mut out = Object::new();
        out.insert("id".into(), json!(step.id));
        put(&mut out, "name", step.name.as_ref().map(|node| self.node(node)));
        out.insert("if".into(), expression(&step.condition));
        put(&mut out, "continue-on-error", step.continue_on_error.as_ref().map(|node| self.node(node)));
        put(&mut out, "timeout-minutes", step.timeout_minutes.as_ref().map(|node| self.node(node)));
        put(&mut out, "env", step.env.as_ref().map(|node| self.node(node)));
        match &step.work {
            StepWork::Run { script, shell, working_directory } => {
                put(&mut out, "working-directory", working_directory.as_ref().map(|node| self.node(node)));
                put(&mut out, "shell", shell.as_ref().map(|node| self.node(node)));
                out.insert("run".into(), self.node(script));
            }
            StepWork::Uses { uses, with } => {
                out.insert("uses".into(), self.text(&uses.value.to_string(), &uses.span));
                put(&mut out, "with", with.as_ref().map(|node| self.node(node)));
            }
            StepWork::Wait { .. } | StepWork::Cancel { .. } => {}
        }
        Json::Object(out)
    }

    fn node(&mut self, node: &Node) -> Json {
        match &node.kind {
            NodeKind::Null => self.literal(Json::Null, &node.span),
            NodeKind::Bool(value) => self.literal(json!(value), &node.span),
            NodeKind::Number(number) => self.literal(number_json(*number), &node.span),
            NodeKind::String(text) => self.text(text, &node.span),
            NodeKind::Expression(source) => self.placed(expression(source), &node.span),
            NodeKind::Sequence(items) => {
                let items: Vec<Json> = items.iter().map(|item| self.node(item)).collect();
                self.placed(json!({"type": 1, "seq": items}), &node.span)
            }
            NodeKind::Mapping(pairs) => {
                let pairs: Vec<Json> = pairs
                    .iter()
                    .map(|(key, value)| json!({"Key": self.node(key), "Value": self.node(value)}))
                    .collect();
                self.placed(json!({"type": 2, "map": pairs}), &node.span)
            }
        }
    }

    /// Part of a file as it stands there.
    fn tree(&mut self, file: &str, path: &[&str]) -> Option<Json> {
        let mut node = self.trees.get(file)?;
        for name in path {
            let yaml::Value::Mapping(pairs) = &node.value else { return None };
            node = pairs
                .iter()
                .find(|(key, _)| key.value.scalar_text().as_deref() == Some(*name))
                .map(|(_, value)| value)?;
        }
        Some(self.node(&without_checks(node)))
    }

    fn text(&mut self, text: &str, span: &Span) -> Json {
        self.literal(json!(text), span)
    }

    fn literal(&mut self, value: Json, span: &Span) -> Json {
        if !self.include_source {
            return value;
        }
        let kind = match value {
            Json::Bool(_) => 5,
            Json::Number(_) => 6,
            Json::Null => 7,
            _ => 0,
        };
        self.placed(json!({"type": kind, "lit": value}), span)
    }

    fn placed(&mut self, mut value: Json, span: &Span) -> Json {
        if let (true, Json::Object(out)) = (self.include_source, &mut value) {
            out.insert("file".into(), json!(self.file(&span.file)));
            out.insert("line".into(), json!(span.start.line));
            out.insert("col".into(), json!(span.start.column));
        }
        value
    }

    /// The number of a file in the table of files, from 1.
    fn file(&mut self, file: &Arc<str>) -> usize {
        let place = self.files.iter().position(|known| known == file);
        place.map_or_else(
            || {
                self.files.push(file.clone());
                self.files.len()
            },
            |place| place + 1,
        )
    }
}

/// Types of the inputs of `workflow_dispatch`.
fn dispatch_types(workflow: &Workflow) -> Object {
    let inputs = workflow
        .on
        .iter()
        .filter(|trigger| trigger.event.value == "workflow_dispatch")
        .flat_map(|trigger| &trigger.inputs);
    inputs.map(|input| (input.name.value.clone(), json!(kind_name(&input.kind)))).collect()
}

pub(crate) fn kind_name(kind: &InputKind) -> &'static str {
    match kind {
        InputKind::String => "string",
        InputKind::Boolean => "boolean",
        InputKind::Number => "number",
        InputKind::Choice(_) => "choice",
        InputKind::Environment => "environment",
    }
}

pub(crate) fn put(out: &mut Object, key: &str, value: Option<Json>) {
    if let Some(value) = value {
        out.insert(key.into(), value);
    }
}

fn expression(source: &str) -> Json {
    json!({"type": if source == "insert" { 4 } else { 3 }, "expr": source})
}

pub(crate) fn number_json(number: f64) -> Json {
    if number.is_finite() { json!(number) } else { json!(workflow::expr::Value::Number(number).to_text()) }
}

/// Access to each scope; none is not written.
fn permissions(permissions: &Permissions) -> Json {
    let word = |access: &Access| match access {
        Access::None => None,
        Access::Read => Some("read"),
        Access::Write => Some("write"),
    };
    let all = |word: &str| ALL_SCOPES.iter().map(|scope| ((*scope).to_owned(), json!(word))).collect();
    Json::Object(match permissions {
        Permissions::ReadAll => all("read"),
        Permissions::WriteAll => all("write"),
        Permissions::Scopes(scopes) => {
            scopes.iter().filter_map(|(scope, access)| Some((scope.clone(), json!(word(access)?)))).collect()
        }
    })
}

/// A tree as a node, whatever may stand in it.
fn without_checks(node: &yaml::Node) -> Node {
    let kind = match &node.value {
        yaml::Value::Invalid | yaml::Value::Null => NodeKind::Null,
        yaml::Value::Bool(value) => NodeKind::Bool(*value),
        yaml::Value::Number(number) => NodeKind::Number(*number),
        yaml::Value::String(text) => match workflow::expr::fold_text(text, None) {
            Ok(model::Template::Expression(source)) => NodeKind::Expression(source.into()),
            Ok(model::Template::String(text)) => NodeKind::String(text),
            _ => NodeKind::String(text.clone()),
        },
        yaml::Value::Sequence(items) => NodeKind::Sequence(items.iter().map(without_checks).collect()),
        yaml::Value::Mapping(pairs) => NodeKind::Mapping(
            pairs
                .iter()
                .map(|(key, value)| {
                    let text = key.value.scalar_text().unwrap_or_default();
                    (Node { span: key.span.clone(), kind: NodeKind::String(text) }, without_checks(value))
                })
                .collect(),
        ),
    };
    Node { span: node.span.clone(), kind }
}
