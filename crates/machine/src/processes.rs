//! Processes of the host: telling one life of a process id from the next, and finding what a
//! machine left behind.

use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// One life of a process id: ids are used again, together with the time of start they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// Process id.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the host's boot.
    pub(crate) started: u64,
}

impl Life {
    /// This process.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id().cast_signed())
    }

    /// The process that has this id now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, even `)`: the fields come after the last one.
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let fields = std::str::from_utf8(&stat[after_name..]).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        // Over, but its parent has not asked yet how it ended; that may never happen.
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        // starttime is field 22; the first three (id, name, state) are behind us.
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Whether it still runs.
    pub(crate) fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Kills all processes whose environment began with this variable, until there are none or
/// `patience` is over. How many were found.
pub(crate) fn kill_marked(name: &str, value: &str, patience: Duration) -> usize {
    let marker = format!("{name}={value}");
    let deadline = Instant::now() + patience;
    let mut killed = 0;
    loop {
        let found = marked(marker.as_bytes());
        if found.is_empty() || Instant::now() > deadline {
            return killed;
        }
        killed += found.len();
        for pid in &found {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        for pid in found {
            wait_for_end(pid, deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// Waits until a process has ended, at most so long. Whether it has.
pub(crate) fn wait_for_end(pid: i32, patience: Duration) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return true };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(error) => return error == rustix::io::Errno::SRCH,
    };
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], left) {
            Ok(ended) => return ended > 0,
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

fn marked(marker: &[u8]) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == marker))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_until_it_is_killed_even_if_nobody_collects_it() {
        assert!(Life::own().unwrap().runs());
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id().cast_signed();
        let life = Life::of(pid).unwrap();
        assert!(life.runs());
        assert!(!Life { started: life.started + 1, ..life }.runs());
        child.kill().unwrap();
        assert!(wait_for_end(pid, Duration::from_secs(10)));
        assert!(!life.runs());
        child.wait().unwrap();
        assert!(!life.runs());
    }
}
