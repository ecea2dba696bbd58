//! TLS of the server's own. The certificates and keys beside this file are for nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use server::http::{self, Peer};
use server::tls::Tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Takes any certificate, and remembers it.
#[derive(Debug)]
struct Looks(Mutex<Option<Vec<u8>>>, WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Looks {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(end.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.1)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.1)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.supported_schemes()
    }
}

/// Asks over TLS: the certificate that was shown, and what was answered.
async fn ask(address: SocketAddr) -> (Vec<u8>, String) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let looks = Arc::new(Looks(Mutex::default(), provider.signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(looks.clone())
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without a word of TLS has said all the same.
    let _ = stream.read_to_end(&mut answer).await;
    let shown = looks.0.lock().unwrap().clone();
    (shown.unwrap(), String::from_utf8(answer).unwrap())
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

fn copy(from: &str, to: &Path) {
    for end in ["crt", "key"] {
        std::fs::copy(file(&format!("{from}.{end}")), to.with_extension(end)).unwrap();
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_while_the_server_runs_and_a_bad_one_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("site");
    copy("first", &place);
    let tls = Tls::open(&place.with_extension("crt"), &place.with_extension("key")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let router = Router::new().route("/", get(async |peer: axum::Extension<Peer>| peer.0.0.ip().to_string()));
    let serving = tokio::spawn(http::serve_tls(listener, tls.clone(), router, stop.clone()));
    let (first, answer) = ask(address).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");

    // Half of a pair, as between two writes of whoever renews it.
    std::fs::copy(file("second.crt"), place.with_extension("crt")).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("site.crt") && error.contains("site.key"), "{error}");
    assert_eq!(ask(address).await.0, first);
    copy("second", &place);
    tls.reload().unwrap();
    assert_ne!(ask(address).await.0, first);

    std::fs::write(place.with_extension("key"), "nonsense").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("can't read the key"));
    // Whoever speaks plain HTTP, or nothing at all, keeps nobody waiting.
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(ask(address).await.1.starts_with("HTTP/1.1 200"));
    stop.cancel();
    serving.await.unwrap();
}
