//! A repository to fetch from: a bare one, with a work tree beside it to commit in.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Origin {
    folder: tempfile::TempDir,
}

impl Origin {
    /// `octo/hello`, with one commit on `main`.
    pub(crate) fn new() -> Origin {
        Origin::of("sha1")
    }

    /// The same, with objects that are named by this hash.
    pub(crate) fn of(format: &str) -> Origin {
        let origin = Origin { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(origin.bare().parent().unwrap()).unwrap();
        let bare = origin.bare();
        let format = format!("--object-format={format}");
        run(origin.folder.path(), &["init", "-q", "--bare", &format, "-b", "main", bare.to_str().unwrap()]);
        for (key, value) in [("uploadpack.allowAnySHA1InWant", "true"), ("http.receivepack", "false")] {
            run(&bare, &["config", key, value]);
        }
        run(origin.folder.path(), &["clone", "-q", bare.to_str().unwrap(), "work"]);
        origin.git(&["checkout", "-q", "-b", "main"]);
        origin.commit("first", "first");
        origin.push("main");
        origin
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("served")
    }

    pub(crate) fn bare(&self) -> PathBuf {
        self.root().join("octo/hello.git")
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.bare().display())
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        run(&self.work(), args)
    }

    /// Commits one file; its sha.
    pub(crate) fn commit(&self, file: &str, content: &str) -> String {
        let path = self.work().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.commit_all(file)
    }

    pub(crate) fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn push(&self, what: &str) {
        self.git(&["push", "-q", "-f", "origin", what]);
    }

    /// What GitHub makes for pull request 7: a head, and where it can be merged into main, a merge.
    pub(crate) fn pull(&self, branch: &str) -> (String, Option<String>) {
        let head = self.git(&["rev-parse", branch]);
        self.git(&["checkout", "-q", "--detach", "main"]);
        self.push(&format!("{head}:refs/pull/7/head"));
        let merged = try_run(&self.work(), &["merge", "-q", "--no-ff", "-m", "merge", branch]).is_ok();
        let merge = merged.then(|| {
            let merge = self.git(&["rev-parse", "HEAD"]);
            self.push(&format!("{merge}:refs/pull/7/merge"));
            merge
        });
        if !merged {
            self.git(&["merge", "--abort"]);
            self.git(&["push", "-q", "origin", ":refs/pull/7/merge"]);
        }
        self.git(&["checkout", "-q", "main"]);
        (head, merge)
    }
}

pub(crate) fn run(folder: &Path, args: &[&str]) -> String {
    try_run(folder, args).unwrap_or_else(|error| panic!("git {args:?}: {error}"))
}

fn try_run(folder: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0"])
        .args(["-c", "push.default=nothing", "-C"])
        .arg(folder)
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
