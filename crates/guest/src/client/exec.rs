//! The host's end of a running process.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::error::{broken, failure};
use super::{Exec, ExecEvent, ExecSpec, ExitStatus, Guest, GuestError, RefusalKind, TtySize};
use crate::bounds::{CHUNK_BYTES, QUEUED_MESSAGES, START_BYTES};
use crate::wire::exec_request::Request;
use crate::wire::exec_response::Event;
use crate::wire::{self, ExecRequest, ExecResponse, ExecStart, exited};

const RUN: &str = "running";

impl Guest {
    /// Starts a process.
    ///
    /// # Errors
    /// [`GuestError::Refused`] names the program, working directory, or user that was not to be
    /// had: with [`super::RefusalKind::NotFound`] a shell would have said 127, with `Denied` 126.
    pub async fn exec(&self, spec: ExecSpec) -> Result<Exec, GuestError> {
        let program = spec.argv.first().cloned().unwrap_or_default();
        if start_bytes(&spec) > START_BYTES {
            return Err(GuestError::Refused {
                operation: RUN,
                object: program,
                reason: format!("more than {START_BYTES} bytes of arguments, environment, and files"),
                kind: RefusalKind::Invalid,
            });
        }
        let (stdin, more) = mpsc::channel(QUEUED_MESSAGES);
        let stdin = spec.stdin_open.then_some(stdin);
        let requests = tokio_stream::iter(opening(spec)).chain(ReceiverStream::new(more));
        let answer = self.rpc().exec(requests).await;
        let mut events = answer.map_err(|status| failure(RUN, &program, &status))?.into_inner();
        let started = events.message().await.map_err(|status| failure(RUN, &program, &status))?;
        let Some(ExecResponse { event: Some(Event::Started(started)) }) = started else {
            return Err(broken(RUN, "a process that was not started"));
        };
        Ok(Exec {
            guest: self.clone(),
            number: started.exec,
            program,
            events,
            stdin: Mutex::new(stdin),
            last: Last::default(),
            ended: false,
        })
    }
}

/// What is told of a process at its end beside its status.
#[derive(Debug, Default)]
pub(super) struct Last {
    sizes: Vec<u64>,
    out_of_memory: bool,
}

fn start_bytes(spec: &ExecSpec) -> usize {
    let arguments: usize = spec.argv.iter().map(|argument| argument.len() + 1).sum();
    let environment: usize = spec.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let files: usize = spec.files.iter().map(|file| file.path.len() + file.data.len()).sum();
    arguments + environment + files
}

/// The requests that start a process; input beyond the first chunk follows in its own.
fn opening(spec: ExecSpec) -> Vec<ExecRequest> {
    let mut stdin = spec.stdin;
    let has_stdin = spec.stdin_open || !stdin.is_empty();
    let start = ExecStart {
        argv: spec.argv,
        cwd: spec.cwd,
        env: spec.env.into_iter().map(|(name, value)| wire::Variable { name, value }).collect(),
        user: spec.user,
        tty: spec.tty.map(to_wire),
        timeout_millis: spec.timeout.map_or(0, millis),
        stdin: stdin.split_to(stdin.len().min(CHUNK_BYTES)),
        has_stdin,
        files: spec.files.into_iter().map(super::files::new_file).collect(),
        report: spec.report,
    };
    let mut requests = vec![ExecRequest { request: Some(Request::Start(start)) }];
    while !stdin.is_empty() {
        requests.push(input(stdin.split_to(stdin.len().min(CHUNK_BYTES))));
    }
    requests
}

fn input(data: Bytes) -> ExecRequest {
    ExecRequest { request: Some(Request::Stdin(data)) }
}

fn to_wire(size: TtySize) -> wire::TtySize {
    wire::TtySize { rows: size.rows.into(), columns: size.columns.into() }
}

/// At least one: zero means "none" on the wire, and a time that is up at once is not none.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Exec {
    /// The next event, in the order in which the agent read the pipes; `None` after `Exited`.
    ///
    /// # Errors
    /// [`GuestError::Lost`] when the stream breaks or ends before the process's end was told.
    pub async fn next(&mut self) -> Result<Option<ExecEvent>, GuestError> {
        if self.ended {
            return Ok(None);
        }
        let event = next_event(&mut self.events, &self.program, &mut self.last).await;
        self.ended = !matches!(event, Ok(ExecEvent::Stdout(_) | ExecEvent::Stderr(_)));
        event.map(Some)
    }

    /// Sizes of the files of [`ExecSpec::report`], in order, once the process is over; zero where there is none.
    pub fn sizes(&self) -> &[u64] {
        &self.last.sizes
    }

    /// Whether the machine's memory ran out while the process, which has failed, was there: its
    /// kernel has then killed one. Known of machines with a kernel of their own, once it is over.
    pub fn out_of_memory(&self) -> bool {
        self.last.out_of_memory
    }

    /// Sends a signal to the process group (numbers of Linux). Fine if the process is over.
    ///
    /// # Errors
    /// When there is no such signal, or the agent is lost.
    pub async fn signal(&self, signal: i32) -> Result<(), GuestError> {
        let request = wire::SignalRequest { exec: self.number, signal };
        let answer = self.guest.rpc().signal(request).await;
        answer.map(drop).map_err(|status| failure("signalling", &self.program, &status))
    }

    /// More standard input; an empty chunk closes it. Waits while the process does not read.
    /// What a process no longer reads goes nowhere.
    ///
    /// # Errors
    /// None so far: a lost agent shows in [`Exec::next`].
    pub async fn write_stdin(&self, mut data: Bytes) -> Result<(), GuestError> {
        let mut stdin = self.stdin.lock().await;
        if data.is_empty() {
            *stdin = None;
            return Ok(());
        }
        while let Some(open) = stdin.as_ref().filter(|_| !data.is_empty()) {
            if open.send(input(data.split_to(data.len().min(CHUNK_BYTES)))).await.is_err() {
                *stdin = None;
            }
        }
        Ok(())
    }

    /// New size of the terminal.
    ///
    /// # Errors
    /// When the agent is lost.
    pub async fn resize(&self, size: TtySize) -> Result<(), GuestError> {
        let request = wire::ResizeRequest { exec: self.number, size: Some(to_wire(size)) };
        let answer = self.guest.rpc().resize(request).await;
        answer.map(drop).map_err(|status| failure("resizing the terminal of", &self.program, &status))
    }
}

async fn next_event(
    events: &mut Streaming<ExecResponse>,
    program: &str,
    last: &mut Last,
) -> Result<ExecEvent, GuestError> {
    let message = events.message().await.map_err(|status| failure(RUN, program, &status))?;
    let Some(message) = message else {
        return Err(broken(RUN, "the output ended before the process"));
    };
    match message.event {
        Some(Event::Stdout(data)) => Ok(ExecEvent::Stdout(data)),
        Some(Event::Stderr(data)) => Ok(ExecEvent::Stderr(data)),
        Some(Event::Exited(exited)) => {
            *last = Last { sizes: exited.sizes, out_of_memory: exited.out_of_memory };
            Ok(ExecEvent::Exited(match exited.status {
                Some(exited::Status::Code(code)) => ExitStatus::Code(code),
                Some(exited::Status::Signal(signal)) => ExitStatus::Signal(signal),
                Some(exited::Status::TimedOut(_)) => ExitStatus::TimedOut,
                None => return Err(broken(RUN, "an end without a status")),
            }))
        }
        Some(Event::Started(_)) | None => Err(broken(RUN, "an unknown event")),
    }
}
