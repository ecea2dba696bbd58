//! Bytes to the API and back, within bounds.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::error::ClientError;

/// Bytes of an answer. A page of a hundred comments, each as long as can be, has seven millions.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Connections that are kept for the next call.
const MAX_IDLE: usize = 8;

/// Speaks HTTP, with TLS where the address says so.
#[derive(Clone)]
pub(super) enum Transport {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// What came back.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) struct NotReceived {
    pub(super) cause: String,
    /// Whether the request can't have arrived.
    pub(super) is_unsent: bool,
}

impl Transport {
    pub(super) fn of(address: &str) -> Result<Transport, ClientError> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(MAX_IDLE);
        if address.starts_with("http://") {
            return Ok(Transport::Plain(builder.build(HttpConnector::new())));
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(ClientError::NoRoots)?;
        Ok(Transport::Tls(builder.build(connector.https_only().enable_http1().build())))
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Received, NotReceived> {
        let lost = |cause: String| NotReceived { cause, is_unsent: false };
        let exchange = async {
            let sent = match self {
                Transport::Plain(client) => client.request(request).await,
                Transport::Tls(client) => client.request(request).await,
            };
            let answer = sent.map_err(|error| NotReceived {
                is_unsent: error.is_connect(),
                cause: with_sources(&error),
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| lost(format!("the answer broke off: {error}")))?.to_bytes();
            Ok(Received { status: head.status, headers: head.headers, body })
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(lost(format!("no answer in {} s", timeout.as_secs_f32()))),
        }
    }
}

/// An error with what caused it, which hyper's own text leaves out.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}
