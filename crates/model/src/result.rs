//! How steps and jobs end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How something ended. The words are GitHub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// It did what it should.
    Success,
    /// It did not.
    Failure,
    /// Somebody or a limit stopped it.
    Cancelled,
    /// Its condition was false.
    Skipped,
}

impl Conclusion {
    /// The word that contexts and APIs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Conclusion::Success => "success",
            Conclusion::Failure => "failure",
            Conclusion::Cancelled => "cancelled",
            Conclusion::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// The step's id.
    pub id: String,
    /// Before `continue-on-error`.
    pub outcome: Conclusion,
    /// After `continue-on-error`.
    pub conclusion: Conclusion,
}

/// How one job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// Of all steps together. The job's own `continue-on-error` is the plan's business.
    pub conclusion: Conclusion,
    /// Set when the machine or Hearth failed rather than a step: why.
    /// The conclusion is then `Failure`, and the job may be tried again.
    pub infrastructure_error: Option<String>,
    /// What the job had come to by itself, whatever became of it then: `Failure` when a step of it failed, `Cancelled`
    /// when its time was up. Another try could only hide that. `None`: neither was so.
    #[serde(skip)]
    pub decided: Option<Conclusion>,
    /// Outputs by name; one that holds a secret is left out, with a warning event.
    pub outputs: Vec<(String, String)>,
    /// `environment.url`, evaluated.
    pub environment_url: Option<String>,
    /// Each step of the file, in order.
    pub steps: Vec<StepResult>,
}

impl JobResult {
    /// Whether it is final: the job has succeeded, or failed or been cancelled by its own doing.
    pub fn is_decided(&self) -> bool {
        self.decided.is_some()
            || self.conclusion == Conclusion::Success
            || self.conclusion == Conclusion::Failure && self.infrastructure_error.is_none()
    }
}
