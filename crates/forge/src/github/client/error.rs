//! What can go wrong with a call. No error carries a token.

use std::time::Duration;

use crate::github::app::AppError;

/// Why a call of GitHub's API failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the API is none.
    #[error("'{address}' is no address of an API: {reason}; write one like https://api.github.com")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is nothing to check servers with.
    #[error("can't speak TLS: {0}; install the package ca-certificates")]
    NoRoots(#[source] std::io::Error),
    /// The App's key is of no use.
    #[error(transparent)]
    App(#[from] AppError),
    /// The server was not reached, or went away, on every try.
    #[error("can't {call}: {cause}; check that the API can be reached from here")]
    Unreachable {
        /// What was to be done.
        call: String,
        /// What happened.
        cause: String,
    },
    /// The server refuses.
    #[error("can't {call}: GitHub answers {status}: {message}{}", hint(*status, needs))]
    Refused {
        /// What was to be done.
        call: String,
        /// The status.
        status: u16,
        /// What the server says.
        message: String,
        /// The permissions that it would take, where the server says it.
        needs: Option<String>,
    },
    /// A rate limit that is not over soon.
    #[error("can't {call} now: GitHub's rate limit is used up for {} s; it is done later", wait.as_secs())]
    Limited {
        /// What was to be done.
        call: String,
        /// How long until there is room again.
        wait: Duration,
    },
    /// It may have been done or not, and doing it twice would be wrong.
    #[error("don't know whether GitHub did {call}: {cause}; look before it is done again")]
    Unsure {
        /// What was to be done.
        call: String,
        /// What happened.
        cause: String,
    },
    /// The answer is not what it should be.
    #[error("can't {call}: GitHub's answer can't be understood: {cause}")]
    Answer {
        /// What was to be done.
        call: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl ClientError {
    /// Whether another try later may help without anybody's doing.
    pub fn may_pass(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Limited { .. } | ClientError::Unsure { .. } => {
                true
            }
            ClientError::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// The status that the server refused with.
    pub fn status(&self) -> Option<u16> {
        match self {
            ClientError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long to leave the server alone, where it says so.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            ClientError::Limited { wait, .. } => Some(*wait),
            _ => None,
        }
    }
}

/// The way out of a refusal.
fn hint(status: u16, needs: &Option<String>) -> String {
    match (status, needs) {
        (401, _) => "; the token or the App's key is wrong or has expired: set another".to_owned(),
        (403 | 404, Some(needs)) => format!("; give the App or the token the permission {needs}"),
        (403 | 404, None) => {
            "; install the App on the repository, or give the token the permission for it".to_owned()
        }
        (500.., _) => "; https://www.githubstatus.com may say more".to_owned(),
        _ => String::new(),
    }
}
