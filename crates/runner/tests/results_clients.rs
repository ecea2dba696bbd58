//! The results service against the real `@actions/cache` and `@actions/artifact`.
//!
//! `cargo xtask setup` installs them in `e2e/clients`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::{CacheMode, JobId, RunId};
use runner::results::{CacheScope, Grant, Identity, ResultsConfig, ResultsService};
use serde_json::{Value, json};

/// A service and a place for a job's files.
struct Fixture {
    folder: tempfile::TempDir,
    service: ResultsService,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("work")).unwrap();
        fs::create_dir_all(folder.path().join("temp")).unwrap();
        let artifacts = folder.path().join("artifacts");
        let config =
            ResultsConfig::new(folder.path().join("caches"), move |run| artifacts.join(run.to_string()));
        let service = ResultsService::start(config).await.unwrap();
        Fixture { folder, service }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Where the artifacts of run 1 lie.
    fn artifacts(&self) -> PathBuf {
        self.folder.path().join("artifacts/1")
    }

    /// Calls a method of a client as this job; gives `{"ok": ..}` or `{"error": ..}`, and the log.
    async fn call(&self, grant: &Grant, method: &str, arguments: Value) -> (Value, String) {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/clients");
        assert!(
            clients.join("node_modules/@actions/cache").is_dir(),
            "the clients are not installed; run: cargo xtask setup"
        );
        let url = format!("http://{}/", self.service.address());
        let endpoint = self.service.endpoint(grant, Some(Arc::new(Echo)));
        let id_token = endpoint.id_token.as_ref().expect("an identity");
        let output = tokio::process::Command::new("node")
            .arg(clients.join("src/call.js"))
            .args([method, &arguments.to_string()])
            .current_dir(self.work())
            .env("ACTIONS_RESULTS_URL", &url)
            .env("ACTIONS_RUNTIME_TOKEN", &endpoint.token)
            .env("ACTIONS_CACHE_SERVICE_V2", "true")
            .env(
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                format!("{}?api-version=2.0", url.trim_end_matches('/').to_owned() + id_token.path),
            )
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &id_token.token)
            .env("GITHUB_SERVER_URL", "https://github.com")
            .env("GITHUB_WORKSPACE", self.work())
            .env("RUNNER_TEMP", self.folder.path().join("temp"))
            .env("RUNNER_DEBUG", "1")
            .output()
            .await
            .expect("node is installed");
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = log.lines().next_back().unwrap_or_default();
        let result = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}\n{log}\n{errors}"));
        (result, log + &errors)
    }

    async fn ok(&self, grant: &Grant, method: &str, arguments: Value) -> Value {
        let (result, log) = self.call(grant, method, arguments).await;
        assert!(result.get("error").is_none(), "{method}: {result}\n{log}");
        result["ok"].clone()
    }
}

fn grant(job: u64, own_ref: &str, cache_mode: CacheMode) -> Grant {
    let read_refs = vec!["refs/heads/main".to_owned()];
    let caches = CacheScope { repository: "octo/app".to_owned(), own_ref: own_ref.to_owned(), read_refs };
    Grant { run: RunId(1), job: JobId(job), cache_mode, caches }
}

fn main_branch() -> Grant {
    grant(1, "refs/heads/main", CacheMode::Write)
}

/// Says for whom its token is.
struct Echo;

impl Identity for Echo {
    fn token(&self, audience: Option<&str>) -> Result<String, String> {
        Ok(format!("token for {}", audience.unwrap_or("the usual one")))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_gets_oidc_tokens_for_the_audience_that_it_names() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ok(&main_branch(), "getIDToken", json!({})).await, json!("token for the usual one"));
    let audience = json!({"audience": "api://Azure ä"});
    assert_eq!(fixture.ok(&main_branch(), "getIDToken", audience).await, json!("token for api://Azure ä"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_is_saved_and_restored_by_key_and_by_prefix() {
    let fixture = Fixture::new().await;
    fs::create_dir(fixture.work().join("deps")).unwrap();
    fs::write(fixture.work().join("deps/a"), "größe").unwrap();
    let key = "npm-größe-1";
    let id = fixture.ok(&main_branch(), "saveCache", json!({"paths": ["deps"], "key": key})).await;
    assert!(id.as_i64().unwrap() > 0, "{id}");
    for (key, restore) in [(key, json!([])), ("npm-x", json!(["other-", "npm-"]))] {
        fs::remove_dir_all(fixture.work().join("deps")).unwrap();
        let topic = grant(2, "refs/heads/topic", CacheMode::Read);
        let arguments = json!({"paths": ["deps"], "key": key, "restoreKeys": restore});
        assert_eq!(fixture.ok(&topic, "restoreCache", arguments).await, json!("npm-größe-1"));
        assert_eq!(fs::read_to_string(fixture.work().join("deps/a")).unwrap(), "größe");
    }
    let miss = json!({"paths": ["deps"], "key": "nothing", "restoreKeys": ["no-"]});
    assert_eq!(fixture.ok(&main_branch(), "restoreCache", miss).await, Value::Null);
    let other_paths = json!({"paths": ["elsewhere"], "key": key});
    assert_eq!(fixture.ok(&main_branch(), "restoreCache", other_paths).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_exists_once_and_no_job_goes_beyond_its_mode() {
    let fixture = Fixture::new().await;
    fs::write(fixture.work().join("f"), "1").unwrap();
    let save = json!({"paths": ["f"], "key": "k"});
    fixture.ok(&main_branch(), "saveCache", save.clone()).await;
    let (result, log) = fixture.call(&main_branch(), "saveCache", save.clone()).await;
    assert_eq!(result["ok"], json!(-1), "{log}");
    assert!(log.contains("already exists"), "{log}");
    for mode in [CacheMode::WriteOnly, CacheMode::None] {
        let (result, log) =
            fixture.call(&grant(3, "refs/heads/main", mode), "restoreCache", save.clone()).await;
        assert_eq!(result["ok"], Value::Null, "{log}");
        assert!(log.contains("cache read denied: token has no readable scopes"), "{log}");
    }
    let fork = grant(2, "refs/pull/1/merge", CacheMode::Read);
    let (result, log) = fixture.call(&fork, "saveCache", save).await;
    assert_eq!(result["ok"], json!(-1), "{log}");
    assert!(log.contains("cache write denied:"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_over_the_single_upload_size_goes_in_blocks() {
    let fixture = Fixture::new().await;
    // Random bytes do not compress: 130 MiB is more than the client sends in one piece.
    let large = fixture.work().join("large");
    let mut random = std::io::Read::take(fs::File::open("/dev/urandom").unwrap(), 130 * 1024 * 1024);
    std::io::copy(&mut random, &mut fs::File::create(&large).unwrap()).unwrap();
    let before = digest(&large);
    let options = json!({"uploadChunkSize": 16 * 1024 * 1024, "uploadConcurrency": 4});
    fixture
        .ok(&main_branch(), "saveCache", json!({"paths": ["large"], "key": "k", "options": options}))
        .await;
    fs::remove_file(&large).unwrap();
    fixture.ok(&main_branch(), "restoreCache", json!({"paths": ["large"], "key": "k"})).await;
    assert_eq!(digest(&large), before);
}

fn digest(path: &Path) -> Vec<u8> {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    std::io::copy(&mut fs::File::open(path).unwrap(), &mut hash).unwrap();
    hash.finalize().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_uploaded_listed_downloaded_and_deleted() {
    let fixture = Fixture::new().await;
    let root = fixture.work();
    fs::create_dir_all(root.join("out/deep")).unwrap();
    fs::write(root.join("out/a.txt"), "a").unwrap();
    fs::write(root.join("out/deep/ü.bin"), vec![7; 20 * 1024 * 1024]).unwrap();
    let files = [root.join("out/a.txt"), root.join("out/deep/ü.bin")];
    let upload = json!({"name": "result", "files": files, "root": root.join("out"), "options": {"compressionLevel": 0}});
    let uploaded = fixture.ok(&main_branch(), "uploadArtifact", upload.clone()).await;
    assert_eq!(uploaded["id"], 1);

    assert_eq!(fixture.service.finish().await, Vec::<String>::new());
    let unpacked = fixture.artifacts().join("result");
    assert_eq!(fs::read_to_string(unpacked.join("a.txt")).unwrap(), "a");
    assert_eq!(fs::metadata(unpacked.join("deep/ü.bin")).unwrap().len(), 20 * 1024 * 1024);

    // Another job of the run sees it.
    let other = grant(2, "refs/heads/main", CacheMode::Write);
    let listed = fixture.ok(&other, "listArtifacts", json!({})).await;
    assert_eq!(listed["artifacts"][0]["name"], "result");
    assert_eq!(listed["artifacts"][0]["size"], uploaded["size"]);
    let digest = listed["artifacts"][0]["digest"].as_str().unwrap();
    assert_eq!(digest, format!("sha256:{}", uploaded["digest"].as_str().unwrap()));
    let found = fixture.ok(&other, "getArtifact", json!({"name": "result"})).await;
    assert_eq!(found["artifact"]["id"], 1);
    let path = root.join("download");
    let options = json!({"path": path, "expectedHash": digest});
    let downloaded = fixture.ok(&other, "downloadArtifact", json!({"id": 1, "options": options})).await;
    assert_eq!(downloaded["digestMismatch"], false);
    assert_eq!(fs::metadata(path.join("deep/ü.bin")).unwrap().len(), 20 * 1024 * 1024);

    let (again, log) = fixture.call(&other, "uploadArtifact", upload.clone()).await;
    assert!(again["error"].as_str().unwrap().contains("already exists"), "{log}");
    fixture.ok(&other, "deleteArtifact", json!({"name": "result"})).await;
    assert!(!unpacked.exists());
    fixture.ok(&other, "uploadArtifact", upload).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_is_kept_as_it_is() {
    let fixture = Fixture::new().await;
    let file = fixture.work().join("report.html");
    fs::write(&file, "<p>").unwrap();
    let upload =
        json!({"name": "ignored", "files": [file], "root": fixture.work(), "options": {"skipArchive": true}});
    let uploaded = fixture.ok(&main_branch(), "uploadArtifact", upload).await;
    assert_eq!(fixture.service.finish().await, Vec::<String>::new());
    assert_eq!(fs::read_to_string(fixture.artifacts().join("report.html/report.html")).unwrap(), "<p>");
    let path = fixture.work().join("download");
    fixture
        .ok(&main_branch(), "downloadArtifact", json!({"id": uploaded["id"], "options": {"path": path}}))
        .await;
    assert_eq!(fs::read_to_string(path.join("report.html")).unwrap(), "<p>");
}
