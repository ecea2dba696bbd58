//! The blob store that addresses point to: as much of Azure's as the clients use.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::Service;
use super::time::{http_date, millis};
use super::token::{Address, Purpose};
use super::upload::{BLOCK_LIST_BYTES, UploadError};

/// The path of every address: `/<account>/<container>/<blob>`, which the SDK takes apart on an IP host.
pub(super) const BLOB_PATH: &str = "/account/container/blob";

/// Bytes read at once for a download.
const READ_BYTES: usize = 256 * 1024;

/// An error as the SDK reads it.
struct BlobError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl BlobError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        BlobError { status, code, message: message.into() }
    }

    fn forbidden() -> Self {
        let message = "the address is forged, expired, or for another purpose";
        BlobError::new(StatusCode::FORBIDDEN, "AuthenticationFailed", message)
    }

    fn gone() -> Self {
        BlobError::new(StatusCode::NOT_FOUND, "BlobNotFound", "there is nothing at this address any more")
    }
}

impl From<UploadError> for BlobError {
    fn from(error: UploadError) -> Self {
        let (status, code) = match &error {
            UploadError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge"),
            UploadError::Invalid(_) => (StatusCode::BAD_REQUEST, "InvalidBlockList"),
            UploadError::Broken(_) => (StatusCode::BAD_REQUEST, "IncompleteBody"),
            UploadError::Disk(_) => (StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage"),
        };
        BlobError::new(status, code, error.to_string())
    }
}

impl IntoResponse for BlobError {
    fn into_response(self) -> Response {
        let message = self.message.replace('&', "&amp;").replace('<', "&lt;");
        let code = self.code;
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let headers = [("content-type", "application/xml"), ("x-ms-error-code", code)];
        (self.status, headers, body).into_response()
    }
}

/// `PUT`: the content in one piece, a block, or the list of blocks.
pub(super) async fn put(
    State(service): State<Arc<Service>>,
    Query(address): Query<Address>,
    body: Body,
) -> Response {
    match put_blob(&service, &address, body).await {
        Ok(()) => (StatusCode::CREATED, stored_headers()).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn put_blob(service: &Service, address: &Address, body: Body) -> Result<(), BlobError> {
    if service.allowed(address) != Some(Purpose::Upload) {
        return Err(BlobError::forbidden());
    }
    let upload = service.uploads.get(&address.id).ok_or_else(BlobError::gone)?;
    match address.comp.as_str() {
        "" => upload.put(body).await?,
        "block" => upload.put_block(&address.blockid, body).await?,
        "blocklist" => {
            let list = to_bytes(body, BLOCK_LIST_BYTES).await.map_err(|error| {
                BlobError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge", error.to_string())
            })?;
            upload.put_block_list(&String::from_utf8_lossy(&list)).await?;
        }
        other => {
            let message = format!("comp={other} is not supported");
            return Err(BlobError::new(StatusCode::BAD_REQUEST, "InvalidQueryParameterValue", message));
        }
    }
    Ok(())
}

/// What the SDK expects of an answer to `PUT`.
fn stored_headers() -> HeaderMap {
    let mut headers = common_headers(SystemTime::now());
    headers.insert("x-ms-request-server-encrypted", HeaderValue::from_static("false"));
    headers
}

fn common_headers(modified: SystemTime) -> HeaderMap {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set("etag", format!("\"0x{:X}\"", millis(modified)));
    set("last-modified", http_date(modified));
    set("x-ms-request-id", format!("{:08x}", REQUESTS.fetch_add(1, Ordering::Relaxed)));
    set("x-ms-version", "2025-01-05".to_owned());
    headers
}

/// A file to give out.
pub(super) struct Download {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its media type.
    pub(super) mime: String,
    /// What to call it.
    pub(super) name: String,
}

/// `GET` and `HEAD`, with or without a range.
pub(super) async fn get(
    State(service): State<Arc<Service>>,
    Query(address): Query<Address>,
    headers: HeaderMap,
) -> Response {
    match get_blob(&service, &address, &headers).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn get_blob(service: &Service, address: &Address, headers: &HeaderMap) -> Result<Response, BlobError> {
    let download = match service.allowed(address) {
        Some(Purpose::Cache) => service.cache_download(&address.id),
        Some(Purpose::Artifact) => service.artifact_download(&address.id),
        _ => return Err(BlobError::forbidden()),
    };
    let download = download.ok_or_else(BlobError::gone)?;
    let disk = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => BlobError::gone(),
        _ => BlobError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", error.to_string()),
    };
    let mut file = tokio::fs::File::open(&download.path).await.map_err(disk)?;
    let metadata = file.metadata().await.map_err(disk)?;
    let size = metadata.len();
    let asked = headers.get("x-ms-range").or_else(|| headers.get(header::RANGE));
    let range =
        asked.and_then(|range| range.to_str().ok()).map_or(Ok(None), |range| parse_range(range, size));
    let mut answer = common_headers(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
    let mut set = |name: header::HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.insert(name, value);
        }
    };
    let Ok(range) = range else {
        set(header::CONTENT_RANGE, format!("bytes */{size}"));
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, answer).into_response());
    };
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    set(header::CONTENT_TYPE, download.mime);
    set(header::CONTENT_DISPOSITION, disposition(&download.name));
    let (status, start, length) = match range {
        Some((first, last)) => {
            set(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}"));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        None => (StatusCode::OK, 0, size),
    };
    set(header::CONTENT_LENGTH, length.to_string());
    file.seek(SeekFrom::Start(start)).await.map_err(disk)?;
    let body = Body::from_stream(ReaderStream::with_capacity(file.take(length), READ_BYTES));
    Ok((status, answer, body).into_response())
}

/// First and last byte of a range; `Ok(None)` for what is no single range (the whole is then meant),
/// `Err` for one that lies outside.
fn parse_range(text: &str, size: u64) -> Result<Option<(u64, u64)>, ()> {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if last.trim().is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(count)) if first.trim().is_empty() && count > 0 => {
            (size.saturating_sub(count), size.saturating_sub(1))
        }
        _ => return Ok(None),
    };
    if range.0 >= size { Err(()) } else { Ok(Some(range)) }
}

/// The name in both forms: plain for old clients, and percent-encoded UTF-8.
fn disposition(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'-' | b'_' | b'.' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_content() {
        assert_eq!(parse_range("bytes=0-3", 10), Ok(Some((0, 3))));
        assert_eq!(parse_range("bytes=4-", 10), Ok(Some((4, 9))));
        assert_eq!(parse_range("bytes=-3", 10), Ok(Some((7, 9))));
        assert_eq!(parse_range("bytes=8-100", 10), Ok(Some((8, 9))));
        assert_eq!(parse_range("bytes=10-11", 10), Err(()));
        assert_eq!(parse_range("bytes=0-0", 0), Err(()));
        assert_eq!(parse_range("bytes=5-3", 10), Ok(None));
        assert_eq!(parse_range("items=0-1", 10), Ok(None));
    }

    #[test]
    fn names_outside_of_ascii_are_encoded() {
        assert_eq!(
            disposition("größe\".zip"),
            "attachment; filename=\"gr__e_.zip\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%22.zip"
        );
    }
}
