//! Connections to a server, with TLS where its address says so.

use std::fmt;
use std::io;

use axum::body::Body;
use hyper::Uri;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::ServiceExt;

use super::{ClientError, broken};

/// Makes connections to one server.
#[derive(Clone)]
pub(super) struct Connector {
    authority: String,
    tls: Option<Tls>,
}

/// What checks the server's certificate, and where it is.
#[derive(Clone)]
struct Tls {
    connector: HttpsConnector<HttpConnector>,
    server: Uri,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("authority", &self.authority)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

impl Connector {
    /// To the server at `address`.
    pub(super) fn new(address: &str) -> Result<Connector, ClientError> {
        let unfit = || ClientError::Address(address.to_owned());
        let (is_tls, authority) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
            (Some(authority), _) => (true, authority),
            (None, Some(authority)) => (false, authority),
            (None, None) => return Err(unfit()),
        };
        let authority = authority.trim_end_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(plain) {
            return Err(unfit());
        }
        if is_tls {
            let server = format!("https://{authority}").parse().map_err(|_| unfit())?;
            let tls = Some(Tls { connector: tls_connector()?, server });
            return Ok(Connector { authority: authority.to_owned(), tls });
        }
        let authority = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            _ => format!("{authority}:80"),
        };
        Ok(Connector { authority, tls: None })
    }

    /// Host and port, as the header `Host` has them.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// A connection.
    pub(super) async fn connect(&self) -> Result<SendRequest<Body>, ClientError> {
        let unreachable = |error| ClientError::Unreachable(self.authority.clone(), error);
        match &self.tls {
            Some(Tls { connector, server }) => {
                let stream = connector.clone().oneshot(server.clone()).await;
                begin(stream.map_err(|error| unreachable(io::Error::other(innermost(&*error))))?).await
            }
            None => {
                let stream = TcpStream::connect(&self.authority).await.map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                begin(TokioIo::new(stream)).await
            }
        }
    }
}

/// What has caused an error, which says more than what it led to.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn tls_connector() -> Result<HttpsConnector<HttpConnector>, ClientError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(ClientError::NoRoots)?;
    Ok(tls.https_only().enable_http1().wrap_connector(connector))
}

async fn begin(stream: impl Read + Write + Unpin + Send + 'static) -> Result<SendRequest<Body>, ClientError> {
    let (sender, connection) = handshake(stream).await.map_err(broken)?;
    // It ends with its connection, which ends with the answer's body.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}
