//! The shape of an `action.yml`:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax>.
//!
//! GitHub ignores what it does not know in an action, so the same is reported as a warning.

use super::definition::{ANY, BOOL, Definition, Kind, NAME, TEXT, Text, optional, required};

const CONTEXTS: &[&str] = &["github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env"];
const DEFAULT_CONTEXTS: &[&str] = &["github", "strategy", "matrix", "job", "runner"];
const RUNS_IF_CONTEXTS: &[&str] = &["runner", "github", "job", "strategy", "matrix", "env", "inputs"];
const HASH_FILES: &[&str] = &["hashFiles(1,255)"];
const STATUS: &[&str] =
    &["always(0,0)", "failure(0,0)", "cancelled(0,0)", "success(0,0)", "hashFiles(1,255)"];

/// An action's file.
pub(super) static ACTION: Definition = Definition::tolerant(&[
    optional("name", &TEXT),
    optional("description", &TEXT),
    optional("author", &TEXT),
    optional("inputs", &INPUTS),
    optional("outputs", &OUTPUTS),
    required("runs", &RUNS),
    optional("branding", &ANY),
]);

static INPUTS: Definition = Definition::named(&NAME, &INPUT);
static INPUT: Definition = Definition::one_of(&[&super::definition::NULL, &INPUT_MAPPING]);
static INPUT_MAPPING: Definition = Definition::tolerant(&[
    optional("description", &TEXT),
    optional("required", &INPUT_REQUIRED),
    optional("default", &INPUT_DEFAULT),
    optional("deprecationMessage", &TEXT),
    // GitHub ignores it, but it is everywhere.
    optional("type", &ANY),
    optional("options", &ANY),
]);
/// GitHub's runner takes any scalar: `required: 'true'` is common.
static INPUT_REQUIRED: Definition = Definition::one_of(&[&BOOL, &TEXT]);
static INPUT_DEFAULT: Definition =
    Definition::new(Kind::Text(Text::Any)).with(DEFAULT_CONTEXTS).calling(HASH_FILES);
static OUTPUTS: Definition = Definition::named(&NAME, &OUTPUT);
static OUTPUT: Definition = Definition::one_of(&[&super::definition::NULL, &OUTPUT_MAPPING]);
static OUTPUT_MAPPING: Definition =
    Definition::tolerant(&[optional("description", &TEXT), optional("value", &OUTPUT_VALUE)]);
static OUTPUT_VALUE: Definition = Definition::new(Kind::Text(Text::Any)).with(CONTEXTS);

/// Which keys go with which `using` is checked when it is known.
static RUNS: Definition = Definition::tolerant(&[
    required("using", &NAME),
    optional("main", &NAME),
    optional("pre", &NAME),
    optional("pre-if", &RUNS_IF),
    optional("post", &NAME),
    optional("post-if", &RUNS_IF),
    optional("steps", &STEPS),
    optional("image", &NAME),
    optional("args", &DOCKER_ARGUMENTS),
    optional("env", &DOCKER_ENV),
    optional("entrypoint", &NAME),
    optional("pre-entrypoint", &NAME),
    optional("post-entrypoint", &NAME),
]);
static RUNS_IF: Definition = Definition::new(Kind::Text(Text::Any)).with(RUNS_IF_CONTEXTS).calling(STATUS);
static DOCKER_ARGUMENTS: Definition = Definition::list(&DOCKER_ARGUMENT);
static DOCKER_ARGUMENT: Definition = Definition::new(Kind::Text(Text::Any)).with(&["inputs"]);
static DOCKER_ENV: Definition = Definition::named(&NAME, &TEXT).with(&["inputs"]);

static STEPS: Definition = Definition::list(&STEP);
static STEP: Definition = Definition::one_of(&[&RUN_STEP, &USES_STEP]);
static RUN_STEP: Definition = Definition::mapping(&[
    optional("name", &STEP_TEXT),
    optional("id", &NAME),
    optional("if", &STEP_IF),
    required("run", &STEP_TEXT),
    required("shell", &STEP_TEXT),
    optional("env", &STEP_TEXTS),
    optional("continue-on-error", &STEP_BOOL),
    optional("working-directory", &STEP_TEXT),
]);
static USES_STEP: Definition = Definition::mapping(&[
    optional("name", &STEP_TEXT),
    optional("id", &NAME),
    optional("if", &STEP_IF),
    required("uses", &NAME),
    optional("with", &STEP_TEXTS),
    optional("env", &STEP_TEXTS),
    optional("continue-on-error", &STEP_BOOL),
]);
static STEP_IF: Definition = Definition::new(Kind::Text(Text::Any)).with(CONTEXTS).calling(STATUS);
static STEP_TEXT: Definition = Definition::new(Kind::Text(Text::Any)).with(CONTEXTS).calling(HASH_FILES);
static STEP_BOOL: Definition = Definition::new(Kind::Bool).with(CONTEXTS).calling(HASH_FILES);
static STEP_TEXTS: Definition = Definition::named(&NAME, &TEXT).with(CONTEXTS).calling(HASH_FILES);

/// What the conditions of a composite action's steps may use.
pub(super) static CONDITION_OF_STEP: &Definition = &STEP_IF;
/// What `pre-if` and `post-if` may use.
pub(super) static CONDITION_OF_RUNS: &Definition = &RUNS_IF;
