//! Reading a mirror's commits and files, all by one process of git.
//!
//! `git cat-file --batch` is asked name by name: of each it says kind and size and then the content, or that there is
//! none. <https://git-scm.com/docs/git-cat-file#_batch_output>

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use super::command::{NoAnswer, Running};
use super::error::MirrorError;
use super::failure::{Failure, cause};
use super::mirror::{Mirror, QUESTION_TIMEOUT, failed};
use crate::commit::{CommitSpec, is_commit, is_ref_name};

/// Bytes of a commit: nobody writes a longer message.
const MAX_COMMIT: usize = 1024 * 1024;

/// Bytes of a folder's list of files: some hundred thousand of them.
const MAX_TREE: usize = 16 * 1024 * 1024;

/// Bytes of the line before a content: a name, a kind, and a size.
const MAX_HEADER: u64 = 8 * 1024;

/// Files that are read of one folder; GitHub's own folders of workflows have at most some hundred.
const MAX_FILES: usize = 1000;

/// Bytes of one file: more than any workflow, whose jobs are bounded.
const MAX_FILE: usize = 1024 * 1024;

/// Bytes of all files of a folder together.
const MAX_FOLDER: usize = 16 * 1024 * 1024;

/// Questions about objects of a mirror. Git is started by the first one, and ends when this is dropped, or when it
/// had to say that something is not there; the next question starts another.
pub struct Objects<'a> {
    mirror: &'a Mirror,
    git: Option<Conversation>,
}

/// A git that answers.
struct Conversation {
    running: Running,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What git has under a name.
struct Object {
    id: String,
    kind: String,
    content: Vec<u8>,
}

/// An entry of a folder.
struct Entry {
    mode: String,
    name: Vec<u8>,
    id: String,
}

impl<'a> Objects<'a> {
    pub(super) fn new(mirror: &'a Mirror) -> Objects<'a> {
        Objects { mirror, git: None }
    }

    /// The sha of a commit.
    pub async fn resolve(&mut self, commit: &CommitSpec) -> Result<String, MirrorError> {
        match commit {
            CommitSpec::Sha(sha) if is_commit(sha) => self.named(sha, || format!("commit {sha}")).await,
            CommitSpec::Sha(_) => Err(self.mirror.lacks_commit("such commit")),
            CommitSpec::Branch(name) => {
                self.of_ref(&format!("refs/heads/{name}"), || format!("branch {name}")).await
            }
            CommitSpec::Tag(name) => {
                self.of_ref(&format!("refs/tags/{name}"), || format!("tag {name}")).await
            }
            CommitSpec::Merge { pull, head, .. } => self.mirror.merge(*pull, head).await,
        }
    }

    /// Whether a commit is here.
    pub(super) async fn has(&mut self, sha: &str) -> Result<bool, MirrorError> {
        Ok(is_commit(sha) && self.commit(sha).await?.is_some())
    }

    /// The files right in a folder (`.github/workflows`) of a commit, by path, in their order. Links are left out:
    /// nothing says that what they lead to is there. A folder that is not there has no files.
    pub async fn files(&mut self, sha: &str, folder: &str) -> Result<Vec<(String, Vec<u8>)>, MirrorError> {
        let folder = folder.trim_matches('/');
        let Some(entries) = self.folder(sha, folder).await? else { return Ok(Vec::new()) };
        let entries: Vec<Entry> = entries.into_iter().filter(Entry::is_file).collect();
        if entries.len() > MAX_FILES {
            let what = format!("the number of files in {folder}/");
            return Err(self.mirror.too_large(&what, MAX_FILES, ""));
        }
        let (mut files, mut left) = (Vec::new(), MAX_FOLDER);
        for entry in entries {
            let path = format!("{folder}/{}", String::from_utf8_lossy(&entry.name));
            let content = self.content(&entry, &path).await?;
            left = left
                .checked_sub(content.len())
                .ok_or_else(|| self.mirror.too_large(&format!("{folder}/"), MAX_FOLDER, " bytes"))?;
            files.push((path, content));
        }
        Ok(files)
    }

    /// One file of a commit; `None` where there is none, or a link or a folder instead.
    pub async fn file(&mut self, sha: &str, path: &str) -> Result<Option<Vec<u8>>, MirrorError> {
        let path = path.trim_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(entries) = self.folder(sha, folder).await? else { return Ok(None) };
        let entry = entries.into_iter().find(|entry| entry.name == name.as_bytes() && entry.is_file());
        match entry {
            Some(entry) => self.content(&entry, path).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is in a folder of a commit; the root's path is empty.
    async fn folder(&mut self, sha: &str, path: &str) -> Result<Option<Vec<Entry>>, MirrorError> {
        let sha = self.mirror.known(sha)?;
        let commit = self.commit(sha).await?;
        let commit = commit.ok_or_else(|| self.mirror.lacks_commit(&format!("commit {sha}")))?;
        let tree =
            commit.content.split(|byte| *byte == b'\n').next().and_then(|line| line.strip_prefix(b"tree "));
        let tree = String::from_utf8_lossy(tree.unwrap_or_default()).into_owned();
        let mut entries = self.tree(&tree, "/").await?;
        let parts = (!path.is_empty()).then(|| path.split('/'));
        for part in parts.into_iter().flatten() {
            let is_it = |entry: &Entry| entry.name == part.as_bytes() && entry.is_folder();
            let Some(entry) = entries.into_iter().find(is_it) else { return Ok(None) };
            entries = self.tree(&entry.id, part).await?;
        }
        Ok(Some(entries))
    }

    async fn tree(&mut self, id: &str, name: &str) -> Result<Vec<Entry>, MirrorError> {
        let missing = || format!("the list of files in {name} is missing");
        let Some(tree) = self.ask(id, MAX_TREE, name).await? else {
            return Err(self.mirror.damaged(missing()));
        };
        entries(&tree.content, id.len() / 2).ok_or_else(|| self.mirror.damaged(missing()))
    }

    async fn content(&mut self, entry: &Entry, path: &str) -> Result<Vec<u8>, MirrorError> {
        match self.ask(&entry.id, MAX_FILE, path).await? {
            Some(object) if object.kind == "blob" => Ok(object.content),
            _ => Err(self.mirror.damaged(format!("the content of {path} is missing"))),
        }
    }

    async fn of_ref(&mut self, reference: &str, what: impl Fn() -> String) -> Result<String, MirrorError> {
        if !is_ref_name(reference) {
            return Err(self.mirror.lacks_commit(&what()));
        }
        self.named(reference, what).await
    }

    async fn named(&mut self, name: &str, what: impl Fn() -> String) -> Result<String, MirrorError> {
        let found = self.commit(name).await?;
        found.map(|commit| commit.id).ok_or_else(|| self.mirror.lacks_commit(&what()))
    }

    /// The commit that a checked name leads to.
    async fn commit(&mut self, name: &str) -> Result<Option<Object>, MirrorError> {
        self.ask(&format!("{name}^{{commit}}"), MAX_COMMIT, name).await
    }

    /// What git has under a name without spaces, of at most `limit` bytes. `what` is how people know it.
    async fn ask(&mut self, name: &str, limit: usize, what: &str) -> Result<Option<Object>, MirrorError> {
        let asked = self.asked(name, limit, what);
        match tokio::time::timeout(QUESTION_TIMEOUT, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(self.mirror.no_answer("read", QUESTION_TIMEOUT, NoAnswer::TimedOut)),
        }
    }

    async fn asked(&mut self, name: &str, limit: usize, what: &str) -> Result<Option<Object>, MirrorError> {
        // Taken, so that what breaks off in the middle is never asked again.
        let mut git = match self.git.take() {
            Some(git) => git,
            None => self.begin()?,
        };
        let Ok(Some(header)) = git.header(name).await else {
            return Err(self.failed(&git.end().await));
        };
        let mut words = header.split(' ');
        let (Some(id), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else {
            return self.no(&git.end().await).map(|()| None);
        };
        let size: usize = size.parse().unwrap_or(usize::MAX);
        if size > limit {
            return Err(self.mirror.too_large(what, limit, " bytes"));
        }
        let Ok(content) = git.content(size).await else { return Err(self.failed(&git.end().await)) };
        self.git = Some(git);
        Ok(Some(Object { id: id.to_owned(), kind: kind.to_owned(), content }))
    }

    fn begin(&self) -> Result<Conversation, MirrorError> {
        let git = self.mirror.git(QUESTION_TIMEOUT, 0);
        let running = git.start(&["cat-file", "--batch"]);
        let started = running.and_then(|mut running| {
            let (stdin, stdout) = running.pipes()?;
            Ok(Conversation { running, stdin, stdout: BufReader::new(stdout) })
        });
        started.map_err(|none| self.mirror.no_answer("read", QUESTION_TIMEOUT, none))
    }

    /// There is nothing under a name: whether that is a plain no, or what git says is damage.
    fn no(&self, said: &str) -> Result<(), MirrorError> {
        match Failure::of(said) {
            Failure::Damaged => Err(self.mirror.damaged(cause(said))),
            _ => Ok(()),
        }
    }

    fn failed(&self, said: &str) -> MirrorError {
        match Failure::of(said) {
            Failure::Damaged => self.mirror.damaged(cause(said)),
            failure => failed(self.mirror.name(), "read", failure, cause(said)),
        }
    }
}

impl Conversation {
    /// The line before the content of `name`; `None` when git has ended.
    async fn header(&mut self, name: &str) -> std::io::Result<Option<String>> {
        self.stdin.write_all(format!("{name}\n").as_bytes()).await?;
        let mut line = Vec::new();
        (&mut self.stdout).take(MAX_HEADER).read_until(b'\n', &mut line).await?;
        let line = line.strip_suffix(b"\n").map(|line| String::from_utf8_lossy(line).into_owned());
        Ok(line)
    }

    async fn content(&mut self, size: usize) -> std::io::Result<Vec<u8>> {
        let mut content = vec![0; size + 1];
        self.stdout.read_exact(&mut content).await?;
        // The line's end behind it.
        content.truncate(size);
        Ok(content)
    }

    /// Asks nothing more. What git has said of errors.
    async fn end(self) -> String {
        drop((self.stdin, self.stdout));
        self.running.last_words().await
    }
}

impl Entry {
    /// A plain file: neither a link, nor a folder, nor a submodule.
    fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }

    fn is_folder(&self) -> bool {
        self.mode == "40000"
    }
}

/// A tree of git: of each entry mode, space, name, zero byte, and the id in `id_bytes` bytes.
/// `None` if it is none. <https://git-scm.com/book/en/v2/Git-Internals-Git-Objects#_tree_objects>
fn entries(mut tree: &[u8], id_bytes: usize) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !tree.is_empty() {
        let space = tree.iter().position(|byte| *byte == b' ')?;
        let zero = space + tree[space..].iter().position(|byte| *byte == 0)?;
        let id = tree.get(zero + 1..zero + 1 + id_bytes)?;
        entries.push(Entry {
            mode: String::from_utf8_lossy(&tree[..space]).into_owned(),
            name: tree[space + 1..zero].to_vec(),
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
        tree = &tree[zero + 1 + id_bytes..];
    }
    Some(entries)
}
