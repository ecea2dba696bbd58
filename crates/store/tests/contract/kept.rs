//! Artifacts and caches: what stands for their files.

use model::{ArtifactId, Conclusion, JobId, JobState, RunId, Timestamp};
use store::query::{ArtifactFilter, CacheFilter, Expired};
use store::record::{KeptFile, NewArtifact, NewCache};
use store::{Change, Store, StoreError};

use crate::sample::{NOON, job, later, run_ended, running_run};
use crate::world::World;

fn artifact(run: RunId, number: u64, name: &str) -> NewArtifact {
    NewArtifact {
        run,
        number,
        job: JobId(7),
        name: name.to_owned(),
        file_name: format!("{name}.zip"),
        file: format!("runs/{run}/{number}"),
        size: u64::from(u32::MAX) + number,
        digest: "sha256:00".to_owned(),
        created_at: later(number),
        expires_at: later(1000),
    }
}

fn cache(repository: &str, reference: &str, key: &str) -> NewCache {
    NewCache {
        repository: repository.to_owned(),
        reference: reference.to_owned(),
        key: key.to_owned(),
        version: "v".to_owned(),
        file: format!("caches/{repository}/{reference}/{key}"),
        size: 5,
        digest: Some("sha256:00".to_owned()),
        created_at: NOON,
    }
}

async fn names(store: &dyn Store, filter: ArtifactFilter) -> Vec<String> {
    let found = store.artifacts(&filter, 10).await.expect("read");
    found.into_iter().map(|artifact| artifact.what.name).collect()
}

async fn keys(store: &dyn Store, filter: CacheFilter) -> Vec<String> {
    let found = store.caches(&filter, 10).await.expect("read");
    found.into_iter().map(|cache| cache.what.key).collect()
}

pub(crate) async fn artifacts_of_all_runs_are_found_newest_first(world: &impl World) {
    let store = world.open().await;
    let (first, second) = (running_run(&*store).await, running_run(&*store).await);
    store.apply(vec![Change::JobCreated(Box::new(job(7, first, JobState::Queued)))]).await.expect("made");
    let kept = [artifact(first, 1, "größe 🪵"), artifact(first, 2, "b"), artifact(second, 1, "b")];
    for artifact in &kept {
        store.apply(vec![Change::ArtifactKept(artifact.clone())]).await.expect("kept");
    }
    drop(store);
    let store = world.open().await;
    let all = store.artifacts(&ArtifactFilter::default(), 10).await.expect("read");
    assert_eq!(all.iter().rev().map(|one| one.what.clone()).collect::<Vec<_>>(), kept);
    assert!(all.iter().all(|one| one.attempt == 1));
    let of = |run| ArtifactFilter { run: Some(run), ..ArtifactFilter::default() };
    assert_eq!(names(&*store, of(first)).await, ["b", "größe 🪵"]);
    let named = ArtifactFilter { name: Some("größe 🪵".to_owned()), ..ArtifactFilter::default() };
    assert_eq!(names(&*store, named).await.len(), 1);
    let page = ArtifactFilter { before: Some(all[1].id), ..ArtifactFilter::default() };
    assert_eq!(names(&*store, page).await, ["größe 🪵"]);
    let nowhere = ArtifactFilter { before: Some(ArtifactId(0)), ..ArtifactFilter::default() };
    assert!(names(&*store, nowhere).await.is_empty());
    let unknown = Change::ArtifactKept(artifact(RunId(99), 1, "x"));
    let refused = store.apply(vec![unknown]).await.expect_err("of no run");
    assert!(matches!(refused, StoreError::Missing(_)), "{refused}");
}

pub(crate) async fn an_artifact_gives_way_to_a_later_one_of_its_name(world: &impl World) {
    let store = world.open().await;
    let run = running_run(&*store).await;
    for number in [1, 2] {
        store.apply(vec![Change::ArtifactKept(artifact(run, number, "report"))]).await.expect("kept");
    }
    let [only] = &store.artifacts(&ArtifactFilter::default(), 10).await.expect("read")[..] else {
        panic!("one of the name")
    };
    assert_eq!(only.what.number, 2);
    let gone = || Change::ArtifactGone { run, number: 2 };
    store.apply(vec![gone(), gone()]).await.expect("gone, and gone already");
    assert!(store.artifacts(&ArtifactFilter::default(), 10).await.expect("read").is_empty());
}

pub(crate) async fn artifacts_expire_when_their_run_has_ended(world: &impl World) {
    let store = world.open().await;
    let (ended, running) = (running_run(&*store).await, running_run(&*store).await);
    for run in [ended, running] {
        store.apply(vec![Change::ArtifactKept(artifact(run, 1, "a"))]).await.expect("kept");
    }
    store.apply(vec![run_ended(ended, Conclusion::Success)]).await.expect("ended");
    let expired = async |now: Timestamp, made_before: Timestamp| {
        let expired = Some(Expired { now, made_before });
        let found = store.artifacts(&ArtifactFilter { expired, ..ArtifactFilter::default() }, 10).await;
        found.expect("read").into_iter().map(|one| one.what.run).collect::<Vec<_>>()
    };
    assert!(expired(later(999), later(1)).await.is_empty());
    assert_eq!(expired(later(1000), later(1)).await, [ended], "as was said when it was made");
    assert_eq!(expired(later(999), later(2)).await, [ended], "as is said now");
    store.forget_runs(vec![ended]).await.expect("forgotten");
    let left = store.artifacts(&ArtifactFilter::default(), 10).await.expect("read");
    assert_eq!(left.iter().map(|one| one.what.run).collect::<Vec<_>>(), [running], "they go with their run");
}

pub(crate) async fn caches_are_found_by_repository_ref_and_beginning_of_their_key(world: &impl World) {
    let store = world.open().await;
    let kept = [
        cache("octo/hello", "refs/heads/main", "npm-ä"),
        cache("octo/hello", "refs/heads/main", "npm-%_"),
        cache("octo/hello", "refs/heads/topic", "npm-b"),
        cache("octo/other", "refs/heads/main", "npm-c"),
    ];
    store.apply(kept.clone().map(Change::CacheKept).into()).await.expect("kept");
    drop(store);
    let store = world.open().await;
    let all = CacheFilter::default;
    let found = store.caches(&all(), 10).await.expect("read");
    assert_eq!(found.iter().rev().map(|one| one.what.clone()).collect::<Vec<_>>(), kept);
    let of = |repository: &str| CacheFilter { repository: Some(repository.to_owned()), ..all() };
    assert_eq!(keys(&*store, of("Octo/Hello")).await, ["npm-b", "npm-%_", "npm-ä"]);
    let main = || CacheFilter { reference: Some("refs/heads/main".to_owned()), ..of("octo/hello") };
    let begins = |prefix: &str| CacheFilter { key_prefix: Some(prefix.to_owned()), ..main() };
    assert_eq!(keys(&*store, begins("npm-")).await, ["npm-%_", "npm-ä"]);
    assert_eq!(keys(&*store, begins("npm-ä")).await, ["npm-ä"]);
    assert_eq!(keys(&*store, begins("npm-%")).await, ["npm-%_"], "nothing in it is a wildcard");
    assert!(keys(&*store, begins("NPM-")).await.is_empty(), "keys are told apart by case");
    let one = CacheFilter { key: Some("npm-".to_owned()), ..main() };
    assert!(keys(&*store, one).await.is_empty());
    let page = CacheFilter { before: Some(found[1].id), ..all() };
    assert_eq!(keys(&*store, page).await, ["npm-%_", "npm-ä"]);
    assert_eq!(keys(&*store, CacheFilter { id: Some(found[0].id), ..all() }).await, ["npm-c"]);
}

pub(crate) async fn a_cache_is_used_and_goes_with_its_file(world: &impl World) {
    let store = world.open().await;
    let cache = cache("octo/hello", "refs/heads/main", "k");
    let (file, at) = (cache.file.clone(), later(5));
    store.apply(vec![Change::CacheKept(cache)]).await.expect("kept");
    let used = |file: &str, at| Change::CacheUsed { file: file.to_owned(), at };
    let run = running_run(&*store).await;
    store.apply(vec![Change::ArtifactKept(artifact(run, 1, "a"))]).await.expect("kept");
    store.apply(vec![used(&file, at), used(&file, NOON), used("none", at)]).await.expect("used");
    assert_eq!(store.caches(&CacheFilter::default(), 1).await.expect("read")[0].used_at, at);
    let mut files = store.kept_files().await.expect("read");
    files.sort();
    let of_artifact = KeptFile { file: format!("runs/{run}/1"), artifact: Some((run, 1)) };
    assert_eq!(files, [KeptFile { file: file.clone(), artifact: None }, of_artifact]);
    store.apply(vec![Change::CacheGone { file }]).await.expect("gone");
    assert!(store.caches(&CacheFilter::default(), 1).await.expect("read").is_empty());
}
