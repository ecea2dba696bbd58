//! What runs have left.

use std::fs;

use serde_json::json;
use server::auth::Role;

use crate::fixture::World;
use crate::sample::failed_run;

#[tokio::test]
async fn artifacts_are_listed_and_come_as_they_were_uploaded() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (run, job) = failed_run(&*world.store).await;
    let path = format!("/api/v1/runs/{run}/artifacts");
    assert_eq!(reader.get(&path).await.is(200).json(), json!({"artifacts": []}));
    let records = world.folder.path().join(format!("artifacts/{run}/.hearth"));
    fs::create_dir_all(&records).unwrap();
    let record = json!({"run": run.0, "id": 3, "job": job.0, "name": "Ä \"1\"\r\n", "mime": "application/zip",
        "size": 4, "created": 1_750_000_000_000_u64, "digest": "sha256:00"});
    fs::write(records.join(format!("{run}-3.json")), record.to_string()).unwrap();
    fs::write(records.join(format!("{run}-3.blob")), "PK<>").unwrap();
    let list = reader.get(&path).await.is(200).json();
    assert_eq!(list["artifacts"][0]["id"], 3);
    assert_eq!(list["artifacts"][0]["job_id"], job.0);
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
}
