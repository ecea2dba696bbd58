//! The `.git` that a job gets: made anew, with the objects and names that the request asks for.
//!
//! It has the shape of what `actions/checkout` leaves: `origin` with its branches, the branch checked
//! out and tracking, and for a limited depth a `shallow` file.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::git::Git;
use crate::{CheckoutRequest, scratch};

use super::contents::{Contents, LFS_FILTER};
use super::repository::{Head, Repository};
use super::{PackError, sparse};

/// Settings under which an index is written that any git can read and that lies in one file.
const INDEX_SETTINGS: [&str; 5] = [
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "feature.manyFiles=false",
    "index.sparse=false",
    "core.sparseCheckout=false",
];

/// A `.git` in a temporary folder, and beside it, if asked for, the files of its commit.
#[derive(Debug)]
pub(super) struct History {
    folder: Box<dyn Folder>,
}

/// A folder that goes away with its owner.
pub(super) trait Folder: AsRef<Path> + fmt::Debug + Send + Sync {}

impl<T: AsRef<Path> + fmt::Debug + Send + Sync> Folder for T {}

impl History {
    pub(super) fn git_dir(&self) -> PathBuf {
        (*self.folder).as_ref().join(".git")
    }

    /// The committed files.
    pub(super) fn work_tree(&self) -> PathBuf {
        (*self.folder).as_ref().join("files")
    }

    /// Where short-lived files of the same filesystem may lie.
    pub(super) fn scratch(&self) -> &Path {
        (*self.folder).as_ref()
    }

    /// Makes it in `folder`. `is_current`: the commit is what the host has checked out, so its files are
    /// not needed. Of a partial clone, the objects are taken, not copied.
    pub(super) async fn make(
        repository: &Repository,
        head: &Head,
        request: &CheckoutRequest,
        is_current: bool,
        contents: &Contents<'_>,
        folder: impl Folder + 'static,
    ) -> Result<Self, PackError> {
        let history = History { folder: Box::new(folder) };
        let maker = Maker { git_dir: history.git_dir(), repository, head, request };
        maker.skeleton().map_err(PackError::io("write", &history.git_dir()))?;
        let Some(commit) = head.commit.as_deref() else { return Ok(history) };
        let refs = maker.refs(commit).await?;
        match repository.filter {
            Some(_) => maker.take_objects()?,
            None => drop(tokio::try_join!(maker.objects(commit, &refs), maker.index(commit))?),
        }
        maker.write_refs(&refs).map_err(PackError::io("write", &history.git_dir()))?;
        if !request.sparse_checkout.is_empty() {
            sparse::write(&history.git_dir(), request)?;
        }
        if !is_current || !request.sparse_checkout.is_empty() {
            let files = history.work_tree();
            fs::create_dir_all(&files).map_err(PackError::io("make", &files))?;
            history.read_tree(commit, request, contents).await?;
        }
        if request.lfs {
            maker.set_up_lfs().map_err(PackError::io("write", &history.git_dir()))?;
        }
        Ok(history)
    }

    /// Checks the commit out: index and files, under the rules of a sparse checkout. Git applies those
    /// only while it writes files, so it writes them also where only the index is needed.
    async fn read_tree(
        &self,
        commit: &str,
        request: &CheckoutRequest,
        contents: &Contents<'_>,
    ) -> Result<(), PackError> {
        let index = self.git_dir().join("index");
        match fs::remove_file(&index) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(PackError::io("remove", &index)(error));
            }
            _ => {}
        }
        let git = contents.supply(self.plain_git("read-tree"), request.lfs).await?;
        git.args(["-m", "-u", commit]).output().await?;
        Ok(())
    }

    /// A git command on this repository and its files. As on GitHub's runners, the user's own settings
    /// decide nothing: attributes in the tree can't start their filters.
    pub(super) fn git(&self, subcommand: &str) -> Git {
        self.plain_git(subcommand)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
    }

    fn plain_git(&self, subcommand: &str) -> Git {
        Git::with_settings(subcommand, &INDEX_SETTINGS[..4])
            .dir(&self.work_tree())
            .env("GIT_DIR", self.git_dir())
            .env("GIT_WORK_TREE", self.work_tree())
    }
}

/// What is needed while a [`History`] is being made.
struct Maker<'a> {
    git_dir: PathBuf,
    repository: &'a Repository,
    head: &'a Head,
    request: &'a CheckoutRequest,
}

/// Full name and object of each branch and tag.
type Refs = Vec<(String, String)>;

impl Maker<'_> {
    fn is_whole(&self) -> bool {
        self.request.fetch_depth == 0
    }

    /// Everything but objects, index, and names.
    fn skeleton(&self) -> std::io::Result<()> {
        for folder in ["objects/pack", "objects/info", "refs/heads", "refs/tags", "info", "hooks"] {
            fs::create_dir_all(self.git_dir.join(folder))?;
        }
        let head = match (&self.head.branch, &self.head.commit) {
            (Some(branch), _) => format!("ref: refs/heads/{branch}"),
            (None, Some(commit)) => commit.clone(),
            (None, None) => "ref: refs/heads/main".to_owned(),
        };
        fs::write(self.git_dir.join("HEAD"), head + "\n")?;
        fs::write(self.git_dir.join("config"), self.settings())?;
        Ok(())
    }

    fn settings(&self) -> String {
        let is_sha256 = self.repository.object_format == "sha256";
        let filter = self.repository.filter.as_deref();
        let mut text = format!(
            "[core]\n\trepositoryformatversion = {}\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n",
            u8::from(is_sha256 || filter.is_some())
        );
        if !self.request.sparse_checkout.is_empty() {
            let cone = self.request.cone_mode;
            text += &format!("\tsparseCheckout = true\n\tsparseCheckoutCone = {cone}\n");
        }
        if is_sha256 {
            text += "[extensions]\n\tobjectFormat = sha256\n";
        }
        if filter.is_some() {
            text += "[extensions]\n\tpartialClone = origin\n";
        }
        if let Some(url) = &self.repository.origin {
            let url = quoted(url);
            text += &format!(
                "[remote \"origin\"]\n\turl = {url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
            );
            if let Some(filter) = filter {
                text += &format!("\tpromisor = true\n\tpartialclonefilter = {}\n", quoted(filter));
            }
            if let Some(branch) = &self.head.branch {
                let (section, merge) = (quoted(branch), quoted(&format!("refs/heads/{branch}")));
                text += &format!("[branch {section}]\n\tremote = origin\n\tmerge = {merge}\n");
            }
        }
        text + "[gc]\n\tauto = 0\n"
    }

    /// Later steps go on with LFS as after a checkout of `actions/checkout`. What LFS wrote down about the server,
    /// and its logs, are not for them.
    fn set_up_lfs(&self) -> std::io::Result<()> {
        let filter: String = LFS_FILTER.iter().map(|(key, value)| format!("\t{key} = {value}\n")).collect();
        fs::write(self.git_dir.join("config"), format!("{}[filter \"lfs\"]\n{filter}", self.settings()))?;
        for folder in ["lfs/logs", "lfs/tmp", "lfs/cache", "lfs/incomplete"] {
            scratch::remove_tree(&self.git_dir.join(folder))?;
        }
        Ok(())
    }

    /// The names that the job sees: with the whole history all branches and tags, else its own.
    async fn refs(&self, commit: &str) -> Result<Refs, PackError> {
        let mut refs = Vec::new();
        if let Some(branch) = &self.head.branch {
            refs.push((format!("refs/heads/{branch}"), commit.to_owned()));
            refs.push((format!("refs/remotes/origin/{branch}"), commit.to_owned()));
        }
        let mut patterns: Vec<String> = Vec::new();
        if self.is_whole() {
            patterns.extend(["refs/heads", "refs/remotes/origin", "refs/tags"].map(str::to_owned));
        } else if self.request.fetch_tags {
            patterns.push("refs/tags".to_owned());
        } else if let Some(tag) = &self.head.tag {
            patterns.push(format!("refs/tags/{tag}"));
        }
        if patterns.is_empty() {
            return Ok(refs);
        }
        let listing = Git::new("for-each-ref")
            .dir(&self.repository.root)
            .args(["--format=%(objectname) %(symref) %(refname)", "--"])
            .args(patterns)
            .text()
            .await?;
        for line in listing.lines() {
            let mut fields = line.splitn(3, ' ');
            let (Some(object), Some(""), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let name = match name.strip_prefix("refs/heads/") {
                Some(branch) => format!("refs/remotes/origin/{branch}"),
                None => name.to_owned(),
            };
            if !refs.iter().any(|(known, _)| *known == name) {
                refs.push((name, object.to_owned()));
            }
        }
        Ok(refs)
    }

    fn write_refs(&self, refs: &Refs) -> std::io::Result<()> {
        let mut refs: Vec<_> = refs.iter().collect();
        refs.sort();
        let lines: String = refs.iter().map(|(name, object)| format!("{object} {name}\n")).collect();
        fs::write(self.git_dir.join("packed-refs"), format!("# pack-refs with: sorted \n{lines}"))
    }

    async fn objects(&self, commit: &str, refs: &Refs) -> Result<(), PackError> {
        match self.request.fetch_depth {
            0 => self.pack(&format!("{commit}\n"), refs, None).await,
            1 if !self.request.fetch_tags => {
                self.pack(&format!("--shallow {commit}\n{commit}\n"), refs, Some(commit)).await
            }
            depth => self.fetch(commit, refs, depth).await,
        }
    }

    /// All that a partial clone has is meant for the job.
    fn take_objects(&self) -> Result<(), PackError> {
        let (from, to) = (self.repository.objects(), self.git_dir.join("objects"));
        fs::remove_dir_all(&to).map_err(PackError::io("remove", &to))?;
        fs::rename(&from, &to).map_err(PackError::io("move", &from))?;
        self.write_shallow(None).map_err(PackError::io("write", &self.git_dir))
    }

    /// Packs straight from the host's objects: what is packed there already is copied as it is. Nothing is written
    /// there: git makes a pack in its own folder of objects and then renames it, which leads to no other filesystem.
    async fn pack(
        &self,
        wanted: &str,
        refs: &[(String, String)],
        cut: Option<&str>,
    ) -> Result<(), PackError> {
        let mut input = wanted.to_owned();
        for (_name, object) in refs {
            input += &format!("{object}\n");
        }
        Git::new("pack-objects")
            .dir(&self.repository.root)
            .env("GIT_OBJECT_DIRECTORY", self.git_dir.join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted_path(&self.repository.objects()))
            .args(["--quiet", "--revs", "--shallow", "--window=0", "--threads=1", "--delta-base-offset"])
            .arg(self.git_dir.join("objects/pack/pack"))
            .input(input)
            .output()
            .await?;
        self.write_shallow(cut).map_err(PackError::io("write", &self.git_dir))
    }

    /// Names the commits whose parents are not here: the one that was cut, or those that the host lacks.
    fn write_shallow(&self, cut: Option<&str>) -> std::io::Result<()> {
        let target = self.git_dir.join("shallow");
        match cut {
            Some(commit) => fs::write(target, format!("{commit}\n")),
            None if self.repository.shallow_file.exists() => {
                fs::copy(&self.repository.shallow_file, target).map(|_bytes| ())
            }
            None => Ok(()),
        }
    }

    /// For other depths git itself finds out where to cut.
    async fn fetch(&self, commit: &str, refs: &Refs, depth: u32) -> Result<(), PackError> {
        let mut what = vec![commit.to_owned()];
        if self.request.fetch_tags {
            what.push("+refs/tags/*:refs/tags/*".to_owned());
        } else {
            // An annotated tag is an object of its own.
            what.extend(refs.iter().map(|(_name, object)| object.clone()).filter(|object| object != commit));
        }
        Git::with_settings("fetch", &["protocol.version=2"])
            .dir(&self.git_dir)
            .env("GIT_DIR", &self.git_dir)
            .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"])
            .arg(format!("--depth={depth}"))
            .arg("--upload-pack=git -c safe.directory='*' upload-pack")
            .arg("--")
            .arg(&self.repository.root)
            .args(what)
            .output()
            .await?;
        Ok(())
    }

    /// The index as after a checkout, but for the file times, which git looks up by itself.
    async fn index(&self, commit: &str) -> Result<(), PackError> {
        Git::with_settings("read-tree", &INDEX_SETTINGS)
            .dir(&self.repository.root)
            .env("GIT_INDEX_FILE", OsString::from(self.git_dir.join("index")))
            .arg(commit)
            .output()
            .await?;
        Ok(())
    }
}

/// A value or a subsection as git's settings file takes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A path in a list of paths with colons between them, which it may hold itself.
fn quoted_path(path: &Path) -> OsString {
    let mut quoted = b"\"".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}
