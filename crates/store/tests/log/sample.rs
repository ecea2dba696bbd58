//! Logs to look at.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{JobId, LogLine, StepPhase, StepRef, Stream};
use store::log::{Line, LogFolder};
use tempfile::TempDir;

pub(crate) const JOB: JobId = JobId(17);

/// A folder of logs of its own.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) logs: LogFolder,
}

impl World {
    pub(crate) fn new() -> World {
        let folder = TempDir::new().expect("a folder");
        let logs = LogFolder::new(&folder.path().join("logs"));
        World { folder, logs }
    }

    /// The same folder as after a restart.
    pub(crate) fn again(self) -> World {
        let logs = LogFolder::new(&self.folder.path().join("logs"));
        World { folder: self.folder, logs }
    }

    /// The segments of the job's log, in order.
    pub(crate) fn segments(&self) -> Vec<std::path::PathBuf> {
        let folder = self.folder.path().join("logs").join(JOB.to_string());
        let mut all: Vec<_> =
            folder.read_dir().expect("a log").map(|entry| entry.expect("an entry").path()).collect();
        all.retain(|path| path.extension().is_some());
        all.sort();
        all
    }
}

/// So many milliseconds after some noon.
pub(crate) fn moment(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_750_000_000_000 + ms)
}

pub(crate) fn line(sequence: u64, text: &str) -> LogLine {
    LogLine {
        step: StepRef { index: 3, phase: StepPhase::Main },
        sequence,
        stream: Stream::Stdout,
        at: moment(sequence * 10),
        text: text.to_owned(),
    }
}

/// Lines of some 100 bytes, each with its number in it.
pub(crate) fn many(range: std::ops::Range<u64>) -> Vec<LogLine> {
    range.map(|n| line(n, &format!("line {n} {}", "x".repeat(90)))).collect()
}

pub(crate) fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.line.text.as_str()).collect()
}

pub(crate) fn numbers(lines: &[Line]) -> Vec<u64> {
    lines.iter().map(|line| line.number).collect()
}
