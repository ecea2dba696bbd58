//! Where Firecracker and its jailer are on this host, and which they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::FOUND_IN;
use super::version::Version;
use crate::programs;

/// How long `--version` may take; it takes milliseconds.
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    /// The binary.
    pub(super) firecracker: PathBuf,
    /// Its version.
    pub(super) version: Version,
    /// The jailer, or why there is none.
    pub(super) jailer: Result<PathBuf, String>,
}

impl Installation {
    /// Finds Firecracker, and checks its version. The error says what to do.
    pub(super) async fn find(firecracker: Option<&Path>, jailer: Option<&Path>) -> Result<Self, String> {
        let firecracker = match firecracker {
            Some(path) => path.to_owned(),
            None => programs::find("firecracker").ok_or_else(|| {
                format!("no `firecracker` in PATH: install it, or name it in the configuration; {FOUND_IN}")
            })?,
        };
        let firecracker = std::fs::canonicalize(&firecracker)
            .map_err(|error| format!("{}: {error}", firecracker.display()))?;
        let named = |reason: String| format!("{}: {reason}", firecracker.display());
        let version = version_of(&firecracker, "Firecracker").await.map_err(named)?;
        version.check().map_err(named)?;
        let jailer = find_jailer(&firecracker, version, jailer).await;
        Ok(Self { version, jailer, firecracker })
    }
}

/// The jailer beside Firecracker (releases name both alike: `firecracker-v1.16.1-x86_64`), or in `PATH`.
async fn find_jailer(firecracker: &Path, version: Version, named: Option<&Path>) -> Result<PathBuf, String> {
    let name =
        firecracker.file_name().unwrap_or_default().to_string_lossy().replacen("firecracker", "jailer", 1);
    let beside = firecracker.with_file_name(name);
    let found = named
        .map(Path::to_owned)
        .or_else(|| beside.is_file().then_some(beside))
        .or_else(|| programs::find("jailer"));
    let jailer = found.ok_or("there is no jailer beside it, nor in PATH; it comes with each release")?;
    let named = |reason: String| format!("{}: {reason}", jailer.display());
    let own = version_of(&jailer, "Jailer").await.map_err(named)?;
    if own != version {
        return Err(named(format!("is version {own}, and Firecracker {version}: they belong together")));
    }
    Ok(jailer)
}

async fn version_of(program: &Path, name: &str) -> Result<Version, String> {
    let mut command = Command::new(program);
    command.arg("--version").env_clear().kill_on_drop(true);
    let output = tokio::time::timeout(VERSION_DEADLINE, command.output()).await;
    let output = output.map_err(|_| "`--version` does not end".to_owned())?;
    let output = output.map_err(|error| format!("can't be run: {error}"))?;
    Version::read(name, &String::from_utf8_lossy(&output.stdout))
}
