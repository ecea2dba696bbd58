//! The agent as a process of its own: what `hearth __agent --fd N` does.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};

use super::{Options, Scope, spawn};

/// The hidden first argument by which a binary is asked to be the agent. `--fd N` follows.
pub const AGENT_ARGUMENT: &str = "__agent";

/// Becomes the agent if the arguments of this process say so. To be called first in `main`,
/// before there is a second thread.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != AGENT_ARGUMENT {
        return None;
    }
    let fd = match (args.next(), args.next()) {
        (Some(flag), Some(number)) if flag == "--fd" => {
            number.to_str().and_then(|number| number.parse().ok())
        }
        _ => None,
    };
    let Some(fd) = fd else {
        eprintln!("usage: {AGENT_ARGUMENT} --fd N (started by Hearth's drivers, not by people)");
        return Some(ExitCode::from(2));
    };
    Some(main_from_fd(fd))
}

/// Serves the socket with this number until it ends, then ends all processes below this one.
///
/// The process becomes the agent for good: it takes orphans in, leaves its session, and
/// answers TERM by ending everything (as the first process of a machine: by nothing).
#[must_use]
pub fn main_from_fd(fd: RawFd) -> ExitCode {
    match settle(fd).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hearth agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the process an agent's: orphans become its children, nothing of a terminal reaches it.
fn settle(fd: RawFd) -> io::Result<UnixStream> {
    let stream = take_stream(fd)?;
    nix::sys::prctl::set_child_subreaper(true)?;
    // Fails when we lead a session already, which is as good.
    let _ = nix::unistd::setsid();
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    Ok(stream)
}

/// Moves the stream away from the standard descriptors, and keeps it from children.
fn take_stream(fd: RawFd) -> io::Result<UnixStream> {
    const FIRST_OWN: RawFd = 3;
    #[expect(unsafe_code, reason = "a descriptor's number is all that a parent can hand over")]
    // SAFETY: whoever starts an agent gives it this descriptor; nothing else here uses it.
    let given = unsafe { OwnedFd::from_raw_fd(fd) };
    let stream = fcntl(&given, FcntlArg::F_DUPFD_CLOEXEC(FIRST_OWN))
        .map_err(|error| io::Error::other(format!("descriptor {fd} is not open: {error}")))?;
    #[expect(unsafe_code, reason = "a descriptor's number is all that the call returns")]
    // SAFETY: the call has just made it, for us alone.
    let stream = unsafe { OwnedFd::from_raw_fd(stream) };
    if fd < FIRST_OWN {
        replace(given, &spawn::null()?)?;
    }
    let stream = UnixStream::from(stream);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Puts `by` in the place of `old`, which stays open under its number.
fn replace(old: OwnedFd, by: &impl AsFd) -> io::Result<()> {
    let mut old = old;
    nix::unistd::dup2(by, &mut old)?;
    std::mem::forget(old);
    Ok(())
}

fn run(stream: UnixStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stream = tokio::net::UnixStream::from_std(stream)?;
        let options = Options::new(Scope::Process);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let told_to_end = async {
            if std::process::id() == 1 {
                // In a machine only the job could have sent them: whoever owns the machine kills it.
                std::future::pending::<()>().await;
            }
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {}
            }
        };
        tokio::pin!(told_to_end);
        super::serve_until(stream, options, told_to_end).await
    })?;
    // Threads that still pack or unpack a tree have nobody left to do it for.
    runtime.shutdown_background();
    Ok(())
}
