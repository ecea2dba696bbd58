//! Ctrl-Z: what is live on the screen goes before the shell takes the terminal, and comes back with the run.

use rustix::process::{Pid, Signal, getpgid, getpgrp, getpid, getppid, getsid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use super::drive::Screen;

/// Minds the key for as long as this lives.
pub(super) struct Suspension {
    _task: AbortOnDropHandle<()>,
}

impl Suspension {
    /// From now on the key alone no longer stops the process: the screen goes first.
    pub(super) fn mind(screen: &Screen) -> std::io::Result<Suspension> {
        let mut keys = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        let screen = screen.clone();
        let task = tokio::spawn(async move {
            while keys.recv().await.is_some() {
                // Held while the process stands still, so that nobody draws in between.
                let mut output = screen.lock();
                output.pause();
                if is_looked_after() {
                    // A process may always stop itself.
                    let _ = kill_process(getpid(), Signal::STOP);
                }
            }
        });
        Ok(Suspension { _task: AbortOnDropHandle::new(task) })
    }
}

/// Whether somebody of this session, outside of this group of processes, could let it go on. A group without such a
/// one is not stopped by the kernel either: it would stand still for ever.
fn is_looked_after() -> bool {
    let (group, session) = (getpgrp(), getsid(None));
    let mut parent = getppid();
    while let Some(process) = parent.filter(|process| getsid(Some(*process)) == session) {
        if getpgid(Some(process)) != Ok(group) {
            return true;
        }
        parent = parent_of(process);
    }
    false
}

fn parent_of(process: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // Behind the name, which may hold anything: the state, and the parent.
    let (_, behind) = stat.rsplit_once(')')?;
    Pid::from_raw(behind.split_whitespace().nth(1)?.parse().ok()?)
}
