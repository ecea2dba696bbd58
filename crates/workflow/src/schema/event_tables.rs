//! The shape of `on`: which events there are, and what may be asked of each.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>

use super::definition::{BOOL, Definition, NAME, NULL, NUMBER, Property, TEXT, TEXTS, optional, required};
use super::workflow_tables::{CALL_INPUT_DEFAULT, CALL_OUTPUT_VALUE, NAME_OR_NAMES};

/// A pattern list that may be left empty.
static PATTERNS: Definition = Definition::one_of(&[&NULL, &NAME_OR_NAMES]);
const BRANCHES: [Property; 2] = [optional("branches", &PATTERNS), optional("branches-ignore", &PATTERNS)];
const TAGS: [Property; 2] = [optional("tags", &PATTERNS), optional("tags-ignore", &PATTERNS)];
const PATHS: [Property; 2] = [optional("paths", &PATTERNS), optional("paths-ignore", &PATTERNS)];

/// Defines `ON` and its three forms, so that an event is named once.
macro_rules! events {
    ($($event:literal => $definition:expr;)*) => {
        /// Names of all events.
        const EVENTS: &[&str] = &[$($event),*];
        static ON_MAPPING: Definition = Definition::mapping(&[
            $(optional($event, { static EVENT: Definition = $definition; &EVENT }),)*
        ]);
    };
}

/// An event of which nothing can be asked.
const PLAIN: Definition = Definition::new(super::definition::Kind::Null);

/// An event with these activity types and further keys.
macro_rules! event {
    ([$($word:literal),* $(,)?] $(, $property:expr)* $(,)?) => {{
        static TYPE: Definition = Definition::words(&[$($word),*]);
        static TYPES: Definition = Definition::list(&TYPE);
        static TYPE_OR_TYPES: Definition = Definition::one_of(&[&NULL, &TYPE, &TYPES]);
        static MAPPING: Definition =
            Definition::mapping(&[optional("types", &TYPE_OR_TYPES) $(, $property)*]);
        Definition::one_of(&[&NULL, &MAPPING])
    }};
}

/// What may be asked of a pull request.
macro_rules! pull_request {
    () => {
        event!(
            [
                "assigned",
                "unassigned",
                "labeled",
                "unlabeled",
                "opened",
                "edited",
                "closed",
                "reopened",
                "synchronize",
                "converted_to_draft",
                "locked",
                "unlocked",
                "enqueued",
                "dequeued",
                "milestoned",
                "demilestoned",
                "ready_for_review",
                "review_requested",
                "review_request_removed",
                "auto_merge_enabled",
                "auto_merge_disabled",
                "stacked",
            ],
            BRANCHES[0],
            BRANCHES[1],
            PATHS[0],
            PATHS[1]
        )
    };
}

events! {
    "branch_protection_rule" => event!(["created", "edited", "deleted"]);
    "check_run" => event!(["completed", "created", "rerequested", "requested_action"]);
    "check_suite" => event!(["completed"]);
    "create" => PLAIN;
    "delete" => PLAIN;
    "deployment" => PLAIN;
    "deployment_status" => PLAIN;
    "discussion" => event!([
        "created", "edited", "deleted", "transferred", "pinned", "unpinned", "labeled", "unlabeled", "locked",
        "unlocked", "category_changed", "answered", "unanswered",
    ]);
    "discussion_comment" => event!(["created", "edited", "deleted"]);
    "fork" => PLAIN;
    "gollum" => PLAIN;
    "image_version" => event!(
        ["created", "ready", "deleted"], optional("names", &PATTERNS), optional("versions", &PATTERNS)
    );
    "issue_comment" => event!(["created", "edited", "deleted"]);
    "issues" => event!([
        "opened", "edited", "deleted", "transferred", "pinned", "unpinned", "closed", "reopened", "assigned",
        "unassigned", "labeled", "unlabeled", "locked", "unlocked", "milestoned", "demilestoned", "field_added",
        "field_removed", "typed", "untyped",
    ]);
    "label" => event!(["created", "edited", "deleted"]);
    "merge_group" => event!(["checks_requested"], BRANCHES[0], BRANCHES[1]);
    "milestone" => event!(["created", "closed", "opened", "edited", "deleted"]);
    "page_build" => PLAIN;
    "project" => event!(["created", "closed", "reopened", "edited", "deleted"]);
    "project_card" => event!(["created", "moved", "converted", "edited", "deleted"]);
    "project_column" => event!(["created", "updated", "moved", "deleted"]);
    "public" => PLAIN;
    "pull_request" => pull_request!();
    "pull_request_comment" => event!(["created", "edited", "deleted"]);
    "pull_request_review" => event!(["submitted", "edited", "dismissed"]);
    "pull_request_review_comment" => event!(["created", "edited", "deleted"]);
    "pull_request_target" => pull_request!();
    "push" => Definition::one_of(&[&NULL, &PUSH]);
    "registry_package" => event!(["published", "updated"]);
    "release" => event!([
        "published", "unpublished", "created", "edited", "deleted", "prereleased", "released",
    ]);
    "repository_dispatch" => Definition::one_of(&[&NULL, &REPOSITORY_DISPATCH]);
    "schedule" => Definition::list(&SCHEDULE);
    "status" => PLAIN;
    "watch" => event!(["started"]);
    "workflow_call" => Definition::one_of(&[&NULL, &WORKFLOW_CALL]);
    "workflow_dispatch" => Definition::one_of(&[&NULL, &WORKFLOW_DISPATCH]);
    "workflow_run" => event!(
        ["requested", "completed", "in_progress"],
        optional("workflows", &PATTERNS), BRANCHES[0], BRANCHES[1]
    );
}

/// `on`.
pub(super) static ON: Definition = Definition::one_of(&[&ON_NAME, &ON_NAMES, &ON_MAPPING]);
static ON_NAME: Definition = Definition::words(EVENTS);
static ON_NAMES: Definition = Definition::list(&ON_NAME);

static PUSH: Definition =
    Definition::mapping(&[BRANCHES[0], BRANCHES[1], TAGS[0], TAGS[1], PATHS[0], PATHS[1]]);
static REPOSITORY_DISPATCH: Definition = Definition::mapping(&[optional("types", &PATTERNS)]);
static SCHEDULE: Definition = Definition::mapping(&[required("cron", &NAME), optional("timezone", &NAME)]);

static WORKFLOW_CALL: Definition = Definition::mapping(&[
    optional("inputs", &CALL_INPUTS),
    optional("secrets", &CALL_SECRETS),
    optional("outputs", &CALL_OUTPUTS),
]);
static CALL_INPUTS: Definition = Definition::named(&NAME, &CALL_INPUT);
static CALL_INPUT: Definition = Definition::mapping(&[
    optional("description", &TEXT),
    required("type", &CALL_INPUT_TYPE),
    optional("required", &BOOL),
    optional("default", &CALL_INPUT_DEFAULT),
]);
static CALL_INPUT_TYPE: Definition = Definition::words(&["string", "boolean", "number"]);
static CALL_SECRETS: Definition = Definition::named(&NAME, &CALL_SECRET);
static CALL_SECRET: Definition = Definition::one_of(&[&NULL, &CALL_SECRET_MAPPING]);
static CALL_SECRET_MAPPING: Definition =
    Definition::mapping(&[optional("description", &TEXT), optional("required", &BOOL)]);
static CALL_OUTPUTS: Definition = Definition::named(&NAME, &CALL_OUTPUT);
static CALL_OUTPUT: Definition =
    Definition::mapping(&[optional("description", &TEXT), required("value", &CALL_OUTPUT_VALUE)]);

/// GitHub ignores what it does not know in `workflow_dispatch`.
static WORKFLOW_DISPATCH: Definition = Definition::tolerant(&[optional("inputs", &DISPATCH_INPUTS)]);
static DISPATCH_INPUTS: Definition = Definition::one_of(&[&NULL, &DISPATCH_INPUT_NAMES]);
static DISPATCH_INPUT_NAMES: Definition = Definition::named(&NAME, &DISPATCH_INPUT);
static DISPATCH_INPUT: Definition = Definition::one_of(&[&NULL, &DISPATCH_INPUT_MAPPING]);
static DISPATCH_INPUT_MAPPING: Definition = Definition::tolerant(&[
    optional("description", &TEXT),
    optional("type", &DISPATCH_INPUT_TYPE),
    optional("required", &BOOL),
    optional("default", &DISPATCH_INPUT_DEFAULT),
    optional("options", &TEXTS),
]);
static DISPATCH_INPUT_TYPE: Definition =
    Definition::words(&["string", "boolean", "number", "environment", "choice"]);
static DISPATCH_INPUT_DEFAULT: Definition = Definition::one_of(&[&TEXT, &BOOL, &NUMBER]);
