//! Commands in machines: what the API adds to what callers say, and the time that they may take.

use std::time::Duration;

use guest::client::{Exec, ExecEvent, ExecSpec, ExitStatus};
use machine::Layout;
use model::limits::JOB_TIMEOUT;
use tokio::time::Instant;

use super::error::ApiError;
use super::registry::Visit;

/// The longest time that a command may take: as long as a whole job.
pub(super) const MAX_TIMEOUT: Duration = JOB_TIMEOUT;

/// How much longer an agent may take to end a command whose time is up: it waits for what can't be killed.
const TIMEOUT_GRACE: Duration = Duration::from_secs(30);

/// Longest path: Linux's own bound.
const PATH_BYTES: usize = 4096;

/// The exit code of a command whose time was up, as `timeout` has it.
const TIMED_OUT: i32 = 124;

/// What a shell adds to the number of a signal.
const SIGNALLED: i32 = 128;

/// How long a command may take, by what the caller says.
pub(super) fn timeout(seconds: Option<u64>, usual: Duration) -> Result<Duration, ApiError> {
    match seconds.map(Duration::from_secs) {
        None => Ok(usual),
        Some(wanted) if wanted.is_zero() || wanted > MAX_TIMEOUT => {
            Err(ApiError::bad(format!("timeout_seconds is between 1 and {}", MAX_TIMEOUT.as_secs())))
        }
        Some(wanted) => Ok(wanted),
    }
}

/// A path of the machine: absolute, or below the work folder. One that climbs is refused: in a machine
/// it could do no harm, but nobody means it.
pub(super) fn place(path: &str, layout: &Layout) -> Result<String, ApiError> {
    let refused = |reason: &str| Err(ApiError::bad(format!("the path {path:?} {reason}")));
    if path.is_empty() || path.contains('\0') {
        return refused("is not one");
    }
    if path.len() > PATH_BYTES {
        return refused("is too long");
    }
    if path.split('/').any(|part| part == "..") {
        return refused("climbs by `..`; say where it leads");
    }
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    Ok(format!("{}/{path}", layout.work))
}

/// Starts a command. `spec` has what the caller said; the usual environment is laid below it.
pub(super) async fn start(visit: &Visit, mut spec: ExecSpec) -> Result<Exec, ApiError> {
    let (machine, info) = (visit.machine(), visit.info());
    let usual = [
        ("PATH", &info.path),
        ("HOME", &machine.layout.home),
        ("USER", &info.user),
        ("LANG", &"C.UTF-8".to_owned()),
    ];
    for (name, value) in usual {
        if !value.is_empty() && spec.env.iter().all(|(given, _)| given != name) {
            spec.env.push((name.to_owned(), value.clone()));
        }
    }
    spec.cwd = match spec.cwd.as_str() {
        "" => machine.layout.work.clone(),
        given => place(given, &machine.layout)?,
    };
    let start = async { machine.guest.exec(spec).await.map_err(|error| ApiError::command(&error)) };
    visit.while_open(start).await
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) exit_code: i32,
    pub(super) timed_out: bool,
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        let exit_code = match status {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(signal) => SIGNALLED.saturating_add(signal),
            ExitStatus::TimedOut => TIMED_OUT,
        };
        End { exit_code, timed_out: status == ExitStatus::TimedOut }
    }
}

/// A command that runs. It is killed when this is dropped.
pub(super) struct Running<'a> {
    visit: &'a Visit,
    exec: Exec,
    deadline: Instant,
}

impl<'a> Running<'a> {
    /// Watches a command that was started with this timeout.
    pub(super) fn new(visit: &'a Visit, exec: Exec, timeout: Duration) -> Self {
        Running { visit, exec, deadline: Instant::now() + timeout + TIMEOUT_GRACE }
    }

    /// What happens next; nothing does after its end. `Err`: nobody knows how it ended, and why.
    pub(super) async fn next(&mut self) -> Result<ExecEvent, String> {
        tokio::select! {
            biased;
            over = self.visit.over() => Err(over.to_owned()),
            event = self.exec.next() => match event {
                Ok(Some(event)) => Ok(event),
                Ok(None) => Err("the machine did not tell how it ended".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            () = tokio::time::sleep_until(self.deadline) => {
                Err(format!("the machine did not end it {} s after its time was up", TIMEOUT_GRACE.as_secs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_climbs_is_refused_and_a_relative_one_is_below_the_work_folder() {
        let folder = |name: &str| format!("/home/runner/{name}");
        let layout =
            Layout { home: folder(""), work: folder("work"), temp: folder("t"), tool_cache: folder("c") };
        for path in ["", "..", "../x", "a/../b", "/etc/../root", "a/..", "a\0b", &"x".repeat(5000)] {
            assert!(place(path, &layout).is_err(), "{path:?}");
        }
        assert_eq!(place("a/..b", &layout).unwrap(), "/home/runner/work/a/..b");
        assert_eq!(place("/etc/hosts", &layout).unwrap(), "/etc/hosts");
    }

    #[test]
    fn no_end_but_the_code_zero_looks_like_a_success() {
        assert_eq!(End::from(ExitStatus::Code(0)).exit_code, 0);
        for status in [ExitStatus::Code(1), ExitStatus::Signal(9), ExitStatus::TimedOut] {
            assert_ne!(End::from(status).exit_code, 0, "{status:?}");
        }
    }

    #[test]
    fn a_timeout_beyond_the_bounds_is_refused() {
        let usual = Duration::from_secs(5);
        assert_eq!(timeout(None, usual).unwrap(), usual);
        assert_eq!(timeout(Some(7), usual).unwrap(), Duration::from_secs(7));
        assert!(timeout(Some(0), usual).is_err());
        assert!(timeout(Some(u64::MAX), usual).is_err());
    }
}
