//! What can go wrong with a mirror. No error carries a token: none is ever on git's command line or in its output.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::repository::RepositoryNameError;

/// Why a mirror can't be fetched or can't answer.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The name can't be that of a repository.
    #[error("can't fetch: {0}")]
    Name(#[from] RepositoryNameError),
    /// The address is none that is fetched from.
    #[error("can't fetch {repository} from its address: {reason}")]
    Address {
        /// Whose.
        repository: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The server does not give it to whoever asks.
    #[error(
        "can't fetch {repository}: the server does not give it to us ({cause}); install the App on it, or use a \
         token that may read its contents"
    )]
    Denied {
        /// Which.
        repository: String,
        /// What git said.
        cause: String,
    },
    /// A repository on this host belongs to another user than Hearth's. Git reads none of these, and a user's own
    /// exceptions are not looked at here. <https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory>
    #[error(
        "can't fetch {repository}: git refuses to read a repository of another user ({cause}); give it to the user that \
         Hearth runs as, or allow it for all users: git config --system --add safe.directory {path}"
    )]
    Ownership {
        /// Which.
        repository: String,
        /// Where it is.
        path: String,
        /// What git said.
        cause: String,
    },
    /// The repository names its objects by another hash than its mirror, as after it was made anew.
    #[error("can't fetch {repository} into its mirror: {cause}; remove the mirror in the data folder")]
    ObjectFormat {
        /// Which.
        repository: String,
        /// What git said.
        cause: String,
    },
    /// The server was not reached, or went away in the middle. Worth another try.
    #[error("can't fetch {repository} now: {cause}; check that its server can be reached from here")]
    Unreachable {
        /// Which.
        repository: String,
        /// What git said.
        cause: String,
    },
    /// It took too long.
    #[error(
        "can't {operation} {repository}: git was not done after {} s and was stopped; try again, it goes on from \
         what it has", after.as_secs()
    )]
    TimedOut {
        /// Which.
        repository: String,
        /// What was done.
        operation: &'static str,
        /// How long it had.
        after: Duration,
    },
    /// A branch, tag, or commit that an event names is not there.
    #[error(
        "{repository} has no {what}; it was deleted or replaced since the event, so push again to start again"
    )]
    NoCommit {
        /// Where it was looked for.
        repository: String,
        /// What (`branch main`).
        what: String,
    },
    /// There is no trial merge of a pull request.
    #[error("{repository} has no merge of pull request {pull}: {reason}")]
    NoMerge {
        /// Where it was looked for.
        repository: String,
        /// The pull request.
        pull: u64,
        /// Why.
        reason: NoMerge,
    },
    /// More than is read.
    #[error("{what} of {repository} is more than the {limit} that are read; make it smaller")]
    TooLarge {
        /// Whose.
        repository: String,
        /// What.
        what: String,
        /// The bound, with its unit.
        limit: String,
    },
    /// The mirror is damaged. It is marked, and the next fetch makes it anew.
    #[error("the mirror of {repository} is damaged ({cause}); the next fetch clones it again")]
    Damaged {
        /// Whose.
        repository: String,
        /// What git said.
        cause: String,
    },
    /// Git failed in a way of its own.
    #[error("can't {operation} {repository}: git says: {cause}")]
    Git {
        /// Which.
        repository: String,
        /// What was done.
        operation: &'static str,
        /// What git said.
        cause: String,
    },
    /// Git can't be run at all.
    #[error("can't run git: {0}; install it")]
    NoGit(#[source] io::Error),
    /// The folder of mirrors can't be used.
    #[error("can't use {}: {source}; check that the data folder belongs to Hearth's user and has room", path.display())]
    Folder {
        /// What was to be used.
        path: PathBuf,
        /// Why it can't.
        source: io::Error,
    },
}

impl MirrorError {
    /// Whether another try later may help without anybody's doing.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            MirrorError::Unreachable { .. }
                | MirrorError::TimedOut { .. }
                | MirrorError::Damaged { .. }
                | MirrorError::NoMerge { .. }
        )
    }
}

/// Why there is no trial merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMerge {
    /// The forge made none, or none yet: it does so some moments after the event.
    #[error(
        "it conflicts with the branch that it is for, so resolve the conflict and push; or its forge is not done yet"
    )]
    Missing,
    /// The one that is there is of another commit: the forge has not come to it yet, or it has been passed.
    #[error(
        "the merge that is there is of another commit of it, so a newer push replaced this one or the forge is not done yet"
    )]
    Behind,
}
