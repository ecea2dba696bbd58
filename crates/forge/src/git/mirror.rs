//! What a mirror answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Want;
use super::command::{Answer, Git, NoAnswer};
use super::error::{MirrorError, NoMerge};
use super::failure::{Failure, cause};
use crate::commit::{CommitSpec, is_commit, is_ref_name};
use crate::repository::RepositoryName;

/// How long a question may take; all are answered from the disk.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a short answer: names of objects, one line each.
const MAX_SHORT: usize = 64 * 1024;

/// Bytes of a commit's message; what says `[skip ci]` stands at its ends, and nobody writes more.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Bytes of a listing of a folder.
const MAX_LISTING: usize = 4 * 1024 * 1024;

/// Files that are read of one folder; GitHub's own folders of workflows have at most some hundred.
const MAX_FILES: usize = 1000;

/// Bytes of one file: more than any workflow, whose jobs are bounded.
const MAX_FILE: usize = 1024 * 1024;

/// Bytes of all files of a folder together.
const MAX_FOLDER: usize = 16 * 1024 * 1024;

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

    /// The sha of a commit.
    pub async fn resolve(&self, commit: &CommitSpec) -> Result<String, MirrorError> {
        match commit {
            CommitSpec::Sha(sha) if is_commit(sha) => self.sha(sha, || format!("commit {sha}")).await,
            CommitSpec::Sha(_) => Err(self.lacks_commit("such commit")),
            CommitSpec::Branch(name) => {
                self.of_ref(&format!("refs/heads/{name}"), || format!("branch {name}")).await
            }
            CommitSpec::Tag(name) => {
                self.of_ref(&format!("refs/tags/{name}"), || format!("tag {name}")).await
            }
            CommitSpec::Merge { pull, head, .. } => self.merge(*pull, head).await,
        }
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

    /// The files right in a folder (`.github/workflows`) of a commit, by path, in their order. Links are left out:
    /// nothing says that what they lead to is there. A folder that is not there has no files.
    pub async fn files(&self, sha: &str, folder: &str) -> Result<Vec<(String, Vec<u8>)>, MirrorError> {
        let folder = format!("{}/", folder.trim_matches('/'));
        let entries = self.entries(sha, &folder).await?;
        if entries.len() > MAX_FILES {
            return Err(self.too_large(&format!("the number of files in {folder}"), MAX_FILES, ""));
        }
        if let Some(entry) = entries.iter().find(|entry| entry.size > MAX_FILE) {
            return Err(self.too_large(&entry.path, MAX_FILE, " bytes"));
        }
        if entries.iter().map(|entry| entry.size).sum::<usize>() > MAX_FOLDER {
            return Err(self.too_large(&folder, MAX_FOLDER, " bytes"));
        }
        self.contents(entries).await
    }

    /// One file of a commit; `None` where there is none, or a link or a folder instead.
    pub async fn file(&self, sha: &str, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        let path = path.trim_matches('/');
        let entry = self.entries(sha, path).await?.into_iter().find(|entry| entry.path == path);
        let Some(entry) = entry else { return Ok(None) };
        if entry.size > MAX_FILE {
            return Err(self.too_large(path, MAX_FILE, " bytes"));
        }
        Ok(self.contents(vec![entry]).await?.pop().map(|(_, bytes)| bytes))
    }

    /// Which of the wanted commits are not here.
    pub(super) async fn lacks(&self, want: &[Want]) -> Result<Vec<String>, MirrorError> {
        let shas = want.iter().filter_map(|want| match want {
            Want::Sha(sha) | Want::Perhaps(sha) => Some(sha.clone()),
            Want::Pull(_) => None,
        });
        let mut missing = Vec::new();
        for sha in shas {
            if !is_commit(&sha) || !self.has(&sha).await? {
                missing.push(sha);
            }
        }
        Ok(missing)
    }

    /// Whether a commit is here.
    pub(super) async fn has(&self, sha: &str) -> Result<bool, MirrorError> {
        Ok(self.asked(&["cat-file", "-e", &format!("{sha}^{{commit}}")]).await?.is_some())
    }

    /// The trial merge of a pull request, if it is one of this head.
    async fn merge(&self, pull: u64, head: &str) -> Result<String, MirrorError> {
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

    async fn of_ref(&self, reference: &str, what: impl Fn() -> String) -> Result<String, MirrorError> {
        if !is_ref_name(reference) {
            return Err(self.lacks_commit(&what()));
        }
        self.sha(reference, what).await
    }

    async fn sha(&self, name: &str, what: impl Fn() -> String) -> Result<String, MirrorError> {
        let name = format!("{name}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
        let found = self.asked(&args).await?;
        found.map(|sha| sha.trim().to_owned()).ok_or_else(|| self.lacks_commit(&what()))
    }

    async fn entries(&self, sha: &str, path: &str) -> Result<Vec<Entry>, MirrorError> {
        let sha = self.known(sha)?;
        let is_inside = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !path.trim_end_matches('/').split('/').all(is_inside) || path.contains('\0') {
            return Ok(Vec::new());
        }
        let args = ["ls-tree", "-z", "-l", "--full-tree", "--end-of-options", sha, "--", path];
        let listing = self.read("list the files of", MAX_LISTING, path, &args, b"").await;
        let listing = self.judged(Some(sha), listing).await?;
        let lines = listing.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        let entries = lines.filter_map(|line| Entry::of(&String::from_utf8_lossy(line)));
        entries
            .collect::<Result<_, _>>()
            .map_err(|path| self.damaged(format!("the content of {path} is missing")))
    }

    async fn contents(&self, entries: Vec<Entry>) -> Result<Vec<(String, Vec<u8>)>, MirrorError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let names: String = entries.iter().map(|entry| format!("{}\n", entry.object)).collect();
        // Of each a line with name, kind, and size, and the line's end behind it.
        let limit = entries.iter().map(|entry| entry.size + 128).sum();
        let batch = ["cat-file", "--batch"];
        let bytes =
            self.read("read files of", limit, "what git says of files", &batch, names.as_bytes()).await;
        let bytes = self.judged(None, bytes).await?;
        let mut rest = &bytes[..];
        let mut files = Vec::new();
        for entry in entries {
            let content = rest.iter().position(|byte| *byte == b'\n').and_then(|end| {
                let is_blob = rest[..end].ends_with(format!(" blob {}", entry.size).as_bytes());
                rest.get(end + 1..end + 1 + entry.size).filter(|_| is_blob).map(|content| (end, content))
            });
            let Some((end, content)) = content else {
                return Err(self.damaged(format!("the content of {} is missing", entry.path)));
            };
            rest = rest.get(end + 1 + entry.size + 1..).unwrap_or_default();
            files.push((entry.path, content.to_vec()));
        }
        Ok(files)
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
    fn damaged(&self, cause: String) -> MirrorError {
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

    fn too_large(&self, what: &str, limit: usize, unit: &str) -> MirrorError {
        let limit = format!("{limit}{unit}");
        MirrorError::TooLarge { repository: self.name.to_string(), what: what.to_owned(), limit }
    }

    pub(super) fn known<'a>(&self, sha: &'a str) -> Result<&'a str, MirrorError> {
        if is_commit(sha) { Ok(sha) } else { Err(self.lacks_commit("such commit")) }
    }
}

/// A plain file of a tree.
struct Entry {
    object: String,
    size: usize,
    path: String,
}

impl Entry {
    /// Of `<mode> blob <object> <size>\t<path>`; nothing of a link, a folder, or a submodule. Of a file whose content
    /// can't be read, git does not know the size: its path is the error.
    fn of(line: &str) -> Option<Result<Entry, String>> {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split_whitespace();
        let (mode, kind, object, size) = (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
        if kind != "blob" || !mode.starts_with("100") {
            return None;
        }
        let path = path.to_owned();
        let Ok(size) = size.parse() else { return Some(Err(path)) };
        Some(Ok(Entry { object: object.to_owned(), size, path }))
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
