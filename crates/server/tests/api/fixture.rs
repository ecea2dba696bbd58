//! A server on a port of its own, and clients that check every answer against the document.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use forge::github::signature::{Secrets, sign};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use model::Timestamp;
use serde_json::Value;
use server::auth::{Auth, AuthConfig, Role, token};
use server::metrics::Metrics;
use server::webhook::WebhookConfig;
use server::{Parts, Server, api, http};
use store::log::LogFolder;
use store::seal::SealKey;
use store::{Change, SqliteStore, Store};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeControl, FakePremises, FlakyStore};
use crate::openapi::{self, Said};

pub(crate) const SECRET: &str = "it's a secret to everybody";

/// Longest wait of a test for something that takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server with all that is behind it.
pub(crate) struct World {
    pub(crate) store: Arc<FlakyStore>,
    pub(crate) control: Arc<FakeControl>,
    pub(crate) metrics: Metrics,
    pub(crate) logs: LogFolder,
    pub(crate) seal: Arc<SealKey>,
    pub(crate) address: SocketAddr,
    /// What files are below.
    pub(crate) folder: TempDir,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl World {
    pub(crate) async fn start() -> World {
        World::start_with(|_| {}).await
    }

    /// With other parts.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Parts)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FlakyStore::new(SqliteStore::open(folder.path()).unwrap()));
        let control = Arc::new(FakeControl::default());
        *control.store.lock().unwrap() = Some(store.clone());
        let metrics = Metrics::default();
        let logs = LogFolder::new(&folder.path().join("logs"));
        let seal = Arc::new(SealKey::load_or_make(&folder.path().join("key")).unwrap());
        let stop = CancellationToken::new();
        let mut parts = Parts {
            store: store.clone(),
            control: control.clone(),
            webhook: WebhookConfig::new(Secrets::new([SECRET]).unwrap()),
            auth: Arc::new(Auth::new(store.clone(), AuthConfig::default())),
            proxies: Default::default(),
            premises: Arc::new(FakePremises),
            checks: Vec::new(),
            metrics: metrics.clone(),
            logs: logs.clone(),
            files: folder.path().to_owned(),
            seal: seal.clone(),
            stop: stop.clone(),
            machines: None,
        };
        change(&mut parts);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(http::serve(listener, Server::new(parts).router(), stop.clone()));
        World { store, control, metrics, logs, seal, address, folder, stop, serving }
    }

    /// Nobody.
    pub(crate) fn nobody(&self) -> Client {
        Client { address: self.address, headers: HeaderMap::new() }
    }

    /// Somebody with a token of this role.
    pub(crate) async fn with(&self, role: Role) -> Client {
        let (secret, record) = token::make(role.as_str(), role, None, Timestamp::now()).unwrap();
        self.store.apply(vec![Change::TokenMade(record)]).await.unwrap();
        self.nobody().and("authorization", &format!("Bearer {secret}"))
    }

    /// GitHub, which sends a webhook.
    pub(crate) async fn webhook(&self, event: &str, guid: &str, body: &str) -> Answer {
        self.github(event, guid, body).send(Method::POST, "/webhook", body.to_owned()).await
    }

    /// GitHub, about to send this.
    pub(crate) fn github(&self, event: &str, guid: &str, body: &str) -> Client {
        self.nobody()
            .and("content-type", "application/json")
            .and("x-github-event", event)
            .and("x-github-delivery", guid)
            .and("x-hub-signature-256", &sign(SECRET, body.as_bytes()))
    }

    /// Ends as `hearth serve` does.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// A caller. Each request has a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: HeaderMap,
}

/// An answer as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Client {
    /// The same with another header.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Client {
        let name: HeaderName = name.parse().unwrap();
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same without a header.
    pub(crate) fn without(mut self, name: &str) -> Client {
        self.headers.remove(name);
        self
    }

    /// What it sends with every request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends a request, and checks the answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let (head, body) = self.open(method.clone(), path, body).await.into_parts();
        let bytes = body.collect().await.expect("a whole answer").to_bytes().to_vec();
        let answer = Answer { status: head.status.as_u16(), headers: head.headers, bytes };
        let said = Said { status: answer.status, headers: &answer.headers, bytes: &answer.bytes };
        openapi::check(&document(), &method, path, &said);
        answer
    }

    /// Sends a request; the answer's body comes as it comes.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> hyper::Response<hyper::body::Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        *request.headers_mut() = self.headers.clone();
        if !self.headers.contains_key(header::HOST) {
            request.headers_mut().insert(header::HOST, self.address.to_string().parse().unwrap());
        }
        sender.send_request(request).await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }
}

impl Answer {
    /// Itself, if its status is this one.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&self.bytes)))
    }

    /// Why it was refused, if with this status.
    #[track_caller]
    pub(crate) fn refused(self, status: u16) -> String {
        let answer = self.is(status).json();
        assert!(answer["error"]["code"].is_string(), "{answer}");
        answer["error"]["message"].as_str().expect("an error says why").to_owned()
    }
}

pub(crate) fn document() -> Value {
    serde_json::from_str(api::OPENAPI).unwrap()
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
