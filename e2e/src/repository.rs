//! The repositories of a scenario, built in a folder of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::scenario::Scenario;

/// Where one scenario runs. Gone when dropped.
pub struct Place {
    root: TempDir,
}

impl Place {
    /// Copies the files of the scenario and commits them.
    ///
    /// # Errors
    /// When a file can't be copied or git fails.
    pub fn build(folder: &Path, scenario: &Scenario) -> Result<Place, String> {
        let root = tempfile::Builder::new().prefix("hearth-e2e-").tempdir();
        let place = Place { root: root.map_err(|error| format!("can't make a folder: {error}"))? };
        let repository = place.repository();
        copy(folder, &repository, &["expect.toml", "remotes", "workflow.yml"])?;
        let workflow = folder.join("workflow.yml");
        if workflow.exists() {
            copy_file(&workflow, &repository.join(".github/workflows/ci.yml"))?;
        }
        for (to, from) in &scenario.files {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
            copy_file(&from, &repository.join(to))
                .map_err(|error| format!("{error} (`cargo xtask setup` builds the clients)"))?;
        }
        commit(&repository)?;
        for owner in folders(&folder.join("remotes")) {
            for remote in folders(&owner) {
                let name = remote.strip_prefix(folder).map_err(|error| error.to_string())?;
                copy(&remote, &place.root().join(name), &[])?;
                commit(&place.root().join(name))?;
                git(&place.root().join(name), &["tag", "v1"])?;
            }
        }
        Ok(place)
    }

    /// The folder of everything.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The repository that runs; its name holds a space and a letter beyond ASCII, as users' folders do.
    pub fn repository(&self) -> PathBuf {
        self.root().join("größe 1")
    }

    /// Hearth's data.
    pub fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    /// Where artifacts land.
    pub fn artifacts(&self) -> PathBuf {
        self.root().join("artifacts")
    }

    /// What `--actions-mirror` is given.
    pub fn mirror(&self) -> String {
        format!("file://{}/remotes/{{owner}}/{{repo}}", self.root().display())
    }

    /// Lets this data folder use what virtual machines are made of in another: images, snapshots of fresh
    /// machines, and what was found out about this host. All else, as caches, is this scenario's own.
    ///
    /// # Errors
    /// When a link can't be made.
    pub fn borrow_machines(&self, lender: &Path) -> Result<(), String> {
        let borrow = || -> io::Result<()> {
            fs::create_dir_all(self.data())?;
            for name in ["images", "snapshots", "vms"] {
                fs::create_dir_all(lender.join(name))?;
            }
            for name in ["images", "snapshots", "vms", "qemu-canary.json"] {
                std::os::unix::fs::symlink(lender.join(name), self.data().join(name))?;
            }
            Ok(())
        };
        borrow().map_err(|error| format!("can't borrow the machines of {}: {error}", lender.display()))
    }

    /// Runs a bash script of the scenario in the repository.
    ///
    /// # Errors
    /// When it fails: what it printed.
    pub fn script(&self, which: &str, script: Option<&str>) -> Result<(), String> {
        let Some(script) = script else { return Ok(()) };
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(self.repository())
            .env("DATA", self.data())
            .env("ARTIFACTS", self.artifacts())
            .output()
            .map_err(|error| format!("can't run bash: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let printed = [output.stdout, output.stderr].concat();
        Err(format!("the script `{which}` failed: {}", String::from_utf8_lossy(&printed)))
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn copy(from: &Path, to: &Path, without: &[&str]) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| format!("can't make {}: {error}", to.display()))?;
    let entries = fs::read_dir(from).map_err(|error| format!("can't read {}: {error}", from.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("can't read {}: {error}", from.display()))?;
        let name = entry.file_name();
        if without.iter().any(|left_out| name == **left_out) {
            continue;
        }
        if entry.path().is_symlink() {
            copy_link(&entry.path(), &to.join(name))?;
        } else if entry.path().is_dir() {
            copy(&entry.path(), &to.join(name), &[])?;
        } else {
            copy_file(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let copied = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(Path::new("/")))?;
        fs::copy(from, to).map(|_| ())
    };
    copied().map_err(|error| format!("can't copy {} to {}: {error}", from.display(), to.display()))
}

fn copy_link(from: &Path, to: &Path) -> Result<(), String> {
    let copied = fs::read_link(from).and_then(|target| std::os::unix::fs::symlink(target, to));
    copied.map_err(|error| format!("can't copy the link {}: {error}", from.display()))
}

fn commit(folder: &Path) -> Result<(), String> {
    git(folder, &["init", "--quiet", "--initial-branch=main"])?;
    git(folder, &["add", "--all"])?;
    git(folder, &["commit", "--quiet", "--allow-empty", "--message=Everything"])
}

fn git(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git")
        .args(identity)
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| format!("can't run git: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}
