//! The shape of a workflow, as GitHub documents and checks it:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>,
//! with the contexts of <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#context-availability>.

use super::definition::{
    ANY, ANY_LIST, BOOL, Definition, Kind, Mapping, NAME, NAMES, NULL, NUMBER, Others, TEXT, Text, optional,
    required,
};
use super::event_tables::ON;

const RUN: &[&str] = &["github", "inputs", "vars"];
const RUN_AND_SECRETS: &[&str] = &["github", "inputs", "vars", "secrets"];
const NEEDS: &[&str] = &["github", "inputs", "vars", "needs"];
const JOB: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix"];
const JOB_AND_SECRETS: &[&str] = &["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets"];
const JOB_DEFAULTS: &[&str] = &["github", "inputs", "vars", "strategy", "matrix", "needs", "env"];
const CREDENTIALS: &[&str] = &["github", "inputs", "vars", "secrets", "env"];
const STEP_WITHOUT_SECRETS: &[&str] =
    &["github", "inputs", "vars", "needs", "strategy", "matrix", "steps", "job", "runner", "env"];
const STEP: &[&str] =
    &["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env"];
const HASH_FILES: &[&str] = &["hashFiles(1,255)"];
const JOB_STATUS: &[&str] = &["always(0,0)", "failure(0,MAX)", "cancelled(0,0)", "success(0,MAX)"];
const STEP_STATUS: &[&str] =
    &["always(0,0)", "failure(0,0)", "cancelled(0,0)", "success(0,0)", "hashFiles(1,255)"];

/// A workflow file.
pub(super) static WORKFLOW: Definition = Definition::mapping(&[
    required("on", &ON),
    optional("name", &TEXT),
    optional("description", &TEXT),
    optional("run-name", &RUN_NAME),
    optional("defaults", &WORKFLOW_DEFAULTS),
    optional("env", &WORKFLOW_ENV),
    optional("permissions", &PERMISSIONS),
    optional("cache-mode", &WORKFLOW_CACHE_MODE),
    optional("concurrency", &WORKFLOW_CONCURRENCY),
    required("jobs", &JOBS),
]);

static RUN_NAME: Definition = Definition::new(Kind::Text(Text::Any)).with(RUN);
static WORKFLOW_DEFAULTS: Definition = Definition::mapping(&[optional("run", &RUN_DEFAULTS)]);
static RUN_DEFAULTS: Definition =
    Definition::mapping(&[optional("shell", &NAME), optional("working-directory", &NAME)]);
static WORKFLOW_ENV: Definition = Definition::named(&NAME, &TEXT).with(RUN_AND_SECRETS);

static PERMISSIONS: Definition = Definition::one_of(&[&PERMISSION_SCOPES, &PERMISSIONS_OF_ALL]);
static PERMISSIONS_OF_ALL: Definition = Definition::words(&["read-all", "write-all"]);
static PERMISSION_SCOPES: Definition = Definition::mapping(&[
    optional("actions", &ACCESS),
    optional("artifact-metadata", &ACCESS),
    optional("attestations", &ACCESS),
    optional("checks", &ACCESS),
    optional("code-quality", &ACCESS),
    optional("contents", &ACCESS),
    optional("copilot-requests", &ACCESS_TO_WRITE),
    optional("deployments", &ACCESS),
    optional("discussions", &ACCESS),
    optional("drives", &ACCESS),
    optional("id-token", &ACCESS_TO_WRITE),
    optional("issues", &ACCESS),
    optional("models", &ACCESS_TO_READ),
    optional("packages", &ACCESS),
    optional("pages", &ACCESS),
    optional("pull-requests", &ACCESS),
    optional("repository-projects", &ACCESS),
    optional("security-events", &ACCESS),
    optional("statuses", &ACCESS),
    optional("vulnerability-alerts", &ACCESS_TO_READ),
]);
static ACCESS: Definition = Definition::words(&["read", "write", "none"]);
static ACCESS_TO_READ: Definition = Definition::words(&["read", "none"]);
static ACCESS_TO_WRITE: Definition = Definition::words(&["write", "none"]);

const CACHE_MODES: &[&str] = &["read", "write", "write-only", "none"];
static WORKFLOW_CACHE_MODE: Definition = Definition::words(CACHE_MODES).with(RUN);
static JOB_CACHE_MODE: Definition = Definition::words(CACHE_MODES).with(JOB);

static WORKFLOW_CONCURRENCY: Definition = Definition::one_of(&[&TEXT, &CONCURRENCY]).with(RUN);
static JOB_CONCURRENCY: Definition = Definition::one_of(&[&NAME, &CONCURRENCY]).with(JOB);
static CONCURRENCY: Definition = Definition::mapping(&[
    required("group", &NAME),
    optional("cancel-in-progress", &BOOL),
    optional("queue", &CONCURRENCY_QUEUE),
]);
static CONCURRENCY_QUEUE: Definition = Definition::words(&["single", "max"]);

static JOBS: Definition = Definition::named(&NAME, &EACH_JOB);
static EACH_JOB: Definition = Definition::one_of(&[&STEPS_JOB, &CALL_JOB]);
static STEPS_JOB: Definition = Definition::mapping(&[
    optional("needs", &JOB_NEEDS),
    optional("if", &JOB_IF),
    optional("strategy", &STRATEGY),
    optional("name", &JOB_TEXT),
    required("runs-on", &RUNS_ON),
    optional("timeout-minutes", &JOB_NUMBER),
    optional("cancel-timeout-minutes", &JOB_NUMBER),
    optional("continue-on-error", &JOB_BOOL),
    optional("container", &CONTAINER),
    optional("services", &SERVICES),
    optional("env", &JOB_ENV),
    optional("environment", &ENVIRONMENT),
    optional("permissions", &PERMISSIONS),
    optional("cache-mode", &JOB_CACHE_MODE),
    optional("concurrency", &JOB_CONCURRENCY),
    optional("outputs", &JOB_OUTPUTS),
    optional("defaults", &JOB_DEFAULTS_OF_RUN),
    optional("steps", &STEPS),
    optional("snapshot", &SNAPSHOT),
]);
static CALL_JOB: Definition = Definition::mapping(&[
    optional("name", &JOB_TEXT),
    required("uses", &NAME),
    optional("with", &CALL_WITH),
    optional("secrets", &CALL_SECRETS),
    optional("needs", &JOB_NEEDS),
    optional("if", &JOB_IF),
    optional("permissions", &PERMISSIONS),
    optional("cache-mode", &JOB_CACHE_MODE),
    optional("concurrency", &JOB_CONCURRENCY),
    optional("strategy", &STRATEGY),
]);

static JOB_NEEDS: Definition = Definition::one_of(&[&NAMES, &NAME]);
static JOB_IF: Definition = Definition::new(Kind::Text(Text::Any)).with(NEEDS).calling(JOB_STATUS);
static JOB_TEXT: Definition = Definition::new(Kind::Text(Text::Any)).with(JOB);
static JOB_NUMBER: Definition = Definition::new(Kind::Number).with(JOB);
static JOB_BOOL: Definition = Definition::new(Kind::Bool).with(JOB);
static JOB_ENV: Definition = Definition::named(&NAME, &TEXT).with(JOB_AND_SECRETS);
static JOB_OUTPUTS: Definition = Definition::named(&NAME, &RUNNER_TEXT);
static RUNNER_TEXT: Definition = Definition::new(Kind::Text(Text::Any)).with(STEP);
static JOB_DEFAULTS_OF_RUN: Definition = Definition::mapping(&[optional("run", &JOB_RUN_DEFAULTS)]);
static JOB_RUN_DEFAULTS: Definition =
    Definition::mapping(&[optional("shell", &NAME), optional("working-directory", &NAME)]).with(JOB_DEFAULTS);

static CALL_WITH: Definition = Definition::named(&NAME, &CALL_VALUE);
static CALL_VALUE: Definition = Definition::one_of(&[&TEXT, &BOOL, &NUMBER]).with(JOB);
static CALL_SECRETS: Definition = Definition::one_of(&[&CALL_SECRET_VALUES, &INHERIT]);
static CALL_SECRET_VALUES: Definition = Definition::named(&NAME, &CALL_SECRET);
static CALL_SECRET: Definition = Definition::one_of(&[&TEXT, &BOOL, &NUMBER]).with(JOB_AND_SECRETS);
static INHERIT: Definition = Definition::words(&["inherit"]);

static STRATEGY: Definition = Definition::mapping(&[
    optional("fail-fast", &BOOL),
    optional("max-parallel", &NUMBER),
    optional("matrix", &MATRIX),
])
.with(NEEDS);
static MATRIX: Definition = Definition::new(Kind::Mapping(Mapping {
    properties: &[optional("include", &MATRIX_FILTERS), optional("exclude", &MATRIX_FILTERS)],
    others: Others::Named(&NAME, &ANY_LIST),
}));
static MATRIX_FILTERS: Definition = Definition::list(&MATRIX_FILTER);
static MATRIX_FILTER: Definition = Definition::named(&NAME, &ANY);

static RUNS_ON: Definition = Definition::one_of(&[&NAME, &NAMES, &RUNS_ON_GROUP]).with(JOB);
static RUNS_ON_GROUP: Definition =
    Definition::mapping(&[optional("group", &NAME), optional("labels", &NAME_OR_NAMES)]);
/// One name or a list of them.
pub(super) static NAME_OR_NAMES: Definition = Definition::one_of(&[&NAME, &NAMES]);

static ENVIRONMENT: Definition = Definition::one_of(&[&TEXT, &ENVIRONMENT_MAPPING]).with(JOB);
static ENVIRONMENT_MAPPING: Definition = Definition::mapping(&[
    required("name", &JOB_TEXT),
    optional("url", &ENVIRONMENT_URL),
    optional("deployment", &BOOL),
]);
static ENVIRONMENT_URL: Definition = Definition::new(Kind::Text(Text::Any)).with(STEP_WITHOUT_SECRETS);

static SNAPSHOT: Definition = Definition::one_of(&[&NAME, &SNAPSHOT_MAPPING]).with(JOB);
static SNAPSHOT_MAPPING: Definition = Definition::mapping(&[
    required("image-name", &NAME),
    optional("if", &STEP_IF),
    optional("version", &NAME),
]);

static CONTAINER: Definition = Definition::one_of(&[&TEXT, &CONTAINER_MAPPING]).with(JOB);
static CONTAINER_MAPPING: Definition = Definition::mapping(&[
    optional("image", &NAME),
    optional("options", &TEXT),
    optional("env", &CONTAINER_ENV),
    optional("ports", &NAMES),
    optional("volumes", &NAMES),
    optional("credentials", &CONTAINER_CREDENTIALS),
]);
static SERVICES: Definition = Definition::named(&NAME, &SERVICE).with(JOB);
static SERVICE: Definition = Definition::one_of(&[&NAME, &SERVICE_MAPPING]).with(JOB);
static SERVICE_MAPPING: Definition = Definition::mapping(&[
    optional("image", &NAME),
    optional("options", &TEXT),
    optional("env", &CONTAINER_ENV),
    optional("ports", &NAMES),
    optional("volumes", &NAMES),
    optional("credentials", &CONTAINER_CREDENTIALS),
    optional("entrypoint", &TEXT),
    optional("command", &TEXT),
]);
static CONTAINER_ENV: Definition = Definition::named(&NAME, &RUNNER_TEXT);
static CONTAINER_CREDENTIALS: Definition =
    Definition::mapping(&[optional("username", &NAME), optional("password", &NAME)]).with(CREDENTIALS);

static STEPS: Definition = Definition::list(&EACH_STEP);
static EACH_STEP: Definition =
    Definition::one_of(&[&RUN_STEP, &USES_STEP, &WAIT_STEP, &WAIT_ALL_STEP, &CANCEL_STEP, &PARALLEL_STEP]);
static RUN_STEP: Definition = Definition::mapping(&[
    optional("name", &STEP_TEXT),
    optional("id", &NAME),
    optional("if", &STEP_IF),
    optional("timeout-minutes", &STEP_NUMBER),
    required("run", &STEP_TEXT),
    optional("continue-on-error", &STEP_BOOL),
    optional("env", &STEP_TEXTS),
    optional("working-directory", &STEP_TEXT),
    optional("shell", &NAME),
    optional("background", &BOOL),
]);
static USES_STEP: Definition = Definition::mapping(&[
    optional("name", &STEP_TEXT),
    optional("id", &NAME),
    optional("if", &STEP_IF),
    optional("continue-on-error", &STEP_BOOL),
    optional("timeout-minutes", &STEP_NUMBER),
    required("uses", &NAME),
    optional("with", &STEP_TEXTS),
    optional("env", &STEP_TEXTS),
    optional("background", &BOOL),
]);
static WAIT_STEP: Definition = Definition::mapping(&[
    optional("name", &STEP_TEXT),
    optional("id", &NAME),
    optional("continue-on-error", &STEP_BOOL),
    required("wait", &NAME_OR_NAMES),
]);
static WAIT_ALL_STEP: Definition = Definition::mapping(&[
    optional("name", &STEP_TEXT),
    optional("id", &NAME),
    optional("continue-on-error", &STEP_BOOL),
    required("wait-all", &NOTHING_OR_BOOL),
]);
static NOTHING_OR_BOOL: Definition = Definition::one_of(&[&NULL, &BOOL]);
static CANCEL_STEP: Definition = Definition::mapping(&[
    optional("name", &STEP_TEXT),
    optional("id", &NAME),
    optional("continue-on-error", &STEP_BOOL),
    required("cancel", &NAME),
]);
static PARALLEL_STEP: Definition = Definition::mapping(&[required("parallel", &PARALLEL_STEPS)]);
static PARALLEL_STEPS: Definition = Definition::list(&EACH_PARALLEL_STEP);
static EACH_PARALLEL_STEP: Definition = Definition::one_of(&[&RUN_STEP, &USES_STEP]);
static STEP_IF: Definition =
    Definition::new(Kind::Text(Text::Any)).with(STEP_WITHOUT_SECRETS).calling(STEP_STATUS);
static STEP_TEXT: Definition = Definition::new(Kind::Text(Text::Any)).with(STEP).calling(HASH_FILES);
static STEP_NUMBER: Definition = Definition::new(Kind::Number).with(STEP).calling(HASH_FILES);
static STEP_BOOL: Definition = Definition::new(Kind::Bool).with(STEP).calling(HASH_FILES);
static STEP_TEXTS: Definition = Definition::named(&NAME, &TEXT).with(STEP).calling(HASH_FILES);

/// What the conditions of jobs may use.
pub(super) static CONDITION_OF_JOB: &Definition = &JOB_IF;
/// What the conditions of steps may use.
pub(super) static CONDITION_OF_STEP: &Definition = &STEP_IF;

/// A default of an input of a reusable workflow.
pub(super) static CALL_INPUT_DEFAULT: Definition = Definition::one_of(&[&TEXT, &BOOL, &NUMBER]).with(RUN);
/// A value of an output of a reusable workflow.
pub(super) static CALL_OUTPUT_VALUE: Definition =
    Definition::new(Kind::Text(Text::Any)).with(&["github", "inputs", "vars", "jobs"]);
