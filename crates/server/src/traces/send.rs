//! The collector: where it is, and whether it takes what it is sent.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value as Json;

/// How long the collector may take for an answer; the usual one of OTLP's exporters.
const DEADLINE: Duration = Duration::from_secs(10);

/// Below the endpoint of all signals.
const TRACES: &str = "/v1/traces";

/// Takes traces. Where it is, the standard variables say:
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.
pub struct Collector {
    uri: Uri,
    headers: HeaderMap,
    service: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there can be no collector.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// A variable has what it can't mean.
    #[error("{variable} is wrong: {reason}")]
    Variable {
        /// Which.
        variable: &'static str,
        /// Why, and what to write.
        reason: String,
    },
    /// The host has no certificates of authorities.
    #[error("the collector's certificate could not be checked: {0}")]
    NoRoots(std::io::Error),
}

/// Why a trace was not taken.
pub(super) struct Refused {
    pub(super) reason: String,
    /// Whether it is worth sending it again.
    pub(super) may_pass: bool,
}

impl Collector {
    /// The collector that the environment names, if it names one.
    ///
    /// # Errors
    /// A variable is wrong.
    pub fn named(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Collector>, CollectorError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (own, all) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        let (from, address) = match (variable(own), variable(all)) {
            _ if variable("OTEL_SDK_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true")) => {
                return Ok(None);
            }
            (Some(address), _) => (own, address),
            (None, Some(address)) => (all, format!("{}{TRACES}", address.trim_end_matches('/'))),
            (None, None) => return Ok(None),
        };
        let wrong = |variable, reason: &str| CollectorError::Variable { variable, reason: reason.to_owned() };
        let protocol = "OTEL_EXPORTER_OTLP_PROTOCOL";
        if variable(protocol).is_some_and(|protocol| protocol != "http/json") {
            return Err(wrong(
                protocol,
                "Hearth speaks http/json only; collectors take it on the port of http/protobuf",
            ));
        }
        let uri: Uri = address.parse().map_err(|_| wrong(from, "it is no address"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(wrong(from, "write one like http://127.0.0.1:4318"));
        }
        let given = "OTEL_EXPORTER_OTLP_HEADERS";
        let headers = headers(&variable(given).unwrap_or_default());
        let headers = headers.ok_or_else(|| wrong(given, "write name=value, with commas between them"))?;
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(CollectorError::NoRoots)?;
        let client =
            Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build());
        let service = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "hearth".to_owned());
        Ok(Some(Collector { uri, headers, service, client }))
    }

    /// What this server is called.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    pub(super) async fn send(&self, trace: &Json) -> Result<(), Refused> {
        let mut request = Request::new(Full::new(Bytes::from(trace.to_string())));
        *request.method_mut() = hyper::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = match tokio::time::timeout(DEADLINE, self.client.request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(Refused { reason: error.to_string(), may_pass: true }),
            Err(_) => {
                let reason = format!("no answer within {} s", DEADLINE.as_secs());
                return Err(Refused { reason, may_pass: true });
            }
        };
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            // <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>
            status => Err(Refused {
                reason: format!("it answers {status}"),
                may_pass: matches!(status, 429 | 502..=504),
            }),
        }
    }
}

/// `name=value` with commas between them, values as in addresses.
fn headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let mut value = HeaderValue::from_bytes(&decoded(value.trim())?).ok()?;
        // They hold what lets us in.
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.trim().as_bytes()).ok()?, value);
    }
    Some(headers)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, others) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = others;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Result<Option<Collector>, CollectorError> {
        Collector::named(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_standard_variables_say_where_traces_go() {
        assert!(named(&[]).unwrap().is_none());
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
        let collector = named(&[all, ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, y=c")]).unwrap().unwrap();
        assert_eq!(collector.uri, "http://127.0.0.1:4318/v1/traces");
        assert_eq!(collector.headers["x-key"], "a b");
        assert_eq!(collector.headers["y"], "c");
        assert_eq!(collector.service(), "hearth");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector.example/t");
        let collector = named(&[all, own, ("OTEL_SERVICE_NAME", "ci")]).unwrap().unwrap();
        assert_eq!(
            (collector.uri.to_string().as_str(), collector.service()),
            ("https://collector.example/t", "ci")
        );
        assert!(named(&[all, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
    }

    #[test]
    fn variables_that_can_not_be_meant_are_named() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for (variables, words) in [
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT is wrong"),
            (vec![all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http/json only"),
            (vec![all, ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense")], "name=value"),
            (vec![all, ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz")], "OTEL_EXPORTER_OTLP_HEADERS"),
        ] {
            let error = named(&variables).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
