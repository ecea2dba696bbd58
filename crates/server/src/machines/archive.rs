//! `/api/vms/{id}/archive`: trees of a machine as tar streams, in and out.
//!
//! What goes in is unpacked by the agent, which lets no member climb out of its destination. What
//! comes out is a machine's word, which a client would believe: it goes through a `sieve` first.

mod sieve;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use guest::client::{FileKind, GuestError, RefusalKind};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::Service;
use super::authenticate::Known;
use super::command::place;
use super::error::ApiError;
use super::exec::STALL_DEADLINE;
use super::read::Query;
use super::registry::Visit;
use super::wire::KIND_HEADER;
use crate::body::BodyError;

/// Bytes of an archive, in either direction: a work folder with its build.
const ARCHIVE_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// How long a client may send nothing.
const IDLE_DEADLINE: Duration = Duration::from_secs(30);

/// Bytes on their way through the sieve.
const PIPE_BYTES: usize = 256 * 1024;

/// Chunks that wait for a client.
const QUEUED_CHUNKS: usize = 4;

/// Which tree.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    path: String,
}

/// `PUT /api/vms/{id}/archive?path=`
pub(super) async fn unpack(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let visit = service.visit(&known, &id).await?;
    let machine = visit.machine();
    let path = place(&which.path, &machine.layout)?;
    let broken = Arc::new(OnceLock::new());
    let body = bounded(body.into_data_stream(), ARCHIVE_BYTES, Arc::clone(&broken));
    let tar = StreamReader::new(Box::pin(body));
    let unpacked = tokio::select! {
        unpacked = machine.guest.archive_in(&path, tar) => unpacked,
        over = visit.over() => return Err(ApiError::conflict(over)),
    };
    unpacked.map_err(|error| match (broken.get(), &error) {
        (Some(Broken::TooLarge), _) => BodyError::TooLarge(ARCHIVE_BYTES).into(),
        (Some(Broken::Idle), _) => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("nothing of the archive came for {} s", IDLE_DEADLINE.as_secs()),
        ),
        // It names the member: whoever sent it can mend it.
        (None, GuestError::Refused { kind: RefusalKind::Other | RefusalKind::NotFound, .. }) => {
            ApiError::bad(error.to_string())
        }
        (None, _) => ApiError::file(&error),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why we broke a body off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    TooLarge,
    Idle,
}

/// A body that ends with an error when it is too large, or stands still; `broken` then says which.
fn bounded(
    body: impl Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin,
    limit: u64,
    broken: Arc<OnceLock<Broken>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(Some((body, limit)), move |state| {
        let broken = Arc::clone(&broken);
        let fail = move |why: Broken| {
            let _ = broken.set(why);
            Some((Err(io::Error::other("broken off")), None))
        };
        async move {
            let (mut body, left) = state?;
            let Ok(chunk) = tokio::time::timeout(IDLE_DEADLINE, body.next()).await else {
                return fail(Broken::Idle);
            };
            match chunk? {
                Err(error) => Some((Err(io::Error::other(error)), None)),
                Ok(chunk) => match left.checked_sub(chunk.len() as u64) {
                    Some(left) => Some((Ok(chunk), Some((body, left)))),
                    None => fail(Broken::TooLarge),
                },
            }
        }
    })
}

/// `GET /api/vms/{id}/archive?path=`
pub(super) async fn pack(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let visit = service.visit(&known, &id).await?;
    let machine = visit.machine();
    let path = place(&which.path, &machine.layout)?;
    let look = async { machine.guest.stat(&path).await.map_err(|error| ApiError::file(&error)) };
    let found = visit.while_open(look).await?;
    let kind = match found.map(|found| found.kind) {
        Some(FileKind::Directory) => "directory",
        Some(FileKind::File) => "file",
        Some(_) => return Err(ApiError::bad(format!("{path} is neither a file nor a directory"))),
        None => return Err(ApiError::new(StatusCode::NOT_FOUND, format!("{path}: there is no such file"))),
    };
    let (chunks, mut body) = mpsc::channel(QUEUED_CHUNKS);
    service.tasks.spawn(send(visit, path, chunks));
    // A first chunk, or why there is none, while the answer can still say so.
    let first = body.recv().await.unwrap_or_else(|| Err(ApiError::conflict("the archive ended early")))?;
    let rest = stream::once(async { Ok(first) }).chain(ReceiverStream::new(body));
    let headers = [(header::CONTENT_TYPE, "application/x-tar"), (HeaderName::from_static(KIND_HEADER), kind)];
    Ok((headers, Body::from_stream(rest)).into_response())
}

type Chunks = mpsc::Sender<Result<Bytes, ApiError>>;

/// Sends a tree through the sieve to the client.
async fn send(visit: Visit, path: String, chunks: Chunks) {
    let (packed, unsifted) = tokio::io::duplex(PIPE_BYTES);
    let (sifted, outgoing) = tokio::io::duplex(PIPE_BYTES);
    let sieve = tokio::task::spawn_blocking(move || {
        sieve::sift(SyncIoBridge::new(unsifted), SyncIoBridge::new(sifted))
    });
    let guest = &visit.machine().guest;
    let all = async {
        let packing = async {
            let packed = packed;
            guest.archive_out(&path, packed, ARCHIVE_BYTES).await
        };
        let (packed, sifted, sent) = tokio::join!(packing, sieve, deliver(outgoing, &chunks));
        // Of several errors, the one that caused the others: a sieve that stops breaks the packing off.
        match (sifted, packed) {
            _ if sent.is_err() => Ok(()),
            (Ok(Err(refused)), Ok(()) | Err(GuestError::Refused { kind: RefusalKind::Other, .. })) => {
                Err(ApiError::new(StatusCode::BAD_GATEWAY, format!("{path}: {refused}")))
            }
            (_, Err(error)) => Err(ApiError::file(&error)),
            (Err(panic), _) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, panic.to_string())),
            (Ok(_), Ok(())) => Ok(()),
        }
    };
    let ended = tokio::select! {
        ended = all => ended,
        over = visit.over() => Err(ApiError::conflict(over)),
    };
    if let Err(error) = ended {
        // Breaks the answer off, so that nobody takes it for whole.
        let _ = tokio::time::timeout(STALL_DEADLINE, chunks.send(Err(error))).await;
    }
}

/// The client is gone, or as good as.
struct Gone;

async fn deliver(mut outgoing: DuplexStream, chunks: &Chunks) -> Result<(), Gone> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIPE_BYTES / 4);
        let read = tokio::select! {
            read = outgoing.read_buf(&mut buffer) => read,
            () = chunks.closed() => return Err(Gone),
        };
        if read.is_ok_and(|read| read == 0) {
            return Ok(());
        }
        let chunk = Ok(buffer.split().freeze());
        match tokio::time::timeout(STALL_DEADLINE, chunks.send(chunk)).await {
            Ok(Ok(())) => {}
            _ => return Err(Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_beyond_the_bound_breaks_off_and_one_at_the_bound_does_not() {
        for (limit, whole) in [(6, true), (5, false)] {
            let chunks = stream::iter([Ok(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"def"))]);
            let broken = Arc::new(OnceLock::new());
            let got: Vec<_> = bounded(chunks, limit, Arc::clone(&broken)).collect().await;
            assert_eq!((got.len(), got[1].is_ok()), (2, whole));
            assert_eq!(broken.get().is_none(), whole);
        }
    }
}
