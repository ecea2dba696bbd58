//! The other end: for the commands that speak to a server, and for tests.

mod connect;
mod events;

use std::io;

pub use axum::body::Body;
pub use axum::http::Method;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use bytes::{Buf, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::machines::frame::PROTOCOL;
use connect::Connector;
pub use events::{Event, Events};

/// Bytes of an answer that is read as a whole: outputs of a command, each byte escaped.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a line that is read: a chunk of output, each byte escaped.
const LINE_BYTES: usize = 1024 * 1024;

/// Speaks to one server. A connection for each request: there are few.
#[derive(Clone, Debug)]
pub struct Client {
    connector: Connector,
    token: Option<HeaderValue>,
}

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not one.
    #[error("the address {0:?} is not of the form http://HOST:PORT or https://HOST")]
    Address(String),
    /// A token that no header can hold.
    #[error("the token has characters that no token has")]
    Token,
    /// Nobody is there.
    #[error("can't reach {0}; is its server running there?")]
    Unreachable(String, #[source] io::Error),
    /// Certificates can't be checked here.
    #[error("there are no root certificates to check those of servers with; name a file in SSL_CERT_FILE")]
    NoRoots(#[source] io::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
    /// The server says why not.
    #[error("{reason}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its reason.
        reason: String,
    },
}

fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}

impl Client {
    /// A client of the server at `address` (`http://host:port`, `https://host`).
    ///
    /// # Errors
    /// When the address or the token can't be one.
    pub fn new(address: &str, token: Option<&str>) -> Result<Client, ClientError> {
        let header = |token: &str| {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Client { connector: Connector::new(address)?, token: token.map(header).transpose()? })
    }

    /// Sends a request. The answer's head; its body comes as it comes.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder().method(method).uri(path).body(body.into());
        self.carry_out(request.map_err(broken)?).await
    }

    async fn carry_out(&self, mut request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let host = HeaderValue::from_str(self.connector.authority()).map_err(broken)?;
        request.headers_mut().insert(header::HOST, host);
        if let Some(token) = &self.token {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        }
        self.connector.connect().await?.send_request(request).await.map_err(broken)
    }

    /// As [`Client::send`], but an answer that is no success is an error.
    ///
    /// # Errors
    /// When there is no answer, or the server refuses.
    pub async fn succeed(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Result<Response<Incoming>, ClientError> {
        accept(self.send(method, path, body).await?).await
    }

    /// Sends JSON (`None`: nothing) and reads JSON.
    ///
    /// # Errors
    /// When there is no answer, the server refuses, or it answers something else.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(broken)?;
        let answer = self.succeed(method, path, body.map_or_else(Body::empty, Body::from)).await?;
        serde_json::from_slice(&whole(answer.into_body()).await?).map_err(broken)
    }

    /// Sends JSON (`None`: nothing), where a success says nothing more.
    ///
    /// # Errors
    /// When there is no answer, or the server refuses.
    pub async fn tell(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<(), ClientError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(broken)?;
        self.succeed(method, path, body.map_or_else(Body::empty, Body::from)).await.map(drop)
    }

    /// Listens to server-sent events.
    ///
    /// # Errors
    /// When there is no answer, or the server refuses.
    pub async fn listen(&self, path: &str) -> Result<Events, ClientError> {
        Ok(Events::new(self.succeed(Method::GET, path, Body::empty()).await?.into_body()))
    }

    /// Upgrades a connection; it then carries [`Frame`](crate::machines::frame::Frame)s.
    ///
    /// # Errors
    /// When there is no answer, or the server refuses.
    pub async fn upgrade(&self, path: &str) -> Result<TokioIo<Upgraded>, ClientError> {
        let request = Request::builder()
            .uri(path)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, PROTOCOL)
            .body(Body::empty());
        let answer = self.carry_out(request.map_err(broken)?).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            accept(answer).await?;
            return Err(broken("it does not upgrade"));
        }
        Ok(TokioIo::new(hyper::upgrade::on(answer).await.map_err(broken)?))
    }
}

/// An answer's body as a whole.
///
/// # Errors
/// When it breaks off, or is far too large.
pub async fn whole(body: Incoming) -> Result<Vec<u8>, ClientError> {
    let whole = Limited::new(body, ANSWER_BYTES).collect().await;
    whole.map(|whole| whole.to_bytes().into()).map_err(broken)
}

async fn accept(answer: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = whole(answer.into_body()).await?;
    let told = serde_json::from_slice::<Value>(&body).ok();
    // The machine API has a sentence there, the other one a code beside it.
    let told = told.and_then(|told| {
        let error = told.get("error")?;
        error.as_str().or_else(|| error.get("message")?.as_str()).map(str::to_owned)
    });
    Err(ClientError::Refused {
        status,
        reason: told.unwrap_or_else(|| format!("the server answers {status}")),
    })
}

/// An answer of a JSON object a line, read as it comes.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    /// Of this body.
    #[must_use]
    pub fn new(body: Incoming) -> Lines {
        Lines { body, buffer: BytesMut::new() }
    }

    /// The next object; `None` at the end.
    ///
    /// # Errors
    /// When the answer breaks off, or a line is not what was wanted.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                return serde_json::from_slice(&line).map(Some).map_err(broken);
            }
            if self.buffer.len() > LINE_BYTES {
                return Err(broken("a line that is too long"));
            }
            match self.body.frame().await.transpose().map_err(broken)? {
                Some(frame) => self.buffer.extend(frame.into_data().unwrap_or_default()),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(broken("it ended in the middle of a line")),
            }
        }
    }
}

/// An answer's bytes as they come.
pub fn reader(body: Incoming) -> impl AsyncRead + Send + Unpin {
    StreamReader::new(Box::pin(body.into_data_stream().map_err(io::Error::other)))
}

/// A body of what can be read, which is whole only if `ended` says so.
pub fn stream(
    from: impl AsyncRead + Send + 'static,
    ended: impl Future<Output = io::Result<()>> + Send + 'static,
) -> Body {
    let end = stream::once(ended).filter_map(async |ended| ended.err().map(Err));
    Body::from_stream(ReaderStream::new(from).chain(end))
}

/// Escapes a value for a query or a path.
#[must_use]
pub fn escaped(value: &str) -> String {
    let mut escaped = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
