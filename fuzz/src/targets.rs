//! What is fuzzed. A target panics where an invariant does not hold.

use std::sync::Arc;

use clap::ValueEnum;
use runner::command::{Command, is_command};
use runner::command_file::{parse_pairs, parse_paths, parse_summary};
use runner::mask::Masker;
use runner::matcher::Matchers;
use workflow::diagnostic::Severity;
use workflow::expr::{Expression, Scope, Value};
use workflow::schema::{ReadOptions, read_action, read_workflow};
use workflow::trigger::{Event, Pattern, decide};

/// One reader of foreign input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Workflow and action files, and the runs that they plan
    Workflow,
    /// Expressions: parsed and evaluated
    Expression,
    /// Payloads of events against workflows with every kind of filter
    Event,
    /// Payloads of webhooks, of every kind
    Webhook,
    /// Filter patterns against names
    Pattern,
    /// Command files
    CommandFile,
    /// Lines of output: commands, problem matchers, masking
    Line,
}

impl Target {
    /// All of them.
    pub(crate) fn all() -> Vec<Target> {
        Target::value_variants().to_vec()
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Reads one input.
    pub(crate) fn run(self, input: &[u8]) {
        let text = String::from_utf8_lossy(input);
        match self {
            Target::Workflow => workflow(&text),
            Target::Expression => expression(&text),
            Target::Event => event(input),
            Target::Webhook => crate::webhook::run(input),
            Target::Pattern => pattern(&text),
            Target::CommandFile => command_file(input),
            Target::Line => line(&text),
        }
    }
}

fn workflow(text: &str) {
    let (workflow, diagnostics) = read_workflow("ci.yml", text, &ReadOptions::default());
    let wrong = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(workflow.is_none(), wrong, "a workflow exactly when nothing is wrong: {diagnostics:?}");
    for diagnostic in &diagnostics {
        assert!(!diagnostic.to_string().is_empty(), "a diagnostic says something");
    }
    if let Some(workflow) = workflow {
        crate::plan::run(workflow, text.len());
    }
    let (action, diagnostics) = read_action("action.yml", text);
    let wrong = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(action.is_none(), wrong, "an action exactly when nothing is wrong: {diagnostics:?}");
}

/// Every context is the same small object; every status is true.
struct SmallScope;

impl Scope for SmallScope {
    fn context(&self, _name: &str) -> Option<Value> {
        let json = serde_json::json!({"a": {"b": "c", "n": [1, 2.5, true, null, "ä"]}, "x": "1e3"});
        Expression::parse(&format!("fromJSON('{json}')"), None).ok()?.evaluate(&NoScope).ok()
    }

    fn status(&self, _function: &str) -> Option<bool> {
        Some(true)
    }
}

struct NoScope;

impl Scope for NoScope {
    fn context(&self, _name: &str) -> Option<Value> {
        None
    }

    fn status(&self, _function: &str) -> Option<bool> {
        None
    }
}

fn expression(text: &str) {
    let Ok(parsed) = Expression::parse(text, None) else { return };
    let (first, second) = (parsed.evaluate(&SmallScope), parsed.evaluate(&SmallScope));
    assert_eq!(format!("{first:?}"), format!("{second:?}"), "an expression has one value");
    let again = Expression::parse(parsed.source(), None);
    assert!(again.is_ok(), "the source of an expression is an expression");
}

/// Workflows with every kind of filter.
const FILTERS: &[&str] = &[
    "on: {push: {branches: [main, 'r/**', '!r/x'], tags: ['v*'], paths: ['src/**', '!**/*.md']}}",
    "on: {pull_request: {types: [opened, labeled], branches-ignore: ['a+b?']}}",
    "on: {workflow_run: {workflows: [CI], types: [completed], branches: [main]}}",
    "on: {repository_dispatch: {types: [deploy]}}",
    "on: {schedule: [{cron: '0 5 * * 1-5'}]}",
    "on: {issues: , release: {types: [published]}, workflow_dispatch: {inputs: {a: {type: number}}}}",
];

const NAMES: &[&str] =
    &["push", "pull_request", "workflow_run", "repository_dispatch", "schedule", "issues", "release"];

fn event(input: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<serde_json::Value>(input).map(Arc::new) else { return };
    for filter in FILTERS {
        let text = format!("{filter}\njobs: {{a: {{runs-on: x, steps: [{{run: x}}]}}}}\n");
        let (Some(workflow), _) = read_workflow("ci.yml", &text, &ReadOptions::default()) else {
            panic!("the workflows of the target are right: {text}");
        };
        for name in NAMES {
            let event = Event {
                name: (*name).to_owned(),
                payload: Arc::clone(&payload),
                changed_files: Some(vec!["src/ä b.rs".to_owned()]),
                head_commit_message: None,
            };
            assert!(!decide(&workflow, &event).to_string().is_empty(), "a decision says why");
        }
    }
}

fn pattern(text: &str) {
    let (pattern, name) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(pattern) = Pattern::new(pattern) {
        let _ = (pattern.negates(), pattern.matches(name));
    }
}

fn command_file(input: &[u8]) {
    let (pairs, error) = parse_pairs(input);
    for (name, value) in &pairs {
        assert!(!name.is_empty(), "no pair without a name");
        assert!(value.len() <= input.len() * 3, "no value longer than what was written");
    }
    assert!(error.is_none_or(|error| !error.is_empty()), "an error says something");
    assert!(parse_paths(input).iter().all(|path| !path.is_empty()), "no empty path");
    assert!(parse_summary(input, input.len() as u64).is_ok(), "small summaries are fine");
}

fn line(text: &str) {
    let (secret, rest) = text.split_once('\n').unwrap_or(("", text));
    let masker = Masker::new();
    masker.add(secret);
    let masked = masker.mask(rest);
    let hidden = secret.trim().is_empty() || "***".contains(secret) || !masked.contains(secret);
    assert!(hidden || secret.contains('*'), "{secret:?} is left in {masked:?}");
    let mut matchers = Matchers::default();
    // Most inputs are no problem matcher; those that are see every line.
    let _ = matchers.add(rest.as_bytes());
    for line in rest.lines() {
        if let Some(command) = Command::parse(line, is_command) {
            assert!(is_command(&command.name), "only known commands");
        }
        let _ = matchers.find(line);
    }
}
