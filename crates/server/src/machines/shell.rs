//! `GET /api/vms/{id}/shell`: an interactive terminal over an upgraded connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use guest::client::{Exec, ExecEvent, ExecSpec, TtySize};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Service;
use super::authenticate::Known;
use super::command::{self, End, MAX_TIMEOUT};
use super::error::ApiError;
use super::exec::STALL_DEADLINE;
use super::frame::{Frame, PROTOCOL};
use super::read::Query;
use super::registry::Visit;

/// How long a client may take to begin, once it was told to.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);

/// Frames of a client that wait for the machine.
const QUEUED_FRAMES: usize = 16;

/// Rows and columns of a terminal whose client names none.
const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// Kind of terminal of a client that names none: every system knows it.
const TERM: &str = "xterm-256color";

/// Longest name of a kind of terminal.
const TERM_BYTES: usize = 64;

/// Which terminal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    rows: Option<u16>,
    columns: Option<u16>,
    term: Option<String>,
    /// What to run by `sh -c`, instead of a login shell.
    command: Option<String>,
}

/// `GET /api/vms/{id}/shell?rows=&columns=&term=&command=`
pub(super) async fn shell(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    mut request: Request,
) -> Result<Response, ApiError> {
    if !asks_for_upgrade(request.headers()) {
        let reason =
            format!("this route speaks {PROTOCOL}: send `Connection: upgrade` and `Upgrade: {PROTOCOL}`");
        return Err(ApiError::new(StatusCode::UPGRADE_REQUIRED, reason));
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(ApiError::bad("this connection can't be upgraded"));
    };
    let visit = service.visit(&known, &id).await?;
    let exec = start(&visit, &wanted).await?;
    visit.vm.log.say(format!("a shell for {}", known.caller.subject));
    service.tasks.spawn(async move {
        if let Ok(Ok(client)) = tokio::time::timeout(UPGRADE_DEADLINE, upgrade).await {
            serve(&visit, exec, client).await;
        }
        visit.vm.log.say("the shell has ended");
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, PROTOCOL)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response())
}

fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, PROTOCOL)
}

/// The caller's command, or the best shell that there is.
async fn start(visit: &Visit, wanted: &Wanted) -> Result<Exec, ApiError> {
    let term = wanted.term.clone().unwrap_or_else(|| TERM.to_owned());
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-+._".contains(letter);
    if term.is_empty() || term.len() > TERM_BYTES || !term.chars().all(plain) {
        return Err(ApiError::bad(format!("term {term:?} is not a kind of terminal")));
    }
    let spec = |argv: &[&str]| ExecSpec {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        // Debian's shells clear the screen when one ends that has no other around it.
        env: vec![("TERM".to_owned(), term.clone()), ("SHLVL".to_owned(), "1".to_owned())],
        stdin_open: true,
        tty: Some(TtySize { rows: wanted.rows.unwrap_or(ROWS), columns: wanted.columns.unwrap_or(COLUMNS) }),
        timeout: Some(MAX_TIMEOUT),
        ..ExecSpec::default()
    };
    if let Some(line) = &wanted.command {
        return command::start(visit, spec(&["sh", "-c", line])).await;
    }
    match command::start(visit, spec(&["bash", "-l"])).await {
        Ok(exec) => Ok(exec),
        Err(_) => command::start(visit, spec(&["sh", "-l"])).await,
    }
}

/// Carries a terminal until its command has ended, its client is gone, or the machine is to end.
async fn serve(visit: &Visit, exec: Exec, client: Upgraded) {
    let (from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (frames, incoming) = mpsc::channel(QUEUED_FRAMES);
    // Reading a frame must not be broken off in its middle, so it has a task of its own.
    let _reading = AbortOnDropHandle::new(tokio::spawn(read(from_client, frames)));
    let last = tokio::select! {
        ended = carry(exec, incoming, &mut to_client) => ended,
        over = visit.over() => Some(Frame::Error(over.to_owned())),
    };
    if let Some(last) = last {
        // A client that does not hear it sees the connection's end.
        let _ = tokio::time::timeout(STALL_DEADLINE, last.write(&mut to_client)).await;
    }
}

async fn read(mut client: ReadHalf<TokioIo<Upgraded>>, frames: mpsc::Sender<Frame>) {
    while let Ok(Some(frame)) = Frame::read(&mut client).await {
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}

/// `None`: the client is gone, and the command with it.
async fn carry(
    mut exec: Exec,
    mut frames: mpsc::Receiver<Frame>,
    client: &mut WriteHalf<TokioIo<Upgraded>>,
) -> Option<Frame> {
    loop {
        tokio::select! {
            event = exec.next() => {
                let data = match event {
                    Ok(Some(ExecEvent::Stdout(data) | ExecEvent::Stderr(data))) => data,
                    Ok(Some(ExecEvent::Exited(status))) => return Some(Frame::Exited(End::from(status).exit_code)),
                    Ok(None) => return Some(Frame::Error("the machine did not tell how it ended".to_owned())),
                    Err(error) => return Some(Frame::Error(error.to_string())),
                };
                let written = tokio::time::timeout(STALL_DEADLINE, Frame::Output(data).write(client)).await;
                if !matches!(written, Ok(Ok(()))) {
                    return None;
                }
            }
            frame = frames.recv() => {
                let taken = match frame? {
                    Frame::Input(data) => exec.write_stdin(data).await,
                    Frame::Resize { rows, columns } => exec.resize(TtySize { rows, columns }).await,
                    _ => return Some(Frame::Error("a client sends input and sizes only".to_owned())),
                };
                if let Err(error) = taken {
                    return Some(Frame::Error(error.to_string()));
                }
            }
        }
    }
}
