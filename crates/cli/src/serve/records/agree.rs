//! Files and rows, compared at the start of a server: a file without a row gets one, a row without a file goes.
//!
//! Data folders of versions that had files only are taken over the same way. Nobody else has the folder meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use anyhow::Result;
use model::RunId;
use runner::results::{KeptArtifact, KeptCache, kept_artifacts, kept_caches, sweep_artifacts};
use store::Change;
use store::record::KeptFile;
use tracing::{info, warn};

use super::{CACHES, Rows, artifacts};
use crate::data::DataFolder;

/// Changes of one transaction: whoever has a hundred thousand files does not wait for one of them all.
const CHANGES: usize = 500;

/// What is on the disk.
struct Files {
    artifacts: Vec<KeptArtifact>,
    caches: Vec<KeptCache>,
    /// What was not finished, and was removed.
    swept: usize,
}

/// Compares, mends, and says what was mended.
pub(super) async fn agree(rows: &Rows, data: &DataFolder) -> Result<()> {
    let kept = rows.store.kept_files().await?;
    let folder = data.clone();
    let on_disk = blocking(move || runs_on_disk(&folder)).await?;
    let mut known: BTreeSet<RunId> = kept.iter().filter_map(|kept| Some(kept.artifact?.0)).collect();
    for run in on_disk {
        // `hearth run` may have left runs of its own here, which are none of the server's.
        if !known.contains(&run) && rows.store.run(run).await?.is_some() {
            known.insert(run);
        }
    }
    let folder = data.clone();
    let files = blocking(move || look(&folder, &known)).await?;
    let found = changes(rows, &kept, files)?;
    for changes in found.changes.chunks(CHANGES) {
        rows.store.apply(changes.to_vec()).await?;
    }
    tell(&found);
    Ok(())
}

/// What is to be mended.
struct Found {
    changes: Vec<Change>,
    artifacts: usize,
    caches: usize,
    gone: usize,
    swept: usize,
}

/// What makes rows and files agree.
fn changes(rows: &Rows, kept: &[KeptFile], files: Files) -> io::Result<Found> {
    let mut found = Found { changes: Vec::new(), artifacts: 0, caches: 0, gone: 0, swept: files.swept };
    let mut missing: BTreeMap<&str, &KeptFile> = kept.iter().map(|kept| (kept.file.as_str(), kept)).collect();
    for artifact in newest_of_each_name(files.artifacts) {
        if missing.remove(rows.file(&artifact.path)?.as_str()).is_none() {
            found.changes.push(rows.of_artifact(artifact)?);
            found.artifacts += 1;
        }
    }
    let mut caches = files.caches;
    caches.sort_by_key(|cache| cache.created_at);
    for cache in caches {
        let (file, at) = (rows.file(&cache.path)?, cache.used_at);
        if missing.remove(file.as_str()).is_none() {
            found.changes.extend([rows.of_cache(cache)?, Change::CacheUsed { file, at }]);
            found.caches += 1;
        }
    }
    found.gone = missing.len();
    // First what is gone: another file may stand in its place.
    let gone = missing.into_values().map(|kept| match kept.artifact {
        Some((run, number)) => Change::ArtifactGone { run, number },
        None => Change::CacheGone { file: kept.file.clone() },
    });
    found.changes.splice(0..0, gone);
    Ok(found)
}

/// The artifacts that count: of one name in one run the last, in the order in which they were made. An earlier one
/// lies beside it where a server was killed before it could remove that.
fn newest_of_each_name(mut artifacts: Vec<KeptArtifact>) -> Vec<KeptArtifact> {
    artifacts.sort_by_key(|artifact| (artifact.run, artifact.id));
    let last: BTreeMap<(RunId, String), u64> =
        artifacts.iter().map(|artifact| ((artifact.run, artifact.name.clone()), artifact.id)).collect();
    artifacts.retain(|artifact| last.get(&(artifact.run, artifact.name.clone())) == Some(&artifact.id));
    artifacts.sort_by_key(|artifact| artifact.created_at);
    artifacts
}

fn tell(found: &Found) {
    if found.artifacts + found.caches > 0 {
        info!(
            artifacts = found.artifacts,
            caches = found.caches,
            "files of jobs that the store did not know of are taken over"
        );
    }
    if found.gone > 0 {
        warn!(
            count = found.gone,
            "files of artifacts and caches are not there any more; the store forgets them"
        );
    }
    if found.swept > 0 {
        info!(count = found.swept, "uploads that an earlier life did not finish are removed");
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

fn look(data: &DataFolder, runs: &BTreeSet<RunId>) -> io::Result<Files> {
    let mut files = Files { artifacts: Vec::new(), caches: Vec::new(), swept: 0 };
    for &run in runs {
        let folder = artifacts(data, run);
        files.swept += sweep_artifacts(&folder)?;
        files.artifacts.extend(kept_artifacts(&folder, run));
    }
    files.caches = kept_caches(&data.root().join(CACHES))?;
    Ok(files)
}

/// Runs that have a folder of artifacts.
fn runs_on_disk(data: &DataFolder) -> io::Result<Vec<RunId>> {
    let folder = data.run(RunId(0)).with_file_name("");
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let number = |path: &Path| path.file_name()?.to_str()?.parse().ok().map(RunId);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        found.extend(number(&path).filter(|run| artifacts(data, *run).is_dir()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::Duration;

    use model::Timestamp;
    use serde_json::json;
    use store::query::{ArtifactFilter, CacheFilter};
    use store::{SqliteStore, Store, sample};

    use super::*;

    struct World {
        folder: tempfile::TempDir,
        data: DataFolder,
        rows: Rows,
    }

    impl World {
        /// A store with one run, in a folder where nothing else is.
        async fn new() -> World {
            let folder = tempfile::tempdir().unwrap();
            let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
            let store = Arc::new(SqliteStore::open(data.root()).unwrap());
            let repository =
                store.repository_seen(sample::repository("octo/hello"), Timestamp(1)).await.unwrap();
            store.create_run(sample::run(repository), Timestamp(1)).await.unwrap();
            let rows = Rows { store, root: data.root().to_owned(), keep: Duration::from_secs(60) };
            World { folder, data, rows }
        }

        /// The files of an artifact, as every version has left them.
        fn artifact(&self, run: u64, id: u64, name: &str) -> std::path::PathBuf {
            let records = artifacts(&self.data, RunId(run)).join(".hearth");
            fs::create_dir_all(&records).unwrap();
            let record = json!({"run": run, "id": id, "job": 1, "name": name, "mime": "application/zip",
                "size": 4, "created": 1000 + id, "digest": "sha256:00", "unpacked": false});
            fs::write(records.join(format!("{run}-{id}.json")), record.to_string()).unwrap();
            let blob = records.join(format!("{run}-{id}.blob"));
            fs::write(&blob, "PK<>").unwrap();
            blob
        }

        /// The files of a cache, as earlier versions have left them.
        fn cache(&self, name: &str, key: &str) -> std::path::PathBuf {
            let scope = self.folder.path().join("caches/entries/aa");
            fs::create_dir_all(&scope).unwrap();
            let record = json!({"repository": "octo/hello", "reference": "refs/heads/main", "key": key,
                "version": "v", "size": 5, "created": 1000});
            fs::write(scope.join(format!("{name}.json")), record.to_string()).unwrap();
            let blob = scope.join(format!("{name}.blob"));
            fs::write(&blob, "12345").unwrap();
            blob
        }

        async fn artifacts(&self) -> Vec<(u64, String)> {
            let found = self.rows.store.artifacts(&ArtifactFilter::default(), 10).await.unwrap();
            found.into_iter().map(|one| (one.what.number, one.what.name)).collect()
        }

        async fn keys(&self) -> Vec<String> {
            let found = self.rows.store.caches(&CacheFilter::default(), 10).await.unwrap();
            found.into_iter().map(|one| one.what.key).collect()
        }

        async fn agree(&self) {
            agree(&self.rows, &self.data).await.unwrap();
        }
    }

    #[tokio::test]
    async fn files_without_rows_are_taken_over_once_with_all_that_is_known_of_them() {
        let world = World::new().await;
        world.artifact(1, 1, "größe 🪵");
        let cache = world.cache("k", "schlüssel-ä");
        let used = std::time::UNIX_EPOCH + Duration::from_secs(5);
        fs::File::options().write(true).open(cache).unwrap().set_modified(used).unwrap();
        world.agree().await;
        let artifacts = world.rows.store.artifacts(&ArtifactFilter::default(), 10).await.unwrap();
        let [artifact] = &artifacts[..] else { panic!("{artifacts:?}") };
        assert_eq!(
            (artifact.what.name.as_str(), artifact.what.file_name.as_str()),
            ("größe 🪵", "größe 🪵.zip")
        );
        assert_eq!(artifact.what.file, "runs/1/artifacts/.hearth/1-1.blob");
        assert_eq!((artifact.attempt, artifact.what.expires_at), (1, Timestamp(61_001)));
        let caches = world.rows.store.caches(&CacheFilter::default(), 10).await.unwrap();
        let [cache] = &caches[..] else { panic!("{caches:?}") };
        assert_eq!((cache.what.key.as_str(), cache.what.size), ("schlüssel-ä", 5));
        assert_eq!((cache.what.created_at, cache.used_at), (Timestamp(1000), Timestamp(5000)));
        world.agree().await;
        assert_eq!(world.rows.store.artifacts(&ArtifactFilter::default(), 10).await.unwrap(), artifacts);
        assert_eq!(world.rows.store.caches(&CacheFilter::default(), 10).await.unwrap(), caches);
    }

    #[tokio::test]
    async fn an_artifact_is_kept_as_long_as_its_job_wants_and_no_longer_than_the_server_does() {
        let world = World::new().await;
        for (id, expires) in [(1, 31_000), (2, 999_999), (3, 5)] {
            let record = world.artifact(1, id, &format!("out {id}")).with_extension("json");
            let mut said: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
            said["expires"] = json!(expires);
            fs::write(&record, said.to_string()).unwrap();
        }
        world.agree().await;
        let kept = world.rows.store.artifacts(&ArtifactFilter::default(), 10).await.unwrap();
        let ends: Vec<u64> = kept.iter().map(|one| one.what.expires_at.0).collect();
        assert_eq!(ends, [1003, 61_002, 31_000], "newest first");
    }

    #[tokio::test]
    async fn rows_whose_files_are_gone_go_and_others_stay() {
        let world = World::new().await;
        let (lost, _) = (world.artifact(1, 1, "lost"), world.artifact(1, 2, "here"));
        let (lost_cache, _) = (world.cache("lost", "lost"), world.cache("here", "here"));
        world.agree().await;
        assert_eq!((world.artifacts().await.len(), world.keys().await.len()), (2, 2));
        fs::remove_file(&lost).unwrap();
        fs::remove_file(lost_cache).unwrap();
        world.agree().await;
        assert_eq!(world.artifacts().await, [(2, "here".to_owned())]);
        assert_eq!(world.keys().await, ["here"]);
        assert!(!lost.with_extension("json").exists(), "what described it goes too");
    }

    #[tokio::test]
    async fn of_two_files_of_one_name_the_later_counts_whichever_had_the_row() {
        let world = World::new().await;
        world.artifact(1, 1, "report");
        world.agree().await;
        world.artifact(1, 2, "report");
        world.agree().await;
        assert_eq!(world.artifacts().await, [(2, "report".to_owned())]);
        world.agree().await;
        assert_eq!(world.artifacts().await, [(2, "report".to_owned())]);
    }

    #[tokio::test]
    async fn uploads_that_were_not_finished_are_removed_and_runs_of_others_are_left_alone() {
        let world = World::new().await;
        let foreign = world.artifact(99, 1, "of hearth run");
        let blob = world.artifact(1, 1, "torn");
        fs::remove_file(blob.with_extension("json")).unwrap();
        let upload = blob.with_file_name("u7-0");
        fs::create_dir(&upload).unwrap();
        fs::write(upload.join("part-7-1"), "half").unwrap();
        world.agree().await;
        assert!(!blob.exists() && !upload.exists());
        assert_eq!(world.artifacts().await, []);
        assert!(foreign.exists());
    }
}
