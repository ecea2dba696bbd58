//! A git server over HTTP.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

/// A git server over HTTP that lets in who has the token, and notes what each request came with.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) authorizations: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Served {
    pub(crate) root: PathBuf,
    pub(crate) authorizations: Arc<Mutex<Vec<String>>>,
}

pub(crate) const TOKEN: &str = "ghp_verysecret";

/// `x-access-token:ghp_verysecret`.
pub(crate) const BASIC: &str = "basic eC1hY2Nlc3MtdG9rZW46Z2hwX3ZlcnlzZWNyZXQ=";

impl Server {
    pub(crate) async fn start(root: PathBuf) -> Server {
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
    if let Some(oid) = path.strip_prefix("lfs/") {
        return match fs::read(served.root.join("lfs").join(oid)) {
            Ok(bytes) => bytes.into_response(),
            Err(_missing) => StatusCode::NOT_FOUND.into_response(),
        };
    }
    if path.ends_with(".git/info/lfs/objects/batch") {
        return lfs_batch(&served, &header("host"), &body);
    }
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

/// The batch API of LFS: <https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>.
fn lfs_batch(served: &Served, host: &str, body: &[u8]) -> Response {
    let asked: Json = serde_json::from_slice(body).unwrap();
    assert_eq!(asked["operation"], "download");
    let answer = |object: &Json| {
        let oid = object["oid"].as_str().unwrap();
        match served.root.join("lfs").join(oid).exists() {
            true => json!({"oid": oid, "size": object["size"], "actions":
                {"download": {"href": format!("http://{host}/lfs/{oid}")}}}),
            false => json!({"oid": oid, "size": object["size"],
                "error": {"code": 404, "message": "Object does not exist"}}),
        }
    };
    let objects: Vec<Json> = asked["objects"].as_array().unwrap().iter().map(answer).collect();
    let text = json!({"transfer": "basic", "objects": objects}).to_string();
    ([("content-type", "application/vnd.git-lfs+json")], text).into_response()
}
