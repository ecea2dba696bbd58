//! What the results service refuses: spoken to by hand, since the real clients behave.

mod ledger;

use std::fs;
use std::sync::{Arc, Mutex};

use model::{CacheMode, JobId, RunId};
use runner::ResultsEndpoint;
use runner::results::{CacheScope, Grant, Identity, Ledger, ResultsConfig, ResultsService};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Fixture {
    folder: tempfile::TempDir,
    service: ResultsService,
    /// Jobs that run.
    jobs: Mutex<Vec<ResultsEndpoint>>,
}

/// An answer: status, head, body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Fixture {
    async fn new(cache_bytes: u64) -> Self {
        Fixture::with(cache_bytes, None).await
    }

    async fn with(cache_bytes: u64, ledger: Option<Arc<dyn Ledger>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = folder.path().join("artifacts");
        let caches = folder.path().join("caches");
        let config = ResultsConfig::new(caches, move |run| artifacts.join(run.to_string()));
        let service = ResultsService::start(ResultsConfig { cache_bytes, ledger, ..config }).await.unwrap();
        Fixture { folder, service, jobs: Mutex::default() }
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.service.address()).await.unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        let host = headers.iter().any(|(name, _)| *name == "host");
        for (name, value) in headers.iter().chain((!host).then_some(&("host", "guest.test:4321"))) {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
        // The service may answer before it has read everything.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    async fn call(&self, token: &str, method: &str, body: Value) -> Answer {
        let path = format!("/twirp/github.actions.results.api.v1.{method}");
        let token = format!("Bearer {token}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        self.request("POST", &path, &headers, body.to_string().as_bytes()).await
    }

    fn token(&self, run: u64, job: u64, cache_mode: CacheMode) -> String {
        let caches =
            CacheScope { repository: "o/r".into(), own_ref: "refs/heads/main".into(), read_refs: Vec::new() };
        let grant = Grant { run: RunId(run), job: JobId(job), cache_mode, caches };
        let endpoint = self.service.endpoint(&grant, None);
        let token = endpoint.token.clone();
        self.jobs.lock().unwrap().push(endpoint);
        token
    }

    /// All jobs end.
    fn end_jobs(&self) {
        self.jobs.lock().unwrap().clear();
    }

    /// Uploads an artifact; gives the last answer.
    async fn leave(&self, token: &str, wanted: Value, content: &[u8]) -> Answer {
        let created = self.call(token, "ArtifactService/CreateArtifact", wanted.clone()).await.json();
        let url = created["signed_upload_url"].as_str().unwrap_or_else(|| panic!("{created}"));
        assert_eq!(self.request("PUT", path_of(url), &[], content).await.status, 201);
        self.call(token, "ArtifactService/FinalizeArtifact", wanted).await
    }

    /// Saves a cache; gives the last answer.
    async fn save(&self, key: &str, content: &[u8], said: usize) -> Answer {
        let token = self.token(1, 1, CacheMode::Write);
        let entry = json!({"key": key, "version": "v"});
        let created = self.call(&token, "CacheService/CreateCacheEntry", entry).await.json();
        let url = created["signed_upload_url"].as_str().unwrap_or_else(|| panic!("{created}"));
        let put = self.request("PUT", path_of(url), &[], content).await;
        if put.status != 201 {
            return put;
        }
        let entry = json!({"key": key, "version": "v", "size_bytes": said.to_string()});
        self.call(&token, "CacheService/FinalizeCacheEntryUpload", entry).await
    }
}

fn path_of(url: &str) -> &str {
    url.strip_prefix("http://guest.test:4321").expect("the host by which the client came")
}

fn artifact(run: u64, job: u64, name: &str) -> Value {
    json!({
        "workflow_run_backend_id": run.to_string(),
        "workflow_job_run_backend_id": job.to_string(),
        "name": name,
        "version": 7,
    })
}

#[tokio::test]
async fn a_missing_forged_or_foreign_token_is_401() {
    let fixture = Fixture::new(1000).await;
    let foreign = Fixture::new(1000).await.token(1, 1, CacheMode::Write);
    let token = fixture.token(1, 1, CacheMode::Write);
    let forged = format!("{}x", &token[..token.len() - 1]);
    for token in ["", "x.y.z", foreign.as_str(), forged.as_str()] {
        let answer =
            fixture.call(token, "CacheService/GetCacheEntryDownloadURL", json!({"key": "k", "version": "v"}));
        assert_eq!(answer.await.status, 401, "{token}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_own_run_and_job_only() {
    let fixture = Fixture::new(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    for (run, job) in [(2, 1), (1, 2)] {
        let answer = fixture.call(&token, "ArtifactService/CreateArtifact", artifact(run, job, "a")).await;
        assert_eq!(answer.status, 403, "run {run} job {job}");
    }
    let other_run = fixture.call(&token, "ArtifactService/ListArtifacts", artifact(2, 1, "a")).await;
    assert_eq!(other_run.status, 403);
    let created = fixture.call(&token, "ArtifactService/CreateArtifact", artifact(1, 1, "a")).await;
    assert_eq!(created.json()["ok"], true);
    let thief = fixture.token(1, 2, CacheMode::Write);
    let stolen = fixture.call(&thief, "ArtifactService/FinalizeArtifact", artifact(1, 2, "a")).await;
    assert_eq!(stolen.status, 404, "an upload that another job has begun");
}

#[tokio::test]
async fn what_a_job_was_given_ends_with_it() {
    let fixture = Fixture::new(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    let entry = json!({"key": "k", "version": "v"});
    let created = fixture.call(&token, "CacheService/CreateCacheEntry", entry.clone()).await.json();
    let url = path_of(created["signed_upload_url"].as_str().unwrap()).to_owned();
    fixture.end_jobs();
    let of_another = fixture.token(1, 1, CacheMode::Write);
    assert_eq!(fixture.call(&token, "CacheService/CreateCacheEntry", entry.clone()).await.status, 401);
    assert_eq!(fixture.request("PUT", &url, &[], b"x").await.status, 403, "its address too");
    let entry = json!({"key": "other", "version": "v"});
    let further = fixture.call(&of_another, "CacheService/CreateCacheEntry", entry).await;
    assert_eq!(further.status, 200, "a further try of the same job has tokens of its own");
}

/// Says which audience it was asked for.
struct Echo;

impl Identity for Echo {
    fn token(&self, audience: Option<&str>) -> Result<String, String> {
        Ok(format!("for {}", audience.unwrap_or("the usual one")))
    }
}

#[tokio::test]
async fn a_job_with_an_identity_gets_tokens_of_it_and_no_other_job_does() {
    let fixture = Fixture::new(1000).await;
    let caches =
        CacheScope { repository: "o/r".into(), own_ref: "refs/heads/main".into(), read_refs: Vec::new() };
    let grant = Grant { run: RunId(1), job: JobId(1), cache_mode: CacheMode::Write, caches };
    let job = fixture.service.endpoint(&grant, Some(Arc::new(Echo)));
    let id_token = job.id_token.clone().unwrap();
    let ask = async |token: &str, query: &str| {
        let path = format!("{}?api-version=2.0{query}", id_token.path);
        fixture.request("GET", &path, &[("authorization", &format!("Bearer {token}"))], b"").await
    };
    assert_eq!(ask(&id_token.token, "").await.json()["value"], "for the usual one");
    assert_eq!(ask(&id_token.token, "&audience=a%3Ab").await.json()["value"], "for a:b");
    assert_eq!(ask(&id_token.token, &format!("&audience={}", "a".repeat(1025))).await.status, 400);
    assert_eq!(ask(&job.token, "").await.status, 401, "the other token is for caches and artifacts");
    assert_eq!(ask("", "").await.status, 401);
    assert!(fixture.service.endpoint(&grant, None).id_token.is_none());
    drop(job);
    assert_eq!(ask(&id_token.token, "").await.status, 401, "the job has ended");
}

#[tokio::test]
async fn names_that_are_no_folder_names_are_refused() {
    let fixture = Fixture::new(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "a:b",
        "a\nb",
        "a\u{0}b",
        ".hearth",
        ".Hearth",
        &"x".repeat(300),
    ] {
        let answer = fixture.call(&token, "ArtifactService/CreateArtifact", artifact(1, 1, name)).await;
        assert_eq!(answer.status, 400, "{name:?}");
    }
    let fine = fixture.call(&token, "ArtifactService/CreateArtifact", artifact(1, 1, "größe (1)")).await;
    assert_eq!(fine.status, 200);
}

#[tokio::test]
async fn a_wrong_digest_or_size_is_refused_and_leaves_no_artifact() {
    let fixture = Fixture::new(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    let digest = "0".repeat(64);
    for (field, value) in [("hash", format!("sha256:{digest}")), ("size", "99".to_owned())] {
        let created =
            fixture.call(&token, "ArtifactService/CreateArtifact", artifact(1, 1, "a")).await.json();
        let url = created["signed_upload_url"].as_str().unwrap();
        assert_eq!(fixture.request("PUT", path_of(url), &[], b"content").await.status, 201);
        let mut request = artifact(1, 1, "a");
        request[field] = json!(value);
        let answer = fixture.call(&token, "ArtifactService/FinalizeArtifact", request).await;
        assert_eq!(answer.status, 400, "{field}");
        let listed = fixture.call(&token, "ArtifactService/ListArtifacts", artifact(1, 1, "a")).await.json();
        assert_eq!(listed["artifacts"], json!([]));
    }
    assert!(!fixture.folder.path().join("artifacts/1/a").exists());
}

#[tokio::test]
async fn an_archive_that_climbs_out_stays_packed_with_a_warning() {
    let fixture = Fixture::new(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    let created = fixture.call(&token, "ArtifactService/CreateArtifact", artifact(1, 1, "a")).await.json();
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("../../evil", zip::write::SimpleFileOptions::default()).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let url = created["signed_upload_url"].as_str().unwrap();
    fixture.request("PUT", path_of(url), &[], &bytes).await;
    let answer = fixture.call(&token, "ArtifactService/FinalizeArtifact", artifact(1, 1, "a")).await;
    assert_eq!(answer.json()["ok"], true);
    let warnings = fixture.service.finish().await;
    assert!(warnings.len() == 1 && warnings[0].contains("'a' is kept packed"), "{warnings:?}");
    assert!(!fixture.folder.path().join("artifacts/1/a").exists());
    assert!(
        !fixture.folder.path().join("evil").exists()
            && !fixture.folder.path().join("artifacts/evil").exists()
    );
}

#[tokio::test]
async fn caches_obey_their_bounds() {
    let fixture = Fixture::new(1000).await;
    assert_eq!(fixture.save("small", &[1; 600], 600).await.json()["ok"], true);
    assert_eq!(fixture.save("large", &[1; 2000], 2000).await.status, 413);
    let wrong = fixture.save("wrong", &[1; 10], 11).await.json();
    assert!(wrong["ok"] == false && wrong["message"].as_str().unwrap().contains("10 bytes"), "{wrong}");
    let token = fixture.token(1, 1, CacheMode::Write);
    let long = json!({"key": "k".repeat(513), "version": "v"});
    assert_eq!(fixture.call(&token, "CacheService/CreateCacheEntry", long).await.status, 400);
    let huge = json!({"key": "k", "version": "v".repeat(2 * 1024 * 1024)});
    assert_eq!(fixture.call(&token, "CacheService/CreateCacheEntry", huge).await.status, 413);
}

#[tokio::test]
async fn parts_of_a_cache_can_be_read_by_range_and_a_changed_address_reads_nothing() {
    let fixture = Fixture::new(1000).await;
    fixture.save("k", b"0123456789", 10).await;
    let token = fixture.token(1, 2, CacheMode::Read);
    let wanted = json!({"key": "k", "version": "v"});
    let found = fixture.call(&token, "CacheService/GetCacheEntryDownloadURL", wanted).await.json();
    let url = path_of(found["signed_download_url"].as_str().unwrap());
    let whole = fixture.request("GET", url, &[], b"").await;
    assert_eq!((whole.status, whole.body.as_slice()), (200, b"0123456789".as_slice()));
    let part = fixture.request("GET", url, &[("range", "bytes=2-4")], b"").await;
    assert_eq!((part.status, part.body.as_slice()), (206, b"234".as_slice()));
    assert!(part.head.to_lowercase().contains("content-range: bytes 2-4/10"));
    let head = fixture.request("HEAD", url, &[], b"").await;
    assert!(
        head.status == 200 && head.body.is_empty() && head.head.to_lowercase().contains("content-length: 10")
    );
    assert_eq!(fixture.request("GET", url, &[("range", "bytes=10-")], b"").await.status, 416);
    assert_eq!(
        fixture.request("PUT", url, &[], b"x").await.status,
        403,
        "an address to read is none to write"
    );
    let forged = url.replace("purpose=cache", "purpose=artifact");
    assert_eq!(fixture.request("GET", &forged, &[], b"").await.status, 403);
}

#[tokio::test]
async fn an_upload_that_was_never_finalized_is_gone_with_the_service() {
    let fixture = Fixture::new(1000).await;
    let token = fixture.token(1, 1, CacheMode::Write);
    let entry = json!({"key": "k", "version": "v"});
    let created = fixture.call(&token, "CacheService/CreateCacheEntry", entry.clone()).await.json();
    let url = created["signed_upload_url"].as_str().unwrap();
    fixture.request("PUT", path_of(url), &[], b"half").await;
    let miss = fixture.call(&token, "CacheService/GetCacheEntryDownloadURL", entry).await;
    assert_eq!(miss.json(), json!({"ok": false}));
    let Fixture { folder, service, .. } = fixture;
    drop(service);
    // The server's task lets go of the folder when it is next polled.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let left = fs::read_dir(folder.path().join("caches/scratch")).unwrap().count();
    assert_eq!(left, 0);
}
