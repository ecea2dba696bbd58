//! Which files an event has changed, for filters of paths.
//!
//! The folder's present state, uncommitted changes and new files included, is compared as
//! [GitHub compares](https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#git-diff-comparisons):
//! a pull request with the commit that its branch left the base branch at, a push with the commit before it or, where
//! it made the branch, before the first one pushed.

use std::path::Path;

use anyhow::Result;

use super::event::LocalEvent;
use super::facts::{Facts, Git, NO_COMMIT};

/// Finds the changed files; workflows of one event share an answer.
pub(crate) struct ChangedFiles<'a> {
    root: &'a Path,
    facts: &'a Facts,
    /// The commit that was compared with last, and what came of it.
    last: Option<(String, Vec<String>)>,
}

impl<'a> ChangedFiles<'a> {
    /// Nothing has been compared yet.
    pub(crate) fn new(root: &'a Path, facts: &'a Facts) -> ChangedFiles<'a> {
        ChangedFiles { root, facts, last: None }
    }

    /// Paths that the event has changed; `None` when there is nothing to compare with.
    pub(crate) async fn of(&mut self, event: &LocalEvent) -> Result<Option<Vec<String>>> {
        let Some(base) = self.base(event).await? else { return Ok(None) };
        if let Some((known, files)) = &self.last
            && *known == base
        {
            return Ok(Some(files.clone()));
        }
        let git = Git { root: self.root };
        let diff = ["diff", "--name-only", "-z", &base, "--"];
        let others = ["ls-files", "--others", "--exclude-standard", "-z"];
        let (tracked, untracked) = tokio::try_join!(git.ask(&diff), git.ask(&others))?;
        let names = tracked.iter().chain(&untracked).flat_map(|names| names.split('\0'));
        let mut files: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        files.sort();
        self.last = Some((base, files.clone()));
        Ok(Some(files))
    }

    /// The commit to compare with.
    async fn base(&self, event: &LocalEvent) -> Result<Option<String>> {
        let found = match event.name.as_str() {
            "pull_request" | "pull_request_target" => self.left_at(event).await?,
            _ => self.before(event).await?,
        };
        // A folder that has not left the base branch stands for its last commit.
        let own = |commit: &String| *commit != self.facts.sha;
        let parent = Some(self.facts.before.clone()).filter(|commit| commit != NO_COMMIT);
        Ok(found.filter(own).or(parent))
    }

    /// Where the branch of a pull request left the base branch.
    async fn left_at(&self, event: &LocalEvent) -> Result<Option<String>> {
        let git = Git { root: self.root };
        let branch = event.text("/pull_request/base/ref").unwrap_or(&self.facts.default_branch);
        let sha = event.text("/pull_request/base/sha").filter(|sha| is_commit(sha)).map(str::to_owned);
        let branches = ["refs/remotes/origin", "refs/heads"].map(|folder| format!("{folder}/{branch}"));
        for base in branches.into_iter().chain(sha) {
            if let Some(commit) = git.ask(&["merge-base", "HEAD", &base]).await? {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }

    /// The commit before a push, if the folder knows it: of a new branch, the one before the first that was pushed.
    async fn before(&self, event: &LocalEvent) -> Result<Option<String>> {
        let before = match event.text("/before") {
            Some(NO_COMMIT) => {
                event.text("/commits/0/id").filter(|first| is_commit(first)).map(|id| format!("{id}~"))
            }
            before => {
                before.filter(|commit| is_commit(commit) && *commit != self.facts.before).map(str::to_owned)
            }
        };
        match before {
            Some(commit) => {
                let commit = format!("{commit}^{{commit}}");
                Git { root: self.root }.ask(&["rev-parse", "--quiet", "--verify", &commit]).await
            }
            None => Ok(None),
        }
    }
}

/// Whether this is a commit's name: a payload may hold anything, and git's options are not to be given by it.
fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text != NO_COMMIT && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn git(folder: &Path, args: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"];
        let mut command = std::process::Command::new("git");
        let done = command.args(identity).arg(folder).args(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn commit(folder: &Path, file: &str) -> String {
        std::fs::write(folder.join(file), file).unwrap();
        git(folder, &["add", "-A"]);
        git(folder, &["commit", "-q", "-m", file]);
        git(folder, &["rev-parse", "HEAD"])
    }

    async fn changed(folder: &Path, name: &str, payload: Json) -> Option<Vec<String>> {
        let facts = Facts::of(folder).await.unwrap();
        let event = LocalEvent { name: name.to_owned(), payload };
        ChangedFiles::new(folder, &facts).of(&event).await.unwrap()
    }

    #[tokio::test]
    async fn a_pull_request_has_changed_what_its_branch_has_and_a_push_what_its_commits_have() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        git(folder, &["init", "-q", "-b", "main"]);
        assert_eq!(changed(folder, "push", json!({})).await, None);
        let first = commit(folder, "first");
        assert_eq!(changed(folder, "push", json!({})).await, None);
        commit(folder, "second");
        let to_main = json!({"pull_request": {"base": {"ref": "main"}}});
        assert_eq!(changed(folder, "pull_request", to_main.clone()).await.unwrap(), ["second"]);
        git(folder, &["checkout", "-q", "-b", "topic"]);
        commit(folder, "a");
        commit(folder, "b");
        git(folder, &["checkout", "-q", "main"]);
        commit(folder, "elsewhere");
        git(folder, &["checkout", "-q", "topic"]);
        std::fs::write(folder.join("new"), "").unwrap();
        assert_eq!(changed(folder, "pull_request", to_main).await.unwrap(), ["a", "b", "new"]);
        assert_eq!(changed(folder, "push", json!({})).await.unwrap(), ["b", "new"]);
        let pushed = changed(folder, "push", json!({"before": first.clone()})).await.unwrap();
        assert_eq!(pushed, ["a", "b", "new", "second"]);
        let new_branch =
            json!({"before": NO_COMMIT, "commits": [{"id": git(folder, &["rev-parse", "HEAD~"])}]});
        assert_eq!(changed(folder, "push", new_branch).await.unwrap(), ["a", "b", "new"]);
        let root = json!({"before": NO_COMMIT, "commits": [{"id": first}]});
        assert_eq!(changed(folder, "push", root).await.unwrap(), ["b", "new"]);
        let unknown = json!({"before": "1".repeat(40)});
        assert_eq!(changed(folder, "push", unknown).await.unwrap(), ["b", "new"]);
        let option = json!({"before": "--output=x", "pull_request": {"base": {"ref": "--all"}}});
        assert_eq!(changed(folder, "push", option).await.unwrap(), ["b", "new"]);
    }
}
