//! A repository as a forge has it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::git::GitServer;

/// A bare repository that is served over HTTP, and a folder to work on it.
pub struct Repository {
    folder: TempDir,
    git: GitServer,
}

impl Repository {
    /// `octo/hello`, with this workflow on its main branch.
    pub fn new(workflow: &str) -> Repository {
        Repository::served(workflow, false)
    }

    /// The same, for which git asks who reads it.
    pub fn private(workflow: &str) -> Repository {
        Repository::served(workflow, true)
    }

    fn served(workflow: &str, is_private: bool) -> Repository {
        let folder = tempfile::tempdir().expect("a folder");
        let git_server = GitServer::start(folder.path().join("git"), is_private);
        let repository = Repository { folder, git: git_server };
        std::fs::create_dir_all(repository.work().join(".github/workflows")).expect("made");
        std::fs::create_dir_all(repository.folder.path().join("git/octo")).expect("made");
        git(&repository.work(), &["init", "-q", "-b", "main"]);
        git(repository.folder.path(), &["init", "-q", "--bare", "-b", "main", "git/octo/hello.git"]);
        repository.commit(".github/workflows/ci.yml", workflow);
        repository
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Where `hearth serve` clones from.
    pub fn template(&self) -> String {
        format!("{}/{{owner}}/{{repo}}.git", self.git.url())
    }

    /// Commits a file and pushes it; the commit.
    pub fn commit(&self, path: &str, text: &str) -> String {
        std::fs::write(self.work().join(path), text).expect("written");
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "-m", "Change it"]);
        git(&self.work(), &["push", "-q", "../git/octo/hello.git", "HEAD:refs/heads/main"]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    /// The payload of a push of this commit to main.
    pub fn push(&self, sha: &str) -> Json {
        json!({
            "ref": "refs/heads/main", "before": "0".repeat(40), "after": sha,
            "created": false, "deleted": false, "forced": false,
            "repository": facts(),
            "sender": {"login": "mona", "id": 2},
            "head_commit": {"id": sha, "message": "Change it"},
            "commits": [{"id": sha, "message": "Change it"}],
        })
    }

    /// The payload of a push to `octo/silent-{number}`, of which nobody ever hears anything.
    pub fn push_to_silent(&self, number: u64, sha: &str) -> Json {
        let mut payload = self.push(sha);
        payload["repository"]["id"] = (100 + number).into();
        payload["repository"]["name"] = format!("silent-{number}").into();
        payload["repository"]["full_name"] = format!("octo/silent-{number}").into();
        payload
    }

    /// A pull request of somebody unknown from a fork, to a branch that is at this commit; its payload.
    pub fn pull(&self, base: &str) -> Json {
        let tree = format!("{base}^{{tree}}");
        let head = git(&self.work(), &["commit-tree", &tree, "-p", base, "-m", "Mend a hinge"]);
        let merge = git(&self.work(), &["commit-tree", &tree, "-p", base, "-p", &head, "-m", "Merge it"]);
        for (sha, name) in [(&head, "head"), (&merge, "merge")] {
            let reference = format!("{sha}:refs/pull/7/{name}");
            git(&self.work(), &["push", "-q", "../git/octo/hello.git", &reference]);
        }
        json!({
            "action": "opened", "number": 7, "repository": facts(), "sender": {"login": "eve", "id": 9},
            "pull_request": {
                "number": 7, "title": "Mend a hinge", "merged": false, "author_association": "NONE",
                "user": {"login": "eve", "id": 9},
                "head": {"ref": "patch", "sha": head, "repo": {"id": 5, "full_name": "eve/hello", "fork": true}},
                "base": {"ref": "main", "sha": base, "repo": facts()},
            },
        })
    }
}

fn facts() -> Json {
    json!({
        "id": 1, "name": "hello", "full_name": "octo/hello", "private": false, "fork": false,
        "default_branch": "main", "owner": {"login": "octo", "id": 3},
    })
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=mona", "-c", "user.email=mona@example.com"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
