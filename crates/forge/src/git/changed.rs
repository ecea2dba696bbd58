//! Which files an event has changed, as GitHub compares them for path filters.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#git-diff-comparisons>

use super::error::MirrorError;
use super::mirror::Mirror;
use crate::commit::{Diff, is_commit, is_no_commit};

/// Bytes of a list of changed files. Filters look at the first 300 of them; of a longer list nobody can say.
const MAX_CHANGED: usize = 8 * 1024 * 1024;

impl Mirror {
    /// Paths that the event has changed, in git's order; `None` where there is nothing to compare, or no longer:
    /// then path filters let everything pass.
    pub async fn changed(&self, diff: &Diff) -> Result<Option<Vec<String>>, MirrorError> {
        match diff {
            Diff::None => Ok(None),
            Diff::Pull { base, head } => {
                let Some(left_at) = self.left_at(base, head).await? else { return Ok(None) };
                self.between(&left_at, head).await
            }
            Diff::Push { after, .. } if !is_commit(after) => Ok(None),
            Diff::Push { before, after, first, created, .. } => {
                if *created || is_no_commit(before) {
                    return self.since_branch(first.as_deref().unwrap_or(after), after).await;
                }
                if !is_commit(before) || !self.has(before).await? || !self.has(after).await? {
                    return Ok(None);
                }
                self.between(before, after).await
            }
        }
    }

    /// Where the branch of a pull request left the branch that it is for.
    async fn left_at(&self, base: &str, head: &str) -> Result<Option<String>, MirrorError> {
        if !is_commit(base) || !is_commit(head) || !self.has(base).await? || !self.has(head).await? {
            return Ok(None);
        }
        let found = self.asked(&["merge-base", base, head]).await?;
        Ok(found.map(|sha| sha.trim().to_owned()))
    }

    /// What a new branch changes: from before the first of the commits that were pushed with it.
    async fn since_branch(&self, first: &str, after: &str) -> Result<Option<Vec<String>>, MirrorError> {
        if !is_commit(first) || !self.has(first).await? || !self.has(after).await? {
            return Ok(None);
        }
        let before = format!("{first}^");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &before];
        match self.asked(&args).await? {
            Some(parent) => self.between(parent.trim(), after).await,
            // The history begins here: all is new.
            None => self.paths(&["ls-tree", "-r", "-z", "--name-only", "--full-tree", after]).await,
        }
    }

    async fn between(&self, before: &str, after: &str) -> Result<Option<Vec<String>>, MirrorError> {
        self.paths(&["diff", "--name-only", "-z", "-M", "--no-ext-diff", before, after, "--"]).await
    }

    async fn paths(&self, args: &[&str]) -> Result<Option<Vec<String>>, MirrorError> {
        let names =
            self.read("compare commits of", MAX_CHANGED, "the list of changed files", args, b"").await;
        let names = match self.judged(None, names).await {
            Ok(names) => names,
            Err(MirrorError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(Some(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()))
    }
}
