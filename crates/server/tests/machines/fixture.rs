//! A server with fake machines, and clients that check every answer against the document.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode};
use machine::Driver;
use machine::fake::FakeDriver;
use serde_json::Value;
use server::client::{Client, whole};
use server::http;
use server::machines::limits::Tier;
use server::machines::token::{Caller, Key};
use server::machines::{Config, Machines};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::schema;

const SECRET: &[u8] = b"a secret of thirty-two bytes and more";

/// Longest wait of a test for something that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) driver: FakeDriver,
    pub(crate) machines: Machines,
    pub(crate) address: SocketAddr,
    pub(crate) folder: tempfile::TempDir,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::start_with(|_, _| {}).await
    }

    /// With another configuration, or a driver with knobs turned.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config, &FakeDriver)) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let driver = FakeDriver::new(folder.path());
        let mut config = Config::new(folder.path());
        config.tiers.insert("small".to_owned(), Tier { machines: 2, sessions: 2, ..Tier::default() });
        change(&mut config, &driver);
        let shared: Arc<dyn Driver> = Arc::new(driver.clone());
        let (machines, _) = Machines::open(key(), config, shared).await.expect("it opens");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(http::serve(listener, machines.router(), stop.clone()));
        Server { driver, machines, address, folder, stop, serving }
    }

    /// A client of `ann`, with the usual tier.
    pub(crate) fn ann(&self) -> Api {
        self.client("ann", "default")
    }

    /// A client of anybody.
    pub(crate) fn client(&self, subject: &str, tier: &str) -> Api {
        self.bearer(&token(subject, tier, 600))
    }

    /// A client with any token.
    pub(crate) fn bearer(&self, token: &str) -> Api {
        Api { client: Client::new(&format!("http://{}", self.address), Some(token)).unwrap() }
    }

    /// Ends as `hearth serve machines` does.
    pub(crate) async fn end(self) {
        let failed = self.machines.shut_down().await;
        assert_eq!(failed, Vec::<String>::new());
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

pub(crate) fn key() -> Key {
    Key::new(SECRET).unwrap()
}

/// A token that is good for so many seconds; negative: no longer.
pub(crate) fn token(subject: &str, tier: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let caller = Caller { subject: subject.to_owned(), tier: tier.to_owned() };
    key().mint(&caller, now.saturating_add_signed(seconds))
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A caller.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
}

/// An answer as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&self.bytes)))
    }

    /// Its `error`, if its status is this one.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()["error"].as_str().expect("an error says why").to_owned()
    }

    /// Itself, if its status is this one.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

impl Api {
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let answer = self.client.send(method.clone(), path, body).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let bytes = whole(body).await.expect("a whole answer");
        let answer = Answer { status: head.status, headers: head.headers, bytes };
        schema::check(&method, path, &answer);
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    /// Starts a machine. Its id.
    pub(crate) async fn vm(&self) -> String {
        let answer = self.post("/api/vms", serde_json::json!({})).await.ok(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Runs a command to its end; its lines.
    pub(crate) async fn exec(&self, vm: &str, argv: &[&str]) -> Vec<Value> {
        let body = serde_json::json!({"argv": argv});
        lines(&self.post(&format!("/api/vms/{vm}/exec"), body).await.ok(200).bytes)
    }

    /// What a shell command writes.
    pub(crate) async fn output(&self, vm: &str, script: &str) -> String {
        let lines = self.exec(vm, &["sh", "-c", script]).await;
        assert_eq!(lines.last().unwrap()["exit_code"], 0, "{lines:?}");
        lines.iter().filter_map(|line| line["text"].as_str()).collect()
    }
}

/// The objects of a stream, each checked.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Value> {
    let parsed = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines: Vec<Value> = parsed.map(|line| serde_json::from_slice(line).unwrap()).collect();
    for line in &lines {
        schema::check_schema("ExecLine", line);
    }
    lines
}

/// A configuration with these tiers only.
pub(crate) fn tiers(tiers: &[(&str, Tier)]) -> BTreeMap<String, Tier> {
    tiers.iter().map(|(name, tier)| ((*name).to_owned(), *tier)).collect()
}
