//! What a job's `GITHUB_TOKEN` may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Access to one scope of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Read and write.
    Write,
}

impl Access {
    /// The word that workflows and GitHub use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Access::None => "none",
            Access::Read => "read",
            Access::Write => "write",
        }
    }
}

/// What a job asks for, by the names that workflows use (`contents`, `pull-requests`). A scope that is not among
/// them is not asked for.
///
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions>
pub type Permissions = BTreeMap<String, Access>;

/// The scope that lets a job ask for OIDC tokens.
pub const ID_TOKEN: &str = "id-token";

/// What became of a job's token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenTerms {
    /// Nobody decides about it: where there is one, it is a secret like others.
    #[default]
    Unsaid,
    /// It was made for this job, and may do this, by GitHub's names (`contents`, `pull_requests`) and words.
    Given(BTreeMap<String, String>),
    /// There is none, for this reason: a clause.
    Withheld(String),
}
