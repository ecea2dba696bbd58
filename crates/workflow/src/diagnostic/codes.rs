//! The codes of all diagnostics. `docs/reference/diagnostics.md` explains each.

/// How much of its place GitHub shows with a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// File, line, and column.
    Exact,
    /// The file.
    File,
    /// Nothing.
    Nothing,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $shown:ident;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*

        /// Every code, with how GitHub shows its place.
        pub const ALL: &[(&str, Shown)] = &[$(($code, Shown::$shown),)*];
    };
}

codes! {
    /// The file is larger than allowed.
    FILE_SIZE = "file-size", File;
    /// The file is not UTF-8.
    FILE_ENCODING = "file-encoding", File;
    /// Something that is not YAML and has no code of its own.
    YAML_SYNTAX = "yaml-syntax", Exact;
    /// A line that does not fit the lines above it.
    YAML_INDENTATION = "yaml-indentation", Exact;
    /// A tab where only spaces may stand.
    YAML_TAB = "yaml-tab", Exact;
    /// A quote that is not closed, or text behind one that is.
    YAML_QUOTE = "yaml-quote", Exact;
    /// An escape in double quotes that does not exist.
    YAML_ESCAPE = "yaml-escape", Exact;
    /// A bracket that is not closed or closes nothing, or a missing comma.
    YAML_BRACKET = "yaml-bracket", Exact;
    /// An alias has no anchor, or stands inside of its own.
    YAML_ALIAS = "yaml-alias", File;
    /// A tag is unknown, or does not go with the style of the scalar.
    YAML_TAG = "yaml-tag", File;
    /// A scalar is not of the type that its tag names, or too large for it.
    YAML_SCALAR = "yaml-scalar", File;
    /// `<<` as a key.
    YAML_MERGE_KEY = "yaml-merge-key", Exact;
    /// A key that is not a scalar.
    YAML_KEY = "yaml-key", Exact;
    /// More than one document.
    YAML_DOCUMENTS = "yaml-documents", File;
    /// Lists and mappings are nested too deeply.
    YAML_DEPTH = "yaml-depth", File;
    /// Too many values, aliases expanded.
    YAML_NODES = "yaml-nodes", File;
    /// Too much text, aliases expanded.
    YAML_SIZE = "yaml-size", File;
    /// A key that does not exist here, or a value that is not allowed here.
    UNEXPECTED_VALUE = "unexpected-value", Exact;
    /// A list where none may be.
    UNEXPECTED_SEQUENCE = "unexpected-sequence", Exact;
    /// A mapping where none may be.
    UNEXPECTED_MAPPING = "unexpected-mapping", Exact;
    /// The same key twice.
    DUPLICATE_KEY = "duplicate-key", Exact;
    /// A required key is missing.
    REQUIRED_PROPERTY = "required-property", Exact;
    /// The keys fit more than one kind of mapping.
    AMBIGUOUS_MAPPING = "ambiguous-mapping", Exact;
    /// A value of another type was expected.
    UNEXPECTED_TYPE = "unexpected-type", Exact;
    /// An expression where none may be.
    EXPRESSION_NOT_ALLOWED = "expression-not-allowed", Exact;
    /// An expression that is wrong, or names something that is not available here.
    EXPRESSION = "expression", Exact;
    /// A condition that is always true because text stands around its expression.
    CONDITION_ALWAYS_TRUE = "condition-always-true", Exact;
    /// The id of a job or step is not a valid one, or is used twice.
    INVALID_ID = "invalid-id", Exact;
    /// A job needs one that does not exist.
    UNKNOWN_JOB = "unknown-job", Exact;
    /// Jobs need each other.
    NEEDS_CYCLE = "needs-cycle", Exact;
    /// A job has neither steps nor a workflow to call.
    NO_STEPS = "no-steps", Exact;
    /// `on` names no event, or `workflow_run` no workflow.
    NO_TRIGGER = "no-trigger", Exact;
    /// Every job needs another.
    NO_FIRST_JOB = "no-first-job", Exact;
    /// A step waits for, or cancels, what is no background step before it.
    UNKNOWN_STEP = "unknown-step", Exact;
    /// `uses` is not a reference to an action or workflow.
    USES_FORMAT = "uses-format", Exact;
    /// A container has no image.
    CONTAINER_IMAGE = "container-image", Exact;
    /// A matrix has no vectors, an empty one, or a filter that fits nothing.
    MATRIX = "matrix", Exact;
    /// A cron expression that never fits, or is none.
    CRON = "cron", Exact;
    /// `runs-on` names a group in a form that does not exist.
    RUNNER_GROUP = "runner-group", Exact;
    /// The name of a concurrency group is too long.
    CONCURRENCY_GROUP = "concurrency-group", Exact;
    /// `queue: max` beside `cancel-in-progress: true`.
    CONCURRENCY_QUEUE = "concurrency-queue", Exact;
    /// The definition of an input contradicts itself.
    INPUT_DEFINITION = "input-definition", Exact;
    /// The version of a snapshot has the wrong form.
    SNAPSHOT_VERSION = "snapshot-version", Exact;
    /// A filter under `on` is no pattern.
    INVALID_FILTER_PATTERN = "invalid-filter-pattern", Exact;
    /// A filter under `on` only takes away, so nothing is left.
    FILTER_INCLUDES_NOTHING = "filter-includes-nothing", Exact;
    /// A filter under `on` stands beside its `-ignore` form.
    FILTER_CONFLICT = "filter-conflict", Exact;
    /// An input of a manual start is missing or not of its type.
    INVALID_INPUT = "invalid-input", Exact;
    /// An input of a manual start that the workflow does not know.
    UNEXPECTED_INPUT = "unexpected-input", Exact;
    /// A key that GitHub ignores.
    IGNORED_KEY = "ignored-key", Exact;
    /// A called workflow is not there.
    CALL_NOT_FOUND = "call-not-found", Exact;
    /// A called workflow has no `workflow_call`.
    CALL_TRIGGER = "call-trigger", Exact;
    /// An input of a call is missing, unknown, or of the wrong type.
    CALL_INPUT = "call-input", Exact;
    /// A secret of a call is missing or unknown.
    CALL_SECRET = "call-secret", Exact;
    /// A called workflow wants more permissions than its caller may give.
    CALL_PERMISSIONS = "call-permissions", Exact;
    /// Calls are nested too deeply.
    CALL_DEPTH = "call-depth", Nothing;
    /// All files together have too many jobs.
    JOB_LIMIT = "job-limit", Nothing;
    /// Too many files are called.
    CALL_FILES = "call-files", Nothing;
}

/// How much of the place of a problem with this code GitHub shows.
pub fn shown_place(code: &str) -> Shown {
    ALL.iter().find(|(known, _)| *known == code).map_or(Shown::Exact, |(_, shown)| *shown)
}
