//! What stands for files beside them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use model::{CacheMode, RunId, Timestamp};
use runner::results::{KeptArtifact, KeptCache, Ledger, Wish, kept_artifacts, kept_caches};
use serde_json::json;

use super::{Fixture, artifact, path_of};

/// A ledger in memory.
#[derive(Default)]
struct Pages {
    /// Nothing more can be written.
    is_full: AtomicBool,
    artifacts: Mutex<Vec<KeptArtifact>>,
    caches: Mutex<Vec<KeptCache>>,
}

impl Pages {
    fn has_room(&self) -> io::Result<()> {
        match self.is_full.load(Ordering::SeqCst) {
            true => Err(io::Error::new(io::ErrorKind::StorageFull, "no room left for the ledger")),
            false => Ok(()),
        }
    }

    fn names(&self) -> Vec<(String, u64)> {
        self.artifacts.lock().unwrap().iter().map(|one| (one.name.clone(), one.id)).collect()
    }

    fn keys(&self) -> Vec<String> {
        self.caches.lock().unwrap().iter().map(|one| one.key.clone()).collect()
    }
}

#[async_trait]
impl Ledger for Pages {
    async fn artifact_kept(&self, artifact: KeptArtifact) -> io::Result<()> {
        self.has_room()?;
        assert!(artifact.path.is_file(), "the file comes first");
        self.artifacts.lock().unwrap().push(artifact);
        Ok(())
    }

    async fn artifact_gone(&self, run: RunId, id: u64) -> io::Result<()> {
        self.artifacts.lock().unwrap().retain(|one| (one.run, one.id) != (run, id));
        Ok(())
    }

    async fn cache_kept(&self, cache: KeptCache, evicted: Vec<PathBuf>) -> io::Result<()> {
        self.has_room()?;
        assert!(cache.path.is_file(), "the file comes first");
        self.caches_gone(evicted).await?;
        self.caches.lock().unwrap().push(cache);
        Ok(())
    }

    async fn cache_used(&self, path: &Path, at: Timestamp) -> io::Result<()> {
        self.has_room()?;
        let mut caches = self.caches.lock().unwrap();
        caches.iter_mut().filter(|one| one.path == path).for_each(|one| one.used_at = at);
        Ok(())
    }

    async fn caches_gone(&self, paths: Vec<PathBuf>) -> io::Result<()> {
        assert!(paths.iter().all(|path| !path.exists()), "the file goes first");
        self.caches.lock().unwrap().retain(|one| !paths.contains(&one.path));
        Ok(())
    }

    async fn cache(
        &self,
        repository: &str,
        reference: &str,
        version: &str,
        wish: Wish<'_>,
    ) -> io::Result<Option<KeptCache>> {
        let place = (repository, reference, version);
        let is_it = |one: &&KeptCache| {
            (one.repository.as_str(), one.reference.as_str(), one.version.as_str()) == place
                && wish.is_met_by(&one.key)
        };
        Ok(self.caches.lock().unwrap().iter().rev().find(is_it).cloned())
    }
}

async fn world(cache_bytes: u64) -> (Fixture, Arc<Pages>) {
    let pages = Arc::new(Pages::default());
    (Fixture::with(cache_bytes, Some(pages.clone())).await, pages)
}

/// What a job gets that asks for this key, or what begins so: the content.
async fn restored(fixture: &Fixture, key: &str) -> Option<Vec<u8>> {
    let token = fixture.token(1, 9, CacheMode::Read);
    let wanted = json!({"key": key, "version": "v"});
    let found = fixture.call(&token, "CacheService/GetCacheEntryDownloadURL", wanted).await.json();
    let url = path_of(found["signed_download_url"].as_str()?).to_owned();
    Some(fixture.request("GET", &url, &[], b"").await.body)
}

#[tokio::test]
async fn what_jobs_hand_over_and_take_away_is_in_the_ledger_when_they_hear_so() {
    let (fixture, pages) = world(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    let answer = fixture.leave(&token, artifact(1, 1, "größe 🪵"), b"content").await;
    assert_eq!(answer.json()["ok"], true);
    let kept = kept_artifacts(&fixture.folder.path().join("artifacts/1"), RunId(1));
    assert_eq!(*pages.artifacts.lock().unwrap(), kept);
    assert_eq!((kept[0].name.as_str(), kept[0].size), ("größe 🪵", 7));
    fixture.call(&token, "ArtifactService/DeleteArtifact", artifact(1, 1, "größe 🪵")).await;
    assert_eq!(pages.names(), []);
    assert_eq!(fixture.save("schlüssel-ä", b"12345", 5).await.json()["ok"], true);
    let saved = pages.caches.lock().unwrap().clone();
    let mut kept = kept_caches(&fixture.folder.path().join("caches")).unwrap();
    kept[0].used_at = saved[0].used_at;
    assert_eq!(saved, kept);
    let digest = "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";
    assert_eq!(kept[0].digest.as_deref(), Some(digest));
    assert_eq!(restored(&fixture, "schlüssel-").await.unwrap(), b"12345");
    assert!(pages.caches.lock().unwrap()[0].used_at > saved[0].created_at);
}

#[tokio::test]
async fn what_the_ledger_can_not_keep_is_refused_and_leaves_nothing() {
    let (fixture, pages) = world(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    assert_eq!(fixture.save("before", b"12345", 5).await.json()["ok"], true);
    pages.is_full.store(true, Ordering::SeqCst);
    let refused = fixture.leave(&token, artifact(1, 1, "a"), b"content").await;
    assert_eq!(refused.status, 507, "{}", refused.json());
    assert!(refused.json()["msg"].as_str().unwrap().contains("no room left for the ledger"));
    assert_eq!(fixture.save("k", b"12345", 5).await.status, 507);
    let folder = fixture.folder.path();
    assert_eq!(kept_artifacts(&folder.join("artifacts/1"), RunId(1)), []);
    assert_eq!(kept_caches(&folder.join("caches")).unwrap().len(), 1);
    assert_eq!(restored(&fixture, "before").await.unwrap(), b"12345", "reading goes on");
    pages.is_full.store(false, Ordering::SeqCst);
    assert_eq!(fixture.leave(&token, artifact(1, 1, "a"), b"content").await.json()["ok"], true);
    assert_eq!(fixture.save("k", b"12345", 5).await.json()["ok"], true);
    assert_eq!(pages.keys(), ["before", "k"]);
}

#[tokio::test]
async fn of_two_jobs_that_save_the_same_key_at_once_one_does() {
    let (fixture, pages) = world(1000).await;
    let mut uploads = Vec::new();
    let entry = json!({"key": "k", "version": "v"});
    for job in [1, 2] {
        let token = fixture.token(1, job, CacheMode::Write);
        let created = fixture.call(&token, "CacheService/CreateCacheEntry", entry.clone()).await.json();
        let url = path_of(created["signed_upload_url"].as_str().unwrap()).to_owned();
        fixture.request("PUT", &url, &[], format!("of {job}").as_bytes()).await;
        uploads.push(token);
    }
    let finalize = |token| fixture.call(token, "CacheService/FinalizeCacheEntryUpload", entry.clone());
    let (one, other) = tokio::join!(finalize(&uploads[0]), finalize(&uploads[1]));
    let saved = [one, other].map(|answer| answer.json()["ok"] == true);
    assert!(saved == [true, false] || saved == [false, true], "{saved:?}");
    let winner = if saved[0] { "of 1" } else { "of 2" };
    assert_eq!(restored(&fixture, "k").await.unwrap(), winner.as_bytes());
    assert_eq!(pages.keys(), ["k"]);
}

#[tokio::test]
async fn what_makes_room_or_is_removed_leaves_the_ledger_too() {
    let (fixture, pages) = world(1000).await;
    let file =
        |key: &str| pages.caches.lock().unwrap().iter().find(|one| one.key == key).unwrap().path.clone();
    fixture.save("old", &[1; 600], 600).await;
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    std::fs::File::open(file("old")).unwrap().set_modified(long_ago).unwrap();
    fixture.save("new", &[1; 600], 600).await;
    assert_eq!(pages.keys(), ["new"]);
    fixture.save("other", &[1; 10], 10).await;
    fixture.service.remove_cache(file("other")).await.unwrap();
    assert_eq!(pages.keys(), ["new"]);
    let foreign = fixture.folder.path().join("caches/lock");
    assert!(fixture.service.remove_cache(foreign.clone()).await.is_err() && foreign.exists());
    assert_eq!(fixture.service.forget_caches(SystemTime::now() + Duration::from_secs(60)).await.unwrap(), 1);
    assert_eq!(pages.keys(), Vec::<String>::new());
    let token = fixture.token(1, 1, CacheMode::Write);
    fixture.leave(&token, artifact(1, 1, "a"), b"content").await;
    assert!(fixture.service.remove_artifact(RunId(1), 1).await.unwrap());
    assert_eq!(pages.names(), []);
    assert!(!fixture.service.remove_artifact(RunId(1), 1).await.unwrap());
}

#[tokio::test]
async fn a_cache_whose_file_was_lost_is_a_miss_and_the_next_one_is_found() {
    let (fixture, pages) = world(1000).await;
    for key in ["npm-1", "npm-2"] {
        fixture.save(key, key.as_bytes(), 5).await;
    }
    std::fs::remove_file(&pages.caches.lock().unwrap()[1].path).unwrap();
    assert_eq!(restored(&fixture, "npm-").await.unwrap(), b"npm-1");
    assert_eq!(pages.keys(), ["npm-1"]);
}

#[tokio::test]
async fn an_upload_that_was_deleted_before_it_ended_does_not_come_back() {
    let (fixture, pages) = world(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    let created = fixture.call(&token, "ArtifactService/CreateArtifact", artifact(1, 1, "a")).await.json();
    let url = path_of(created["signed_upload_url"].as_str().unwrap()).to_owned();
    fixture.request("PUT", &url, &[], b"content").await;
    fixture.call(&token, "ArtifactService/DeleteArtifact", artifact(1, 1, "a")).await;
    let late = fixture.call(&token, "ArtifactService/FinalizeArtifact", artifact(1, 1, "a")).await;
    assert_eq!(late.status, 404);
    assert_eq!(pages.names(), []);
}
