//! `POST /api/vms/{id}/exec`: a command, and its output as it comes, a JSON object a line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use guest::client::{Exec, ExecEvent, ExecSpec};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::Service;
use super::authenticate::Known;
use super::command::{self, End, MAX_TIMEOUT};
use super::error::ApiError;
use super::lifecycle::random_id;
use super::log::LogSource;
use super::read::Json;
use super::registry::Visit;
use super::text::Characters;
use super::wire::{self, ExecLine, Output};

/// Lines that wait for a client; the machine's own window does the buffering.
const QUEUED_LINES: usize = 4;

/// How long a client may take no line while one waits. The command stands still meanwhile.
pub(super) const STALL_DEADLINE: Duration = Duration::from_secs(60);

/// `POST /api/vms/{id}/exec`
pub(super) async fn exec(
    State(service): State<Arc<Service>>,
    Extension(known): Extension<Known>,
    Path(id): Path<String>,
    Json(wanted): Json<wire::Exec>,
) -> Result<Response, ApiError> {
    if wanted.argv.is_empty() {
        return Err(ApiError::bad("argv is empty: name a program"));
    }
    let timeout = command::timeout(wanted.timeout_seconds, MAX_TIMEOUT)?;
    let visit = service.visit(&known, &id).await?;
    let execution_id = random_id("exec").map_err(|error| ApiError::conflict(error.to_string()))?;
    visit.vm.log.say(format!("{execution_id}: {}", wanted.argv.join(" ")));
    let spec = ExecSpec {
        argv: wanted.argv,
        cwd: wanted.working_dir.unwrap_or_default(),
        env: wanted.env.into_iter().collect(),
        user: wanted.user,
        stdin: Bytes::from(wanted.stdin.unwrap_or_default()),
        timeout: Some(timeout),
        ..ExecSpec::default()
    };
    let exec = command::start(&visit, spec).await?;
    let (lines, body) = mpsc::channel(QUEUED_LINES);
    service.tasks.spawn(Told { visit, exec, timeout, execution_id, lines }.tell());
    let body = ReceiverStream::new(body).map(Ok::<_, std::convert::Infallible>);
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// A command whose client listens.
struct Told {
    visit: Visit,
    exec: Exec,
    timeout: Duration,
    execution_id: String,
    lines: mpsc::Sender<Bytes>,
}

impl Told {
    /// Sends every line, until the command has ended or the client is gone.
    async fn tell(self) {
        let Told { visit, exec, timeout, execution_id, lines } = self;
        let began = Instant::now();
        let teller = Teller {
            visit: &visit,
            execution_id: &execution_id,
            lines: &lines,
            stdout: Characters::default(),
            stderr: Characters::default(),
        };
        let ended = tokio::select! {
            ended = teller.follow(command::Running::new(&visit, exec, timeout)) => ended,
            // The command dies with the client's interest in it.
            () = lines.closed() => Err("the client went away".to_owned()),
            // Also while a line waits for the client.
            over = visit.over() => Err(over.to_owned()),
        };
        let said = match &ended {
            Ok(end) => format!("exit code {}", end.exit_code),
            Err(error) => error.clone(),
        };
        visit.vm.log.say(format!("{execution_id}: {said}"));
        let last = match ended {
            Ok(end) => ExecLine::Exited {
                exit_code: end.exit_code,
                timed_out: end.timed_out,
                duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
            Err(error) => ExecLine::Error { error },
        };
        // The machine need not wait for a client that is slow to hear the end.
        drop(visit);
        // Who does not hear the last line knows that the stream has broken off.
        let _ = send(&lines, &last).await;
    }
}

/// Makes lines of output, for the client and for the machine's log.
struct Teller<'a> {
    visit: &'a Visit,
    execution_id: &'a str,
    lines: &'a mpsc::Sender<Bytes>,
    stdout: Characters,
    stderr: Characters,
}

impl Teller<'_> {
    /// Tells of a command until it has ended.
    async fn follow(mut self, mut running: command::Running<'_>) -> Result<End, String> {
        send(self.lines, &ExecLine::Started { execution_id: self.execution_id.to_owned() }).await?;
        loop {
            match running.next().await? {
                ExecEvent::Stdout(chunk) => {
                    let bytes = self.stdout.take(&chunk);
                    self.output(LogSource::Stdout, bytes).await?;
                }
                ExecEvent::Stderr(chunk) => {
                    let bytes = self.stderr.take(&chunk);
                    self.output(LogSource::Stderr, bytes).await?;
                }
                ExecEvent::Exited(status) => {
                    let (stdout, stderr) = (self.stdout.rest(), self.stderr.rest());
                    self.output(LogSource::Stdout, stdout).await?;
                    self.output(LogSource::Stderr, stderr).await?;
                    return Ok(End::from(status));
                }
            }
        }
    }

    async fn output(&self, source: LogSource, bytes: Vec<u8>) -> Result<(), String> {
        if bytes.is_empty() {
            return Ok(());
        }
        let log = &self.visit.vm.log;
        log.add(source, Some(self.execution_id), String::from_utf8_lossy(&bytes).into_owned());
        let output = match String::from_utf8(bytes) {
            Ok(text) => Output::Text(text),
            Err(error) => Output::Base64(STANDARD.encode(error.as_bytes())),
        };
        let line =
            if source == LogSource::Stdout { ExecLine::Stdout(output) } else { ExecLine::Stderr(output) };
        send(self.lines, &line).await
    }
}

async fn send(lines: &mpsc::Sender<Bytes>, line: &ExecLine) -> Result<(), String> {
    let mut text = serde_json::to_vec(line).map_err(|error| error.to_string())?;
    text.push(b'\n');
    match tokio::time::timeout(STALL_DEADLINE, lines.send(text.into())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err("the client went away".to_owned()),
        Err(_) => Err(format!("the client took no output for {} s", STALL_DEADLINE.as_secs())),
    }
}
