//! What a mirror answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Want;
use super::command::{Answer, Git, NoAnswer};
use super::error::{MirrorError, NoMerge};
use super::failure::{Failure, cause};
use super::objects::Objects;
use crate::commit::{CommitSpec, is_commit, is_ref_name};
use crate::repository::RepositoryName;

/// How long a question may take; all are answered from the disk.
pub(super) const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a short answer: names of objects, one line each.
const MAX_SHORT: usize = 64 * 1024;

/// Bytes of a commit's message; what says `[skip ci]` stands at its ends, and nobody writes more.
const MAX_MESSAGE: usize = 1024 * 1024;

/// The file in a mirror that says that it is damaged.
const DAMAGED: &str = "hearth-damaged";

/// A bare clone of a repository. It is read by many at once, and written by [`super::Mirrors::fetch`] only.
#[derive(Clone, Debug)]
pub struct Mirror {
    name: RepositoryName,
    folder: PathBuf,
}

impl Mirror {
    pub(super) fn new(name: RepositoryName, folder: PathBuf) -> Mirror {
        Mirror { name, folder }
    }

    /// Its folder: a bare repository of git, whose branches are `refs/heads/*`.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Whose mirror it is.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Asks about commits and files.
    pub fn objects(&self) -> Objects<'_> {
        Objects::new(self)
    }

    /// The sha of a commit.
    pub async fn resolve(&self, commit: &CommitSpec) -> Result<String, MirrorError> {
        self.objects().resolve(commit).await
    }

    /// The full ref of a branch or, where there is no such branch, of a tag.
    pub async fn full_ref(&self, name: &str) -> Result<Option<String>, MirrorError> {
        let short = name.strip_prefix("refs/heads/").unwrap_or(name);
        let full = if name.starts_with("refs/tags/") {
            vec![name.to_owned()]
        } else {
            vec![format!("refs/heads/{short}"), format!("refs/tags/{short}")]
        };
        for reference in full.into_iter().filter(|reference| is_ref_name(reference)) {
            let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &reference];
            if self.asked(&args).await?.is_some() {
                return Ok(Some(reference));
            }
        }
        Ok(None)
    }

    /// The full ref that a commit was taken of by the name of this one, which may as well be a tag's: the branch, if the
    /// commit is in it; else the tag of that name, if it is the tag's; else none.
    pub async fn ref_of(&self, reference: &str, sha: &str) -> Result<Option<String>, MirrorError> {
        let sha = self.known(sha)?;
        let (name, may_be_branch) = match reference.strip_prefix("refs/tags/") {
            Some(tag) => (tag, false),
            None => (reference.strip_prefix("refs/heads/").unwrap_or(reference), true),
        };
        if may_be_branch && let Some(last) = self.found(CommitSpec::Branch(name.to_owned())).await? {
            // <https://git-scm.com/docs/git-merge-base#Documentation/git-merge-base.txt---is-ancestor>
            let is_in = self.asked(&["merge-base", "--is-ancestor", sha, &last]).await?.is_some();
            if is_in {
                return Ok(Some(format!("refs/heads/{name}")));
            }
        }
        let tagged = self.found(CommitSpec::Tag(name.to_owned())).await?;
        Ok((tagged.as_deref() == Some(sha)).then(|| format!("refs/tags/{name}")))
    }

    /// The sha of a commit, if it is there.
    async fn found(&self, commit: CommitSpec) -> Result<Option<String>, MirrorError> {
        match self.resolve(&commit).await {
            Ok(sha) => Ok(Some(sha)),
            Err(MirrorError::NoCommit { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The message of a commit.
    pub async fn message(&self, sha: &str) -> Result<String, MirrorError> {
        let sha = self.known(sha)?;
        let args = ["log", "-1", "--format=%B", "--no-show-signature", "--end-of-options", sha, "--"];
        let message = self.read("read a commit of", MAX_MESSAGE, "the message of a commit", &args, b"").await;
        let message = self.judged(Some(sha), message).await?;
        Ok(String::from_utf8_lossy(&message).trim_end().to_owned())
    }

    /// What [`Objects::files`] says.
    pub async fn files(&self, sha: &str, folder: &str) -> Result<Vec<(String, Vec<u8>)>, MirrorError> {
        self.objects().files(sha, folder).await
    }

    /// What [`Objects::file`] says.
    pub async fn file(&self, sha: &str, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        self.objects().file(sha, path).await
    }

    /// Which of the wanted commits are not here.
    pub(super) async fn lacks(&self, want: &[Want]) -> Result<Vec<String>, MirrorError> {
        let shas = want.iter().filter_map(|want| match want {
            Want::Sha(sha) | Want::Perhaps(sha) => Some(sha.clone()),
            Want::Pull(_) => None,
        });
        let (mut missing, mut objects) = (Vec::new(), self.objects());
        for sha in shas {
            if !objects.has(&sha).await? {
                missing.push(sha);
            }
        }
        Ok(missing)
    }

    /// Whether a commit is here.
    pub(super) async fn has(&self, sha: &str) -> Result<bool, MirrorError> {
        self.objects().has(sha).await
    }

    /// The trial merge of a pull request, if it is one of this head.
    pub(super) async fn merge(&self, pull: u64, head: &str) -> Result<String, MirrorError> {
        let reference = format!("refs/pull/{pull}/merge");
        let format = "--format=%(objectname) %(parent)";
        let found = self.ask("read a ref of", &["for-each-ref", format, &reference]).await?;
        let mut shas = found.split_whitespace();
        let no_merge = |reason| Err(MirrorError::NoMerge { repository: self.name.to_string(), pull, reason });
        match (shas.next(), shas.nth(1)) {
            (Some(merge), Some(second)) if second.eq_ignore_ascii_case(head) => Ok(merge.to_owned()),
            (Some(_), _) => no_merge(NoMerge::Behind),
            (None, _) => no_merge(NoMerge::Missing),
        }
    }

    /// What git answers to a question that it may answer with no; `None` is no.
    pub(super) async fn asked(&self, args: &[&str]) -> Result<Option<String>, MirrorError> {
        let answer = self.git(QUESTION_TIMEOUT, MAX_SHORT).run(args, b"").await;
        let answer = answer.map_err(|none| self.no_answer("read", QUESTION_TIMEOUT, none))?;
        if answer.success {
            return Ok(Some(String::from_utf8_lossy(&answer.stdout).into_owned()));
        }
        match Failure::of(&answer.stderr) {
            // A commit that is not here is a plain no, though git calls it names.
            Failure::Damaged if !answer.stderr.contains("Not a valid object name") => {
                Err(self.damaged(cause(&answer.stderr)))
            }
            _ => Ok(None),
        }
    }

    /// What git answers, as text.
    pub(super) async fn ask(&self, operation: &'static str, args: &[&str]) -> Result<String, MirrorError> {
        let answer = self.read(operation, MAX_SHORT, "an answer of git", args, b"").await;
        let answer = self.judged(None, answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    pub(super) async fn read(
        &self,
        operation: &'static str,
        limit: usize,
        what: &str,
        args: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, MirrorError> {
        let answer = self.git(QUESTION_TIMEOUT, limit).run(args, input).await;
        if let Err(NoAnswer::TooLong) = answer {
            return Err(self.too_large(what, limit, " bytes"));
        }
        self.checked(operation, QUESTION_TIMEOUT, answer)
    }

    pub(super) fn git(&self, timeout: Duration, limit: usize) -> Git<'_> {
        Git { folder: &self.folder, timeout, limit, auth: None }
    }

    pub(super) fn checked(
        &self,
        operation: &'static str,
        timeout: Duration,
        answer: Result<Answer, NoAnswer>,
    ) -> Result<Vec<u8>, MirrorError> {
        let answer = answer.map_err(|none| self.no_answer(operation, timeout, none))?;
        if answer.success {
            return Ok(answer.stdout);
        }
        Err(failed(&self.name, operation, Failure::of(&answer.stderr), cause(&answer.stderr)))
    }

    /// Tells damage from a commit that is not here, which looks the same to git, and marks the mirror if it is damaged.
    pub(super) async fn judged<T>(
        &self,
        sha: Option<&str>,
        outcome: Result<T, MirrorError>,
    ) -> Result<T, MirrorError> {
        match (outcome, sha) {
            (Err(MirrorError::Damaged { .. } | MirrorError::Git { .. }), Some(sha))
                if !self.has(sha).await? =>
            {
                Err(self.lacks_commit(&format!("commit {sha}")))
            }
            (Err(MirrorError::Damaged { cause, .. }), _) => Err(self.damaged(cause)),
            (outcome, _) => outcome,
        }
    }

    pub(super) fn no_answer(&self, operation: &'static str, after: Duration, none: NoAnswer) -> MirrorError {
        let repository = self.name.to_string();
        match none {
            NoAnswer::NoGit(error) => MirrorError::NoGit(error),
            NoAnswer::TimedOut => MirrorError::TimedOut { repository, operation, after },
            NoAnswer::TooLong => self.too_large("an answer of git", MAX_SHORT, " bytes"),
        }
    }

    /// Marks the mirror, so that the next fetch makes it anew.
    pub(super) fn damaged(&self, cause: String) -> MirrorError {
        // Without the mark the next fetch finds out by itself.
        let _ = fs::write(self.folder.join(DAMAGED), &cause);
        MirrorError::Damaged { repository: self.name.to_string(), cause }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.folder.join(DAMAGED).exists()
    }

    pub(super) fn lacks_commit(&self, what: &str) -> MirrorError {
        MirrorError::NoCommit { repository: self.name.to_string(), what: what.to_owned() }
    }

    pub(super) fn too_large(&self, what: &str, limit: usize, unit: &str) -> MirrorError {
        let limit = format!("{limit}{unit}");
        MirrorError::TooLarge { repository: self.name.to_string(), what: what.to_owned(), limit }
    }

    pub(super) fn known<'a>(&self, sha: &'a str) -> Result<&'a str, MirrorError> {
        if is_commit(sha) { Ok(sha) } else { Err(self.lacks_commit("such commit")) }
    }
}

/// The error for a failure of git's.
pub(super) fn failed(
    name: &RepositoryName,
    operation: &'static str,
    failure: Failure,
    cause: String,
) -> MirrorError {
    let repository = name.to_string();
    match failure {
        Failure::Denied => MirrorError::Denied { repository, cause },
        Failure::Unreachable => MirrorError::Unreachable { repository, cause },
        Failure::Ownership => {
            let path = cause.split('\'').nth(1).unwrap_or_default().to_owned();
            MirrorError::Ownership { repository, path, cause }
        }
        Failure::ObjectFormat => MirrorError::ObjectFormat { repository, cause },
        Failure::Damaged => MirrorError::Damaged { repository, cause },
        Failure::NotThere => MirrorError::NoCommit { repository, what: cause },
        Failure::Locked | Failure::Other => MirrorError::Git { repository, operation, cause },
    }
}
