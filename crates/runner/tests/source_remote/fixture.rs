//! Remotes in a folder, and what is checked out of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use runner::source::RemoteRepositories;
use runner::{CheckoutRequest, SourceProvider};
use tokio::io::AsyncReadExt;

/// Remotes under `remotes/<owner>/<repo>`, and the data folder of whoever checks them out.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let settings = ["user.name=T", "user.email=t@example.com", "init.defaultBranch=main"];
    let output = Command::new("git")
        .current_dir(dir)
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .args(args)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

impl Fixture {
    /// `acme/data`: two commits on `main`, the tag `v1` at the first, the branch `größe/x` beside them.
    pub(crate) fn new() -> Self {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        let work = fixture.folder.path().join("work");
        fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        let commit = |text: &str| {
            fs::write(work.join("data.txt"), text).unwrap();
            git(&work, &["add", "-A"]);
            git(&work, &["commit", "-q", "-m", text]);
        };
        fs::create_dir(work.join("docs")).unwrap();
        fs::write(work.join("docs/guide"), "guide").unwrap();
        commit("first");
        git(&work, &["tag", "-a", "-m", "one", "v1"]);
        git(&work, &["checkout", "-q", "-b", "größe/x"]);
        commit("side");
        git(&work, &["checkout", "-q", "main"]);
        commit("second");
        let bare = fixture.remote().display().to_string();
        git(&work, &["clone", "-q", "--bare", ".", &bare]);
        fixture
    }

    /// Adds the folder `lib` to `main`: `acme/data` at `v1`, from this URL.
    pub(crate) fn add_submodule(&self, url: &str) {
        let work = self.folder.path().join("work");
        let entry = format!("160000,{},lib", self.commit("v1"));
        git(&work, &["update-index", "--add", "--cacheinfo", &entry]);
        fs::write(work.join(".gitmodules"), format!("[submodule \"lib\"]\n\tpath = lib\n\turl = {url}\n"))
            .unwrap();
        git(&work, &["add", ".gitmodules"]);
        git(&work, &["commit", "-q", "-m", "submodule"]);
        git(&work, &["push", "-q", &self.remote().display().to_string(), "main"]);
    }

    pub(crate) fn remote(&self) -> PathBuf {
        self.folder.path().join("remotes/acme/data")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("checkouts")
    }

    pub(crate) fn commit(&self, name: &str) -> String {
        git(&self.remote(), &["rev-parse", &format!("{name}^{{commit}}")])
    }

    pub(crate) fn source(&self) -> RemoteRepositories {
        self.source_with("{owner}/{repo}", false)
    }

    pub(crate) fn source_with(&self, path: &str, offline: bool) -> RemoteRepositories {
        let mirror = format!("file://{}/remotes/{path}", self.folder.path().display());
        RemoteRepositories::open(self.data(), vec![mirror.parse().unwrap()], offline).unwrap()
    }

    pub(crate) async fn check_out(&self, request: CheckoutRequest) -> Result<PathBuf, String> {
        self.check_out_from(&self.source(), request).await
    }

    pub(crate) async fn check_out_from(
        &self,
        source: &dyn SourceProvider,
        request: CheckoutRequest,
    ) -> Result<PathBuf, String> {
        let archive = source.archive(&request).await.map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let mut archive = archive.expect("another repository is for it");
        archive.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
        let workspace = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        tar::Archive::new(bytes.as_slice()).unpack(&workspace).unwrap();
        Ok(workspace)
    }
}

pub(crate) fn request() -> CheckoutRequest {
    CheckoutRequest {
        repository: "acme/data".to_owned(),
        fetch_depth: 1,
        cone_mode: true,
        ..CheckoutRequest::default()
    }
}

pub(crate) fn at(reference: &str) -> CheckoutRequest {
    CheckoutRequest { reference: reference.to_owned(), ..request() }
}

pub(crate) fn data(workspace: &Path) -> String {
    fs::read_to_string(workspace.join("data.txt")).unwrap()
}

/// Everything in the `.git` that is text, to look for what must not be there.
pub(crate) fn git_texts(workspace: &Path) -> String {
    let mut text = String::new();
    for name in ["config", "HEAD", "packed-refs", "shallow"] {
        text += &fs::read_to_string(workspace.join(".git").join(name)).unwrap_or_default();
    }
    text
}
