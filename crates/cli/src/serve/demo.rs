//! `hearth serve --demo`: a server with a repository of its own, for whoever wants to see what it is like.
//!
//! Everything lies in a temporary folder that goes when the server ends: a real bare repository with real workflows,
//! whose pushes are taken in as webhooks are, and run in real machines. Nothing is asked of GitHub, and nothing told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use model::Timestamp;
use serde_json::json;
use store::Store;
use store::record::NewDelivery;
use tempfile::TempDir;

use super::first_token::FIRST_TOKEN;
use super::settings::Settings;
use crate::config::Config;

/// The repository.
const OWNER: &str = "hearth";
const NAME: &str = "demo";

/// Nobody sends webhooks to a demo over HTTP; each has a secret of its own all the same.
const SECRET_BYTES: usize = 32;

/// Paths and contents of files.
type Files = &'static [(&'static str, &'static str)];

/// The branches, each with its message and the files that it brings. Each is pushed once.
const BRANCHES: [(&str, &str, Files); 3] = [
    (
        "main",
        "Count the words of a fairy tale",
        &[
            (".github/workflows/ci.yml", include_str!("demo/ci.yml")),
            (".github/workflows/fire.yml", include_str!("demo/fire.yml")),
            ("count.sh", include_str!("demo/count.sh")),
            ("tale.txt", include_str!("demo/tale.txt")),
        ],
    ),
    ("spell-it-wrong", "Expect a wolf where there is none", &[("expected.txt", "wolf\n")]),
    ("longer-tale", "Tell what happened next", &[("tale.txt", include_str!("demo/longer.txt"))]),
];

/// The repository, and the folder of everything.
pub(super) struct Demo {
    folder: TempDir,
    webhook_secret: String,
    pushes: Vec<Push>,
}

/// A branch that was pushed.
struct Push {
    branch: &'static str,
    message: &'static str,
    sha: String,
}

impl Demo {
    /// Makes the repository. Blocks.
    pub(super) fn make() -> Result<Demo> {
        let folder = tempfile::Builder::new().prefix("hearth-demo-").tempdir()?;
        let mut secret = [0; SECRET_BYTES];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
        let webhook_secret = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut demo = Demo { folder, webhook_secret, pushes: Vec::new() };
        let (work, bare) = (demo.folder.path().join("work"), demo.bare());
        std::fs::create_dir_all(&work)?;
        std::fs::create_dir_all(&bare)?;
        git(&bare, &["init", "--quiet", "--bare", "--initial-branch", "main"])?;
        git(&work, &["init", "--quiet", "--initial-branch", "main"])?;
        for (branch, message, files) in BRANCHES {
            if branch != "main" {
                git(&work, &["checkout", "--quiet", "-b", branch, "main"])?;
            }
            for (path, text) in files {
                let path = work.join(path);
                path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::write(path, text)?;
            }
            git(&work, &["add", "--all"])?;
            git(&work, &["commit", "--quiet", "-m", message])?;
            git(&work, &["push", "--quiet", "../git/hearth/demo.git", branch])?;
            let sha = git(&work, &["rev-parse", "HEAD"])?;
            demo.pushes.push(Push { branch, message, sha });
        }
        Ok(demo)
    }

    fn bare(&self) -> PathBuf {
        self.folder.path().join("git").join(OWNER).join(format!("{NAME}.git"))
    }

    /// The data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The usual configuration, with repositories cloned from here.
    pub(super) fn config(&self) -> Config {
        let git = self.folder.path().join("git");
        let mut config = Config::default();
        config.serve.github.clone_from = Some(format!("file://{}/{{owner}}/{{repo}}.git", git.display()));
        config
    }

    /// Nothing of the environment: a demo has no token, and tells nobody.
    pub(super) fn settings(&self, config: &Config, listen: Option<SocketAddr>) -> Result<Settings> {
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        if !listen.ip().is_loopback() {
            bail!("a demo is for you alone, and {listen} can be reached from elsewhere; listen on 127.0.0.1");
        }
        let secret = |name: &str| (name == "GITHUB_WEBHOOK_SECRET").then(|| self.webhook_secret.clone());
        Settings::new(config, Some(listen), secret)
    }

    /// The administrator's token.
    pub(super) fn token(&self) -> Result<String> {
        let path = self.data().join(FIRST_TOKEN);
        let token = std::fs::read_to_string(&path);
        Ok(token.with_context(|| format!("can't read {}", path.display()))?.trim().to_owned())
    }

    /// What GitHub would tell of the pushes, taken in as it would be.
    pub(super) async fn push(&self, store: &Arc<dyn Store>) -> Result<()> {
        for push in &self.pushes {
            let commit = json!({
                "id": push.sha, "message": push.message,
                "author": {"name": "Mona", "email": "mona@example.com", "username": "mona"},
            });
            let payload = json!({
                "ref": format!("refs/heads/{}", push.branch), "before": "0".repeat(40), "after": push.sha,
                "created": true, "deleted": false, "forced": false,
                "repository": {
                    "id": 1, "name": NAME, "full_name": format!("{OWNER}/{NAME}"), "private": false, "fork": false,
                    "default_branch": "main", "owner": {"login": OWNER, "id": 1},
                },
                "pusher": {"name": "mona"}, "sender": {"login": "mona", "id": 2},
                "head_commit": commit, "commits": [commit],
            });
            let delivery = NewDelivery {
                guid: format!("demo-{}", push.branch),
                event: "push".to_owned(),
                action: None,
                repository: Some(format!("{OWNER}/{NAME}")),
                payload: payload.to_string().into_bytes(),
                received_at: Timestamp::now(),
            };
            store.receive(delivery).await?;
        }
        Ok(())
    }
}

fn git(folder: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=Mona", "-c", "user.email=mona@example.com", "-c", "commit.gpgsign=false"])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .context("can't run git, which a server needs")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git {} for the demo's repository: {}", words.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
