//! What the scheduler writes down of a run for itself: the store keeps it and does not look inside.

use forge::github::event::Start;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a run is made of, known before its plan. Nothing in it is secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunFacts {
    /// What started it.
    pub start: Start,
    /// The commit whose workflow file counts.
    pub workflow_sha: String,
    /// Text of the workflow file.
    pub text: String,
    /// `inputs` of a manual start, checked and typed; else null.
    pub inputs: Json,
    /// The event's payload, where no delivery has it.
    pub payload: Option<Json>,
    /// How many runs it follows, one by the other (`workflow_run`).
    #[serde(default)]
    pub level: u32,
}

impl RunFacts {
    /// Reads what [`RunFacts::to_json`] wrote.
    ///
    /// # Errors
    /// Another version of Hearth wrote it, or it is damaged.
    pub fn from_json(json: &Json) -> Result<RunFacts, serde_json::Error> {
        RunFacts::deserialize(json)
    }

    /// What the store keeps.
    #[must_use]
    pub fn to_json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }
}
