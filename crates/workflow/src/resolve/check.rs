//! Whether each call of a workflow fits the file that it calls.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::plan::CalledWorkflows;
use crate::span::Span;
use crate::syntax::{CallSecrets, InputKind, Job, JobWork, Node, NodeKind, Permissions, Trigger, Workflow};

use super::permissions::violations;
use super::{Limits, WorkflowRef};

/// GitHub's words for too many calls inside of calls.
pub fn too_deep(depth: usize) -> String {
    format!("Nested reusable workflow depth exceeded {depth}.")
}

/// Checks every call that `workflow` makes, directly and through what it calls: the file is
/// there and can be called, required inputs and secrets are given and no unknown ones, no
/// more permissions are asked for than given, and the limits of depth and jobs hold.
#[must_use]
pub fn check_calls(workflow: &Workflow, called: &CalledWorkflows, limits: &Limits) -> Vec<Diagnostic> {
    let mut check = Check { called, limits, jobs: 0, problems: Vec::new() };
    let files = super::reachable(workflow, called);
    if let Some(surplus) = files.get(limits.files) {
        let message = format!(
            "A workflow may not call more than {} others, directly or not; this one calls {}",
            limits.files,
            files.len()
        );
        check.add(codes::CALL_FILES, Some(&surplus.span), message, None);
        return check.problems;
    }
    check.jobs_of(workflow, &Call { file: None, max: None, depth: 1, uses: None });
    check.problems
}

struct Check<'a> {
    called: &'a CalledWorkflows,
    limits: &'a Limits,
    jobs: usize,
    problems: Vec<Diagnostic>,
}

/// How the check came to a file.
struct Call<'a> {
    /// The file; none for the run's own.
    file: Option<&'a WorkflowRef>,
    /// What its callers allow, where one says so.
    max: Option<&'a Permissions>,
    /// 1 for the run's own file.
    depth: usize,
    /// The `uses` that names it.
    uses: Option<&'a Span>,
}

impl Check<'_> {
    fn jobs_of(&mut self, workflow: &Workflow, call: &Call<'_>) {
        self.jobs += workflow.jobs.len();
        if self.jobs > self.limits.jobs {
            let message = format!("The workflow may not contain more than {} jobs", self.limits.jobs);
            let place = call.uses.or_else(|| workflow.jobs.last().map(|job| &job.id.span));
            return self.add(codes::JOB_LIMIT, place, message, None);
        }
        let own = workflow.permissions.as_ref().or(call.max);
        for job in &workflow.jobs {
            let JobWork::Call { uses, .. } = &job.work else { continue };
            match WorkflowRef::parse(uses) {
                Ok(reference) => {
                    let max = job.permissions.as_ref().or(own);
                    self.call(job, &reference.seen_from(call.file), max, call.depth);
                }
                Err(error) => self.add(codes::USES_FORMAT, Some(&uses.span), error.to_string(), None),
            }
            if self.jobs > self.limits.jobs || call.depth > self.limits.depth {
                return;
            }
        }
    }

    fn call(&mut self, job: &Job, reference: &WorkflowRef, max: Option<&Permissions>, depth: usize) {
        let JobWork::Call { uses, .. } = &job.work else { return };
        if depth > self.limits.depth {
            if !self.problems.iter().any(|problem| problem.code == codes::CALL_DEPTH) {
                let hint = "a workflow may not call itself, and calls may not be nested deeper";
                self.add(codes::CALL_DEPTH, Some(&uses.span), too_deep(self.limits.depth), Some(hint));
            }
            return;
        }
        let key = reference.to_string();
        let Some(callee) = self.called.get(&key).map(Arc::clone) else {
            let message = format!("error parsing called workflow \"{key}\": workflow was not found.");
            return self.add(codes::CALL_NOT_FOUND, Some(&uses.span), message, None);
        };
        let Some(trigger) = callee.on.iter().find(|trigger| *trigger.event == "workflow_call") else {
            return self.add(
                codes::CALL_TRIGGER,
                Some(&uses.span),
                "workflow_call key is not defined in the referenced workflow.".to_owned(),
                Some("add `workflow_call` to the `on` of the file that is called"),
            );
        };
        self.inputs(job, trigger);
        self.secrets(job, trigger);
        self.permissions(job, &key, &callee, max);
        self.jobs_of(&callee, &Call { file: Some(reference), max, depth: depth + 1, uses: Some(&uses.span) });
    }

    fn inputs(&mut self, job: &Job, trigger: &Trigger) {
        let JobWork::Call { uses, with, .. } = &job.work else { return };
        let given = with.as_ref().map(pairs).unwrap_or_default();
        for input in &trigger.inputs {
            match given.iter().find(|(key, _)| input.name.eq_ignore_ascii_case(key)) {
                Some((_, value)) => self.input_type(&input.kind, value),
                None if input.required => {
                    let message =
                        format!("Input {} is required, but not provided while calling.", *input.name);
                    self.add(codes::CALL_INPUT, Some(&uses.span), message, Some("give it under `with`"));
                }
                None => {}
            }
        }
        for (key, value) in given {
            if !trigger.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(key)) {
                let message = format!("Invalid input, {key} is not defined in the referenced workflow.");
                self.add(codes::CALL_INPUT, Some(&value.span), message, None);
            }
        }
    }

    /// A literal of the wrong kind is wrong whatever the run.
    fn input_type(&mut self, kind: &InputKind, value: &Node) {
        let shown = match (kind, &value.kind) {
            (InputKind::Boolean, NodeKind::Bool(_)) | (InputKind::Number, NodeKind::Number(_)) => return,
            (InputKind::Boolean | InputKind::Number, NodeKind::Null) => String::new(),
            (InputKind::Boolean | InputKind::Number, NodeKind::String(text)) => text.clone(),
            (InputKind::Number, NodeKind::Bool(value)) => value.to_string(),
            (InputKind::Boolean, NodeKind::Number(value)) => value.to_string(),
            _ => return,
        };
        self.add(codes::CALL_INPUT, Some(&value.span), format!("Unexpected value '{shown}'"), None);
    }

    fn secrets(&mut self, job: &Job, trigger: &Trigger) {
        let JobWork::Call { uses, secrets, .. } = &job.work else { return };
        let given = match secrets {
            CallSecrets::Inherit => return,
            CallSecrets::None => Vec::new(),
            CallSecrets::Named(node) => pairs(node),
        };
        for (name, required) in &trigger.secrets {
            if *required && !given.iter().any(|(key, _)| name.eq_ignore_ascii_case(key)) {
                let message = format!("Secret {} is required, but not provided while calling.", **name);
                self.add(
                    codes::CALL_SECRET,
                    Some(&uses.span),
                    message,
                    Some("give it under `secrets`, or `secrets: inherit`"),
                );
            }
        }
        for (key, value) in given {
            if !trigger.secrets.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)) {
                let message = format!("Invalid secret, {key} is not defined in the referenced workflow.");
                self.add(codes::CALL_SECRET, Some(&value.span), message, None);
            }
        }
    }

    fn permissions(&mut self, job: &Job, key: &str, callee: &Workflow, max: Option<&Permissions>) {
        let default = self.limits.permissions;
        if let Some(requested) = &callee.permissions {
            self.permission(job, key, &format!("The workflow '{key}'"), violations(requested, max, default));
        }
        for nested in &callee.jobs {
            if let Some(requested) = &nested.permissions {
                let who = format!("The nested job '{}'", shown_name(nested));
                self.permission(job, key, &who, violations(requested, max, default));
            }
        }
    }

    fn permission(&mut self, job: &Job, key: &str, who: &str, found: Option<(String, String)>) {
        let Some((requested, allowed)) = found else { return };
        let message = format!(
            "Error calling workflow '{key}'. {who} is requesting '{requested}', but is only allowed '{allowed}'."
        );
        self.add(
            codes::CALL_PERMISSIONS,
            Some(&job.id.span),
            message,
            Some("raise `permissions` of the caller, or lower those of the callee"),
        );
    }

    fn add(&mut self, code: &'static str, span: Option<&Span>, message: String, hint: Option<&str>) {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            code,
            span: span.cloned(),
            message,
            hint: hint.map(str::to_owned),
        };
        self.keep(diagnostic);
    }

    /// A file that is called twice has its problems once.
    fn keep(&mut self, diagnostic: Diagnostic) {
        if !self.problems.contains(&diagnostic) {
            self.problems.push(diagnostic);
        }
    }
}

fn pairs(node: &Node) -> Vec<(&str, &Node)> {
    node.entries().map(|(key, _, value)| (key, value)).collect()
}

fn shown_name(job: &Job) -> String {
    match &job.name {
        Some(Node { kind: NodeKind::String(name), .. }) => name.clone(),
        _ => job.id.value.clone(),
    }
}
