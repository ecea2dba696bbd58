//! What runs have left.

use std::fs;

use model::{JobId, RunId, Timestamp};
use serde_json::json;
use server::auth::Role;
use store::record::{NewArtifact, NewCache};
use store::{Change, Store};

use crate::fake::Asked;
use crate::fixture::World;
use crate::sample::{failed_run, later, queued_run, seen};

fn artifact(run: RunId, number: u64, name: &str) -> NewArtifact {
    NewArtifact {
        run,
        number,
        job: JobId(1),
        name: name.to_owned(),
        file_name: format!("{name}.zip"),
        file: format!("runs/{run}/{number}.blob"),
        size: 4,
        digest: "sha256:00".to_owned(),
        created_at: later(number),
        expires_at: later(1000),
    }
}

fn cache(repository: &str, reference: &str, key: &str) -> Change {
    Change::CacheKept(NewCache {
        repository: repository.to_owned(),
        reference: format!("refs/heads/{reference}"),
        key: key.to_owned(),
        version: "v".to_owned(),
        file: format!("caches/{repository}-{reference}-{key}"),
        size: 5,
        digest: None,
        created_at: Timestamp(1),
    })
}

#[tokio::test]
async fn artifacts_are_listed_and_come_as_they_were_uploaded() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (run, job) = failed_run(&*world.store).await;
    let path = format!("/api/v1/runs/{run}/artifacts");
    assert_eq!(reader.get(&path).await.is(200).json(), json!({"artifacts": [], "next": null}));
    let kept = NewArtifact { job, ..artifact(run, 3, "Ä \"1\"\r\n") };
    let file = world.folder.path().join(&kept.file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "PK<>").unwrap();
    world.store.apply(vec![Change::ArtifactKept(kept)]).await.unwrap();
    let list = reader.get(&path).await.is(200).json();
    assert_eq!(list["artifacts"][0]["id"], 3);
    assert_eq!(list["artifacts"][0]["job_id"], job.0);
    assert_eq!(list["artifacts"][0]["expires_at"], later(1000).0);
    let answer = reader.get(&format!("{path}/3")).await.is(200);
    assert_eq!(answer.bytes, b"PK<>");
    assert_eq!(answer.headers["content-length"], "4");
    let disposition = &answer.headers["content-disposition"];
    assert_eq!(disposition, "attachment; filename*=UTF-8''%C3%84%20%221%22%0D%0A.zip");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    for wrong in ["4", "x", "..%2F3"] {
        reader.get(&format!("{path}/{wrong}")).await.refused(404);
    }
    reader.get("/api/v1/runs/77/artifacts").await.refused(404);
    fs::remove_file(file).unwrap();
    reader.get(&format!("{path}/3")).await.refused(404);
}

#[tokio::test]
async fn artifacts_of_all_runs_are_listed_newest_first_and_removed_by_who_operates() {
    let world = World::start().await;
    let (reader, operator) = (world.with(Role::Read).await, world.with(Role::Operate).await);
    let (first, second) = (queued_run(&*world.store).await.id, queued_run(&*world.store).await.id);
    for kept in [artifact(first, 1, "report"), artifact(first, 2, "größe"), artifact(second, 1, "report")] {
        world.store.apply(vec![Change::ArtifactKept(kept)]).await.unwrap();
    }
    let page = reader.get("/api/v1/artifacts?limit=2").await.is(200).json();
    let named = |list: &serde_json::Value| {
        let all = list["artifacts"].as_array().unwrap().iter();
        all.map(|one| (one["run_id"].as_u64().unwrap(), one["name"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(named(&page), [(second.0, "report".to_owned()), (first.0, "größe".to_owned())]);
    let rest = reader.get(&format!("/api/v1/artifacts?before={}", page["next"])).await.is(200).json();
    assert_eq!((named(&rest), rest["next"].is_null()), (vec![(first.0, "report".to_owned())], true));
    let some =
        reader.get("/api/v1/artifacts?repository=Octo/Hello&name=gr%C3%B6%C3%9Fe").await.is(200).json();
    assert_eq!(named(&some), [(first.0, "größe".to_owned())]);
    reader.get("/api/v1/artifacts?repository=octo/none").await.refused(404);
    reader.get("/api/v1/artifacts?run=1").await.refused(400);
    operator.delete(&format!("/api/v1/runs/{first}/artifacts/2")).await.is(204);
    assert_eq!(world.control.asked(), [Asked::RemoveArtifact(first, 2)]);
    operator.delete(&format!("/api/v1/runs/{first}/artifacts/9")).await.refused(404);
    reader.delete(&format!("/api/v1/runs/{first}/artifacts/1")).await.refused(403);
    assert_eq!(world.control.asked().len(), 1);
}

#[tokio::test]
async fn caches_are_listed_by_the_beginning_of_their_key_and_removed_by_key_or_id() {
    let world = World::start().await;
    let (reader, operator) = (world.with(Role::Read).await, world.with(Role::Operate).await);
    let kept = vec![
        cache("octo/hello", "main", "npm-ä"),
        cache("octo/hello", "topic", "npm-ä"),
        cache("octo/hello", "main", "cargo"),
        cache("octo/other", "main", "npm-ä"),
    ];
    world.store.apply(kept).await.unwrap();
    let keys = async |query: &str| {
        let list = reader.get(&format!("/api/v1/caches?{query}")).await.is(200).json();
        let keys = list["caches"].as_array().unwrap().iter();
        keys.map(|one| format!("{}:{}", one["ref"].as_str().unwrap(), one["key"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let main = "refs/heads/main:npm-ä";
    assert_eq!(keys("repository=octo/hello&key=npm-").await, ["refs/heads/topic:npm-ä", main]);
    assert_eq!(keys("repository=octo/hello&ref=refs/heads/main&key=npm-").await, [main]);
    assert_eq!(keys("limit=1").await, [main]);
    let page = reader.get("/api/v1/caches?limit=3").await.is(200).json();
    assert_eq!(keys(&format!("before={}", page["next"])).await, [main]);
    reader.delete("/api/v1/caches?repository=octo/hello&key=npm-%C3%A4").await.refused(403);
    operator.delete("/api/v1/caches?repository=octo/hello").await.refused(400);
    operator.delete("/api/v1/caches?repository=octo/hello&key=npm-").await.refused(404);
    let gone = operator.delete("/api/v1/caches?repository=octo/hello&key=npm-%C3%A4").await.is(200).json();
    assert_eq!(gone["caches"].as_array().unwrap().len(), 2);
    assert_eq!(keys("").await, [main, "refs/heads/main:cargo"]);
    let id = reader.get("/api/v1/caches?key=cargo").await.is(200).json()["caches"][0]["id"].clone();
    operator.delete(&format!("/api/v1/caches/{id}")).await.is(204);
    operator.delete(&format!("/api/v1/caches/{id}")).await.refused(404);
    assert_eq!(keys("").await, [main]);
}

#[tokio::test]
async fn a_cache_is_listed_under_what_its_repository_is_called_now() {
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    seen(&*world.store, "octo/hello", 7).await;
    world.store.apply(vec![cache("octo/hello", "main", "npm")]).await.unwrap();
    seen(&*world.store, "octo/hi", 7).await;
    let listed = operator.get("/api/v1/caches?repository=octo/hi").await.is(200).json();
    assert_eq!(listed["caches"][0]["repository"], "octo/hi");
    let gone = operator.delete("/api/v1/caches?repository=octo/hi&key=npm").await.is(200).json();
    assert_eq!(gone["caches"][0]["repository"], "octo/hi");
}
