//! What a job gets of other repositories, looked at with git itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::Secret;
use runner::source::{FirstOf, RemoteRepositories, WorkTree};
use runner::{CheckoutRequest, SourceProvider};
use tokio::io::AsyncReadExt;

/// Remotes under `remotes/<owner>/<repo>`, and the data folder of whoever checks them out.
struct Fixture {
    folder: tempfile::TempDir,
}

fn git(dir: &Path, args: &[&str]) -> String {
    let settings = ["user.name=T", "user.email=t@example.com", "init.defaultBranch=main"];
    let output = Command::new("git")
        .current_dir(dir)
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .args(args)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

impl Fixture {
    /// `acme/data`: two commits on `main`, the tag `v1` at the first, the branch `größe/x` beside them.
    fn new() -> Self {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        let work = fixture.folder.path().join("work");
        fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        let commit = |text: &str| {
            fs::write(work.join("data.txt"), text).unwrap();
            git(&work, &["add", "-A"]);
            git(&work, &["commit", "-q", "-m", text]);
        };
        fs::create_dir(work.join("docs")).unwrap();
        fs::write(work.join("docs/guide"), "guide").unwrap();
        commit("first");
        git(&work, &["tag", "-a", "-m", "one", "v1"]);
        git(&work, &["checkout", "-q", "-b", "größe/x"]);
        commit("side");
        git(&work, &["checkout", "-q", "main"]);
        commit("second");
        let bare = fixture.remote().display().to_string();
        git(&work, &["clone", "-q", "--bare", ".", &bare]);
        fixture
    }

    fn remote(&self) -> PathBuf {
        self.folder.path().join("remotes/acme/data")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("checkouts")
    }

    fn commit(&self, name: &str) -> String {
        git(&self.remote(), &["rev-parse", &format!("{name}^{{commit}}")])
    }

    fn source(&self) -> RemoteRepositories {
        self.source_with("{owner}/{repo}", false)
    }

    fn source_with(&self, path: &str, offline: bool) -> RemoteRepositories {
        let mirror = format!("file://{}/remotes/{path}", self.folder.path().display());
        RemoteRepositories::open(self.data(), vec![mirror.parse().unwrap()], offline).unwrap()
    }

    async fn check_out(&self, request: CheckoutRequest) -> Result<PathBuf, String> {
        self.check_out_from(&self.source(), request).await
    }

    async fn check_out_from(
        &self,
        source: &dyn SourceProvider,
        request: CheckoutRequest,
    ) -> Result<PathBuf, String> {
        let archive = source.archive(&request).await.map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let mut archive = archive.expect("another repository is for it");
        archive.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
        let workspace = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        tar::Archive::new(bytes.as_slice()).unpack(&workspace).unwrap();
        Ok(workspace)
    }
}

fn request() -> CheckoutRequest {
    CheckoutRequest {
        repository: "acme/data".to_owned(),
        fetch_depth: 1,
        cone_mode: true,
        ..CheckoutRequest::default()
    }
}

fn at(reference: &str) -> CheckoutRequest {
    CheckoutRequest { reference: reference.to_owned(), ..request() }
}

fn data(workspace: &Path) -> String {
    fs::read_to_string(workspace.join("data.txt")).unwrap()
}

/// Everything in the `.git` that is text, to look for what must not be there.
fn git_texts(workspace: &Path) -> String {
    let mut text = String::new();
    for name in ["config", "HEAD", "packed-refs", "shallow"] {
        text += &fs::read_to_string(workspace.join(".git").join(name)).unwrap_or_default();
    }
    text
}

#[tokio::test]
async fn without_a_ref_the_default_branch_comes_as_a_shallow_clone_of_github() {
    let fixture = Fixture::new();
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(data(&workspace), "second");
    assert_eq!(git(&workspace, &["status", "--short", "--branch"]), "## main...origin/main");
    assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), fixture.commit("main"));
    assert_eq!(git(&workspace, &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(git(&workspace, &["remote", "get-url", "origin"]), "https://github.com/acme/data");
    git(&workspace, &["fsck", "--strict"]);
    let path = fixture.folder.path().display().to_string();
    assert!(!git_texts(&workspace).contains(&path), "the job must not learn of the mirror");
    assert_eq!(fs::read_dir(fixture.data()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn branches_tags_and_commits_are_checked_out() {
    let fixture = Fixture::new();
    let first = fixture.commit("v1");
    for (reference, text, branch) in [
        ("größe/x", "side", "größe/x"),
        ("refs/heads/größe/x", "side", "größe/x"),
        ("v1", "first", ""),
        ("refs/tags/v1", "first", ""),
        (&first, "first", ""),
        (&first.to_uppercase(), "first", ""),
    ] {
        for depth in [0, 1, 5] {
            let request = CheckoutRequest { fetch_depth: depth, ..at(reference) };
            let workspace = fixture.check_out(request).await.unwrap();
            assert_eq!(data(&workspace), text, "{reference} {depth}");
            assert_eq!(git(&workspace, &["branch", "--show-current"]), branch, "{reference} {depth}");
            assert_eq!(git(&workspace, &["status", "--short"]), "", "{reference} {depth}");
            git(&workspace, &["fsck"]);
        }
    }
}

#[tokio::test]
async fn a_branch_goes_before_a_tag_of_the_same_name() {
    let fixture = Fixture::new();
    git(&fixture.remote(), &["branch", "v1", "main"]);
    assert_eq!(data(&fixture.check_out(at("v1")).await.unwrap()), "second");
    assert_eq!(data(&fixture.check_out(at("refs/tags/v1")).await.unwrap()), "first");
}

#[tokio::test]
async fn a_pull_request_comes_detached() {
    let fixture = Fixture::new();
    git(&fixture.remote(), &["update-ref", "refs/pull/7/merge", "refs/heads/größe/x"]);
    for depth in [0, 1] {
        let request = CheckoutRequest { fetch_depth: depth, ..at("refs/pull/7/merge") };
        let workspace = fixture.check_out(request).await.unwrap();
        assert_eq!(data(&workspace), "side");
        assert_eq!(git(&workspace, &["branch", "--show-current"]), "");
    }
}

#[tokio::test]
async fn the_depth_and_the_tags_are_those_asked_for() {
    let fixture = Fixture::new();
    let whole = fixture.check_out(CheckoutRequest { fetch_depth: 0, ..request() }).await.unwrap();
    assert_eq!(git(&whole, &["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(git(&whole, &["rev-parse", "v1^{commit}"]), fixture.commit("v1"));
    assert!(git(&whole, &["branch", "--remotes"]).contains("origin/größe/x"));
    let one = fixture.check_out(request()).await.unwrap();
    assert_eq!(git(&one, &["tag"]), "");
    let tags = fixture.check_out(CheckoutRequest { fetch_tags: true, ..request() }).await.unwrap();
    assert_eq!(git(&tags, &["tag"]), "v1");
    assert_eq!(git(&tags, &["rev-list", "--count", "HEAD"]), "1");
}

#[tokio::test]
async fn sparse_patterns_hold_for_another_repository() {
    let fixture = Fixture::new();
    let sparse = vec!["/docs/".to_owned()];
    let request = CheckoutRequest { sparse_checkout: sparse, cone_mode: false, ..request() };
    let workspace = fixture.check_out(request).await.unwrap();
    assert!(workspace.join("docs/guide").exists() && !workspace.join("data.txt").exists());
    assert_eq!(git(&workspace, &["status", "--short"]), "");
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_place_that_was_asked() {
    let fixture = Fixture::new();
    let url = format!("file://{}", fixture.remote().display());
    let error = fixture.check_out(at("nope")).await.unwrap_err();
    assert!(error.contains("'nope' of acme/data") && error.contains(&url), "{error}");
    assert!(error.contains("it has no branch or tag 'nope'"), "{error}");
    let unknown = "1".repeat(40);
    let error = fixture.check_out(at(&unknown)).await.unwrap_err();
    assert!(error.contains("acme/data") && error.contains("no commit '1111"), "{error}");
    let missing = CheckoutRequest { repository: "acme/gone".to_owned(), ..request() };
    let error = fixture.check_out(missing).await.unwrap_err();
    assert!(error.contains("acme/gone") && error.contains("fatal: "), "{error}");
    assert_eq!(fs::read_dir(fixture.data()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn names_that_git_could_take_for_options_or_paths_are_refused() {
    let fixture = Fixture::new();
    let proof = fixture.folder.path().join("proof");
    let upload_pack = format!("--upload-pack=touch {}", proof.display());
    for reference in [upload_pack.as_str(), "-b", "a..b", "x:y", "refs/heads/*", "+main", "v1\nv2"] {
        let error = fixture.check_out(at(reference)).await.unwrap_err();
        assert!(error.contains(reference), "{error}");
    }
    for repository in ["../data", "acme/..", "-x/data", "acme/data/..", "acme", "acme/da ta", "http://x/y"] {
        let request = CheckoutRequest { repository: repository.to_owned(), ..request() };
        let error = fixture.check_out(request).await.unwrap_err();
        assert!(error.contains("is no repository"), "{error}");
    }
    assert!(!proof.exists());
}

#[tokio::test]
async fn the_next_mirror_is_asked_for_what_the_first_lacks() {
    let fixture = Fixture::new();
    let mirror = |path: &str| format!("{}/{path}", fixture.folder.path().display()).parse().unwrap();
    let mirrors = vec![mirror("none/{owner}/{repo}"), mirror("remotes/{owner}/{repo}")];
    let source = RemoteRepositories::open(fixture.data(), mirrors, false).unwrap();
    assert_eq!(data(&fixture.check_out_from(&source, at("v1")).await.unwrap()), "first");
}

#[tokio::test]
async fn offline_only_mirrors_in_folders_are_asked() {
    let fixture = Fixture::new();
    let near = fixture.source_with("{owner}/{repo}", true);
    assert_eq!(data(&fixture.check_out_from(&near, request()).await.unwrap()), "second");
    let far = RemoteRepositories::open(fixture.data(), Vec::new(), true).unwrap();
    let error = fixture.check_out_from(&far, request()).await.unwrap_err();
    assert!(error.contains("may not use the network"), "{error}");
    let server = CheckoutRequest { server: "http://127.0.0.1:1".to_owned(), ..request() };
    let error = fixture.check_out_from(&near, server).await.unwrap_err();
    assert!(error.contains("may not use the network"), "{error}");
}

#[tokio::test]
async fn lfs_is_refused_rather_than_left_out() {
    let fixture = Fixture::new();
    let error = fixture.check_out(CheckoutRequest { lfs: true, ..request() }).await.unwrap_err();
    assert!(error.contains("--real-checkout"), "{error}");
}

#[tokio::test]
async fn the_working_tree_goes_first_and_the_rest_is_remote() {
    let fixture = Fixture::new();
    let own = fixture.folder.path().join("work");
    fs::write(own.join("data.txt"), "uncommitted").unwrap();
    let both = FirstOf(vec![Arc::new(WorkTree::new(own)), Arc::new(fixture.source())]);
    assert_eq!(data(&fixture.check_out_from(&both, request()).await.unwrap()), "second");
    let own = CheckoutRequest { repository: String::new(), ..request() };
    assert_eq!(data(&fixture.check_out_from(&both, own.clone()).await.unwrap()), "uncommitted");
    assert!(FirstOf(vec![Arc::new(fixture.source())]).archive(&own).await.unwrap().is_none());
}

/// A git server over HTTP that lets in who has the token, and notes what each request came with.
struct Server {
    url: String,
    authorizations: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Served {
    root: PathBuf,
    authorizations: Arc<Mutex<Vec<String>>>,
}

const TOKEN: &str = "ghp_verysecret";

/// `x-access-token:ghp_verysecret`.
const BASIC: &str = "basic eC1hY2Nlc3MtdG9rZW46Z2hwX3ZlcnlzZWNyZXQ=";

impl Server {
    async fn start(root: PathBuf) -> Server {
        let authorizations = Arc::default();
        let served = Served { root, authorizations: Arc::clone(&authorizations) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(serve).with_state(served);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server { url, authorizations }
    }
}

async fn serve(
    State(served): State<Served>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    served.authorizations.lock().unwrap().push(header("authorization"));
    if header("authorization") != BASIC {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"x\"")]).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let (path, advertise) = match path.strip_suffix("/info/refs") {
        Some(path) => (path, true),
        None => (path.strip_suffix("/git-upload-pack").unwrap(), false),
    };
    assert_eq!(advertise, method == Method::GET);
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "upload-pack", "--stateless-rpc"]);
    command.args(advertise.then_some("--advertise-refs")).arg(served.root.join(path));
    command.env("GIT_PROTOCOL", header("git-protocol")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &body).unwrap();
        child.wait_with_output().unwrap().stdout
    });
    let (mut answer, kind) = match advertise {
        true => (b"001e# service=git-upload-pack\n0000".to_vec(), "advertisement"),
        false => (Vec::new(), "result"),
    };
    answer.extend(output.await.unwrap());
    ([("content-type", format!("application/x-git-upload-pack-{kind}"))], answer).into_response()
}

#[tokio::test]
async fn a_token_opens_a_private_repository_and_is_not_left_in_it() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let private = CheckoutRequest { server: server.url.clone(), ..at("v1") };
    let error = fixture.check_out(private.clone()).await.unwrap_err();
    assert!(error.contains(&server.url) && error.contains("token: ${{ secrets.NAME }}"), "{error}");

    let with_token = CheckoutRequest { token: Secret(TOKEN.to_owned()), ..private.clone() };
    let workspace = fixture.check_out(with_token).await.unwrap();
    assert_eq!(data(&workspace), "first");
    let origin = git(&workspace, &["remote", "get-url", "origin"]);
    assert_eq!(origin, format!("{}/acme/data", server.url));
    let texts = git_texts(&workspace);
    assert!(!texts.contains(TOKEN) && !texts.contains("basic") && !texts.contains("extraheader"), "{texts}");

    let wrong = CheckoutRequest { token: Secret("ghp_wrong".to_owned()), ..private };
    let error = fixture.check_out(wrong).await.unwrap_err();
    assert!(!error.contains("ghp_wrong"), "{error}");
}

#[tokio::test]
async fn a_mirror_is_not_given_the_token_for_github() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let mirror = format!("{}/{{owner}}/{{repo}}", server.url);
    let source = RemoteRepositories::open(fixture.data(), vec![mirror.parse().unwrap()], false).unwrap();
    let request = CheckoutRequest { token: Secret(TOKEN.to_owned()), ..request() };
    fixture.check_out_from(&source, request).await.unwrap_err();
    let authorizations = server.authorizations.lock().unwrap();
    assert!(
        !authorizations.is_empty() && authorizations.iter().all(|given| given != BASIC),
        "{authorizations:?}"
    );
}

#[tokio::test]
async fn submodules_come_from_the_server_when_asked_for() {
    let fixture = Fixture::new();
    let work = fixture.folder.path().join("work");
    let entry = format!("160000,{},lib", fixture.commit("v1"));
    git(&work, &["update-index", "--add", "--cacheinfo", &entry]);
    fs::write(work.join(".gitmodules"), "[submodule \"lib\"]\n\tpath = lib\n\turl = ../data\n").unwrap();
    git(&work, &["add", ".gitmodules"]);
    git(&work, &["commit", "-q", "-m", "submodule"]);
    git(&work, &["push", "-q", &fixture.remote().display().to_string(), "main"]);
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let token = Secret(TOKEN.to_owned());
    let without = CheckoutRequest { server: server.url.clone(), token, ..request() };
    let workspace = fixture.check_out(without.clone()).await.unwrap();
    assert_eq!(fs::read_dir(workspace.join("lib")).unwrap().count(), 0);
    let with = CheckoutRequest { submodules: "recursive".to_owned(), ..without };
    let workspace = fixture.check_out(with).await.unwrap();
    assert_eq!(data(&workspace.join("lib")), "first");
    assert_eq!(git(&workspace, &["status", "--short"]), "");
    assert_eq!(git(&workspace.join("lib"), &["rev-parse", "HEAD"]), fixture.commit("v1"));
    let texts = fs::read_to_string(workspace.join(".git/modules/lib/config")).unwrap();
    assert!(!texts.contains("extraheader") && !texts.contains(TOKEN), "{texts}");
}
