//! Mirrors of repositories: one bare clone each, fetched as events come, which all jobs read.
//!
//! The work is git's own, run as a process: [`Mirrors`] fetches, a [`Mirror`] answers questions about commits.
//! Whatever comes from outside (names, refs, shas, paths) is checked before git hears it.

mod changed;
mod check_out;
mod command;
mod error;
mod failure;
mod lock;
mod mirror;
mod mirrors;
mod objects;

use model::Secret;

use crate::commit::{CommitSpec, Diff, is_commit};
pub use error::{MirrorError, NoMerge};
pub use mirror::Mirror;
pub use mirrors::{FetchObserver, Mirrors};
pub use objects::Objects;

/// Where a repository is fetched from.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `owner/name`: where its mirror is kept, and how errors call it.
    pub name: String,
    /// Its address: `https`, `http`, `ssh`, or `file`, without a password in it.
    pub url: String,
    /// Token for an address of http. Goes to that server only, and neither to a disk nor to a command line.
    pub auth: Option<Secret>,
}

/// What is fetched besides branches and tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Head and trial merge of this pull request, where they exist.
    Pull(u64),
    /// This commit, though no branch or tag may lead to it any more.
    Sha(String),
    /// The same, if the forge still has it.
    Perhaps(String),
}

impl Want {
    /// What it takes to resolve these commits and to compare what `diff` compares.
    pub fn of<'a>(commits: impl IntoIterator<Item = &'a CommitSpec>, diff: &Diff) -> Vec<Want> {
        let mut wants = Vec::new();
        let mut want = |one: Want| {
            if !wants.contains(&one) {
                wants.push(one);
            }
        };
        for commit in commits {
            match commit {
                CommitSpec::Sha(sha) => want(Want::Sha(sha.clone())),
                CommitSpec::Merge { pull, .. } => want(Want::Pull(*pull)),
                CommitSpec::Branch(_) | CommitSpec::Tag(_) => {}
            }
        }
        match diff {
            Diff::Push { before, .. } if is_commit(before) => want(Want::Perhaps(before.clone())),
            Diff::Pull { base, head } => {
                want(Want::Perhaps(base.clone()));
                want(Want::Perhaps(head.clone()));
            }
            Diff::Push { .. } | Diff::None => {}
        }
        wants
    }
}
