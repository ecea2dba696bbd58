//! Workflow, jobs, steps.

use std::sync::Arc;

use model::{ActionRef, Template};

pub use model::Access;

use crate::span::{Span, Spanned};

/// A value of the file: a tree of scalars, expressions, sequences, and mappings, with places.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// Kinds of [`Node`].
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// An empty scalar or `null`.
    Null,
    /// A boolean of YAML's core schema.
    Bool(bool),
    /// A number of YAML's core schema.
    Number(f64),
    /// Text without expressions.
    String(String),
    /// An expression, already parsed once to be sure that it is one. Text around
    /// expressions has been folded into `format(...)`, as GitHub does it.
    Expression(Arc<str>),
    /// A list.
    Sequence(Vec<Node>),
    /// Pairs in the order of the file.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The same tree without its places.
    pub fn to_template(&self) -> Template {
        match &self.kind {
            NodeKind::Null => Template::Null,
            NodeKind::Bool(value) => Template::Bool(*value),
            NodeKind::Number(value) => Template::Number(*value),
            NodeKind::String(value) => Template::String(value.clone()),
            NodeKind::Expression(source) => Template::Expression(source.to_string()),
            NodeKind::Sequence(items) => Template::Sequence(items.iter().map(Node::to_template).collect()),
            NodeKind::Mapping(pairs) => {
                Template::Mapping(pairs.iter().map(|(k, v)| (k.to_template(), v.to_template())).collect())
            }
        }
    }
}

/// A workflow file.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The file as the user knows it.
    pub file: Arc<str>,
    /// `name`.
    pub name: Option<Spanned<String>>,
    /// `run-name`.
    pub run_name: Option<Node>,
    /// `on`, in the order of the file.
    pub on: Vec<Trigger>,
    /// `env`.
    pub env: Option<Node>,
    /// `defaults.run`.
    pub defaults: Defaults,
    /// `permissions`.
    pub permissions: Option<Permissions>,
    /// `cache-mode`.
    pub cache_mode: Option<Node>,
    /// `concurrency`: a string or a mapping with `group` and `cancel-in-progress`.
    pub concurrency: Option<Node>,
    /// `jobs`, in the order of the file.
    pub jobs: Vec<Job>,
}

/// `defaults.run`.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// `shell`.
    pub shell: Option<Node>,
    /// `working-directory`.
    pub working_directory: Option<Node>,
}

/// `permissions`: what the job's token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// `read-all`.
    ReadAll,
    /// `write-all`.
    WriteAll,
    /// Each scope named; those that are not named have none. `{}` takes all away.
    Scopes(Vec<(String, Access)>),
}

/// One event under `on`.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The event's name (`push`).
    pub event: Spanned<String>,
    /// `types`; empty when absent.
    pub types: Vec<Spanned<String>>,
    /// `branches`; `None` when absent.
    pub branches: Option<Vec<Spanned<String>>>,
    /// `branches-ignore`.
    pub branches_ignore: Option<Vec<Spanned<String>>>,
    /// `tags`.
    pub tags: Option<Vec<Spanned<String>>>,
    /// `tags-ignore`.
    pub tags_ignore: Option<Vec<Spanned<String>>>,
    /// `paths`.
    pub paths: Option<Vec<Spanned<String>>>,
    /// `paths-ignore`.
    pub paths_ignore: Option<Vec<Spanned<String>>>,
    /// `workflows` of `workflow_run`.
    pub workflows: Vec<Spanned<String>>,
    /// `names` of `image_version`.
    pub names: Option<Vec<Spanned<String>>>,
    /// `versions` of `image_version`.
    pub versions: Option<Vec<Spanned<String>>>,
    /// `schedule`: each `cron`, with its time zone where one is given.
    pub schedule: Vec<Schedule>,
    /// `inputs` of `workflow_dispatch` and `workflow_call`.
    pub inputs: Vec<Input>,
    /// `outputs` of `workflow_call`: name and value.
    pub outputs: Vec<(Spanned<String>, Node)>,
    /// `secrets` of `workflow_call`: name, and whether it is required.
    pub secrets: Vec<(Spanned<String>, bool)>,
}

/// One entry of `schedule`.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Five-field cron expression.
    pub cron: Spanned<String>,
    /// IANA time zone; UTC when absent.
    pub timezone: Option<Spanned<String>>,
}

/// One input of `workflow_dispatch` or `workflow_call`.
#[derive(Clone, Debug)]
pub struct Input {
    /// Name.
    pub name: Spanned<String>,
    /// `description`.
    pub description: Option<String>,
    /// `required`.
    pub required: bool,
    /// `default`; an expression is allowed for `workflow_call`.
    pub default: Option<Node>,
    /// `type`.
    pub kind: InputKind,
}

/// Type of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Any text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// One of these.
    Choice(Vec<String>),
    /// The name of an environment.
    Environment,
}

/// One job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its key under `jobs`.
    pub id: Spanned<String>,
    /// `name`.
    pub name: Option<Node>,
    /// `needs`.
    pub needs: Vec<Spanned<String>>,
    /// `if`, with the implicit `success() && (...)` put around it where no status function stands in it;
    /// `success()` when absent. Source text.
    pub condition: Arc<str>,
    /// `permissions`.
    pub permissions: Option<Permissions>,
    /// `cache-mode`.
    pub cache_mode: Option<Node>,
    /// `environment`: a string, or a mapping with `name` and `url`.
    pub environment: Option<Node>,
    /// `concurrency`.
    pub concurrency: Option<Node>,
    /// `strategy`: a mapping with `matrix`, `fail-fast`, `max-parallel`, or an expression.
    pub strategy: Option<Node>,
    /// `env`.
    pub env: Option<Node>,
    /// `defaults.run`.
    pub defaults: Defaults,
    /// `outputs`: a mapping.
    pub outputs: Option<Node>,
    /// `timeout-minutes`.
    pub timeout_minutes: Option<Node>,
    /// `cancel-timeout-minutes`.
    pub cancel_timeout_minutes: Option<Node>,
    /// `continue-on-error`.
    pub continue_on_error: Option<Node>,
    /// Steps on a machine, or a call.
    pub work: JobWork,
}

/// What a job is made of.
#[derive(Clone, Debug)]
pub enum JobWork {
    /// Steps on a machine of its own.
    Steps {
        /// `runs-on`: a string, a list, or a mapping with `group` and `labels`.
        runs_on: Node,
        /// `container`.
        container: Option<Node>,
        /// `services`.
        services: Option<Node>,
        /// `snapshot`.
        snapshot: Option<Node>,
        /// `steps`.
        steps: Vec<Step>,
    },
    /// A call of a reusable workflow.
    Call {
        /// `uses`: `./.github/workflows/x.yml` or `owner/repo/.github/workflows/x.yml@ref`.
        uses: Spanned<String>,
        /// `with`: a mapping.
        with: Option<Node>,
        /// `secrets`.
        secrets: CallSecrets,
    },
}

/// `secrets` of a call.
#[derive(Clone, Debug)]
pub enum CallSecrets {
    /// None are passed.
    None,
    /// `inherit`.
    Inherit,
    /// Each by name: a mapping.
    Named(Node),
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it stands.
    pub span: Span,
    /// `id`, or one made up as GitHub does (`__run`, `__actions_checkout_2`).
    pub id: String,
    /// `name`.
    pub name: Option<Node>,
    /// `if`, with the implicit `success() && (...)` put around it. Source text.
    pub condition: Arc<str>,
    /// `env`.
    pub env: Option<Node>,
    /// `continue-on-error`.
    pub continue_on_error: Option<Node>,
    /// `timeout-minutes`.
    pub timeout_minutes: Option<Node>,
    /// `background`.
    pub background: bool,
    /// What it does.
    pub work: StepWork,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepWork {
    /// `run`.
    Run {
        /// The script.
        script: Node,
        /// `shell`.
        shell: Option<Node>,
        /// `working-directory`.
        working_directory: Option<Node>,
    },
    /// `uses`.
    Uses {
        /// Which action.
        uses: Spanned<ActionRef>,
        /// `with`.
        with: Option<Node>,
    },
    /// `wait` or `wait-all`, or the end of a `parallel` group.
    Wait {
        /// Ids of the background steps; `None`: all before it.
        steps: Option<Vec<String>>,
    },
    /// `cancel`.
    Cancel {
        /// Id of the background step.
        step: String,
    },
}
