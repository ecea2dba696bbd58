//! The agent's children: who is running, and how those ended who are not.
//!
//! One owner collects all exit statuses. Were each process waited for by itself and orphans
//! by "wait for anybody", the second would steal from the first.

use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::process::WaitOptions;
use tokio::sync::{Notify, oneshot};

use super::processes;

/// Which processes are the agent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All below this one, orphans too: the agent has the process to itself.
    Process,
    /// Only those that it started: others in this process have children too.
    Library,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Code(i32),
    Signal(i32),
}

/// Processes that were started and whose end was not yet seen.
///
/// As long as a process is in here its id can't be given to another, so signals reach the right one.
pub(super) struct Children {
    scope: Scope,
    running: Mutex<HashMap<i32, oneshot::Sender<Ended>>>,
    changed: Notify,
}

impl Children {
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, running: Mutex::default(), changed: Notify::new() }
    }

    /// Starts a process. The lock is held meanwhile, so that it can't end unknown.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<(Child, oneshot::Receiver<Ended>)> {
        let mut running = self.lock();
        let child = command.spawn()?;
        let (tell, told) = oneshot::channel();
        running.insert(child.id().cast_signed(), tell);
        Ok((child, told))
    }

    /// Sends a signal to the group that a process leads. Fine if it is over.
    pub(super) fn signal_group(&self, pid: i32, signal: Signal) -> Result<(), Errno> {
        let running = self.lock();
        if !running.contains_key(&pid) {
            return Ok(());
        }
        match killpg(Pid::from_raw(pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Kills a process, its group, and all that descend from it and have not been orphaned.
    pub(super) fn kill_tree(&self, pid: i32) {
        let running = self.lock();
        if running.contains_key(&pid) {
            let below = processes::descendants(pid);
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            processes::send_each(&below, Signal::SIGKILL);
        }
    }

    /// Collects everyone who has ended. To be called at each SIGCHLD.
    pub(super) fn reap(&self) {
        let mut running = self.lock();
        let mut changed = false;
        match self.scope {
            Scope::Process => {
                while let Some((pid, ended)) = wait_for(None) {
                    tell(running.remove(&pid), ended);
                    changed = true;
                }
            }
            Scope::Library => {
                let pids: Vec<i32> = running.keys().copied().collect();
                for pid in pids {
                    if let Some((pid, ended)) = wait_for(rustix::process::Pid::from_raw(pid)) {
                        tell(running.remove(&pid), ended);
                        changed = true;
                    }
                }
            }
        }
        if changed {
            self.changed.notify_waiters();
        }
    }

    /// Ends everyone: TERM, and KILL for those who are there after `grace`.
    pub(super) async fn end_all(&self, grace: std::time::Duration) {
        if !grace.is_zero() && self.anyone() {
            self.send_all(Signal::SIGTERM);
            let _ = tokio::time::timeout(grace, self.all_gone(None)).await;
        }
        let kill = self.all_gone(Some(Signal::SIGKILL));
        let _ = tokio::time::timeout(crate::bounds::KILL_DEADLINE, kill).await;
    }

    /// Kills everyone without waiting for their end.
    pub(super) fn kill_all(&self) {
        if self.anyone() {
            self.send_all(Signal::SIGKILL);
        }
    }

    /// Waits until nobody is left; `again` is sent in each round, to those who were born meanwhile.
    async fn all_gone(&self, again: Option<Signal>) {
        loop {
            let changed = self.changed.notified();
            self.reap();
            if !self.anyone() {
                return;
            }
            if let Some(signal) = again {
                self.send_all(signal);
            }
            // A grandchild's end tells us nothing until it is orphaned, hence the second arm.
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn anyone(&self) -> bool {
        match self.scope {
            Scope::Process => !processes::descendants(own_pid()).is_empty(),
            Scope::Library => !self.lock().is_empty(),
        }
    }

    fn send_all(&self, signal: Signal) {
        match self.scope {
            Scope::Process => processes::send_all_below(own_pid(), signal),
            Scope::Library => {
                for pid in self.lock().keys() {
                    let below = processes::descendants(*pid);
                    let _ = killpg(Pid::from_raw(*pid), signal);
                    processes::send_each(&below, signal);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<Ended>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How soon those who are being ended are looked at again when nothing is heard of them.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(10);

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn tell(waiting: Option<oneshot::Sender<Ended>>, ended: Ended) {
    if let Some(waiting) = waiting {
        let _ = waiting.send(ended);
    }
}

/// The next of `whom` (`None`: of all children) that has ended, if any.
fn wait_for(whom: Option<rustix::process::Pid>) -> Option<(i32, Ended)> {
    loop {
        // To rustix's `waitpid`, `None` is our process group: others are not in it.
        let next = match whom {
            Some(pid) => rustix::process::waitpid(Some(pid), WaitOptions::NOHANG),
            None => rustix::process::wait(WaitOptions::NOHANG),
        };
        let (pid, status) = match next {
            Ok(Some(ended)) => ended,
            Err(rustix::io::Errno::INTR) => continue,
            Ok(None) | Err(_) => return None,
        };
        let pid = pid.as_raw_nonzero().get();
        if let Some(code) = status.exit_status() {
            return Some((pid, Ended::Code(code)));
        }
        if let Some(signal) = status.terminating_signal() {
            return Some((pid, Ended::Signal(signal)));
        }
    }
}
