//! What the pages show of this server besides its runs.

use std::path::PathBuf;

use async_trait::async_trait;
use machine::pool::{KindStatus, Pool};
use model::RunId;
use scheduler::queue::Profile;
use server::pages::premises::{Artifact, Disk, Premises};

use crate::data::DataFolder;

/// Machines and files.
pub(super) struct ServerPremises {
    pub(super) profiles: Vec<Profile>,
    pub(super) pools: Vec<Pool>,
    pub(super) data: DataFolder,
    /// Where people reach the server, if that is configured.
    pub(super) address: Option<String>,
}

/// Files and folders of an artifact that are counted: what is beyond is a page that takes too long.
const COUNTED: usize = 100_000;

#[async_trait]
impl Premises for ServerPremises {
    fn profiles(&self) -> Vec<Profile> {
        self.profiles.clone()
    }

    fn pool(&self) -> Vec<KindStatus> {
        self.pools.iter().flat_map(Pool::status).collect()
    }

    fn disk(&self) -> Option<Disk> {
        let found = rustix::fs::statvfs(self.data.root()).ok()?;
        Some(Disk {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            size_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }

    // Attempts of a run share their artifacts, as on GitHub the latest of a name counts.
    async fn artifacts(&self, run: RunId, _attempt: u32) -> Vec<Artifact> {
        let folder = self.data.run(run).join("artifacts");
        let listing = tokio::task::spawn_blocking(move || list(run, &folder)).await;
        // What can't be read is not shown: the page is about more than artifacts.
        listing.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn address(&self) -> Option<String> {
        self.address.clone()
    }
}

fn list(run: RunId, folder: &std::path::Path) -> std::io::Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let address = format!("/api/v1/runs/{run}/artifacts/{}", encoded(&name));
        artifacts.push(Artifact { bytes: size(entry.path())?, name, address });
    }
    artifacts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(artifacts)
}

/// Bytes of all files below; links count for nothing.
fn size(root: PathBuf) -> std::io::Result<u64> {
    let (mut bytes, mut waiting, mut counted) = (0, vec![root], 0);
    while let Some(path) = waiting.pop() {
        counted += 1;
        let metadata = path.symlink_metadata()?;
        if metadata.is_dir() && counted < COUNTED {
            for entry in std::fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        } else if metadata.is_file() {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}

/// A name as part of an address.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_listed_with_their_sizes_and_addresses_that_work_for_any_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a b/ü")).unwrap();
        std::fs::write(folder.path().join("a b/ü/1"), "12345").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("a b/link")).unwrap();
        std::fs::create_dir(folder.path().join(".making")).unwrap();
        let found = list(RunId(7), folder.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].bytes), ("a b", 5));
        assert_eq!(found[0].address, "/api/v1/runs/7/artifacts/a%20b");
    }
}
