//! The folder of all logs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::JobId;
use rustix::io::Errno;

use super::live::LiveLogs;
use super::reader::LogReader;
use super::writer::LogWriter;
use crate::error::StoreError;

/// Where the logs of all jobs are. Cheap to clone; clones know of each other's writers.
///
/// One process at a time may write here: whoever has the data folder.
#[derive(Clone, Debug)]
pub struct LogFolder {
    root: Arc<Path>,
    live: LiveLogs,
}

impl LogFolder {
    /// Logs below this folder, which is made when the first is written.
    #[must_use]
    pub fn new(root: &Path) -> LogFolder {
        LogFolder { root: root.into(), live: LiveLogs::default() }
    }

    /// Begins the log of a job, or goes on with it. If its end was torn, the first new line says so.
    ///
    /// # Errors
    /// When it is being written already, and when the disk does not let it be opened. Blocks for some milliseconds.
    pub fn append(&self, job: JobId) -> Result<LogWriter, StoreError> {
        LogWriter::open(self.of(job), self.live.of(job)).map_err(|error| failed("open", job, &error))
    }

    /// A reader of the log of a job, which may be written meanwhile, or not have begun.
    #[must_use]
    pub fn read(&self, job: JobId) -> LogReader {
        LogReader::new(self.of(job), job, self.live.of(job))
    }

    /// All jobs that have a log, in no order. Blocks.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn jobs(&self) -> Result<Vec<JobId>, StoreError> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let mut jobs = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| self.unreadable(&error))?.file_name();
            jobs.extend(name.to_str().and_then(|name| name.parse().ok()).map(JobId));
        }
        Ok(jobs)
    }

    /// Removes the log of a job. One that is not there is fine. Blocks.
    ///
    /// # Errors
    /// When it is being written, and when the disk does not let it go.
    pub fn remove(&self, job: JobId) -> Result<(), StoreError> {
        if self.live.is_written(job) {
            return Err(failed("remove", job, &io::Error::other("it is being written")));
        }
        match std::fs::remove_dir_all(self.of(job)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", job, &error)),
            _ => Ok(()),
        }
    }

    fn of(&self, job: JobId) -> PathBuf {
        self.root.join(job.to_string())
    }

    fn unreadable(&self, error: &io::Error) -> StoreError {
        StoreError::Failed {
            operation: format!("read the folder of logs {}", self.root.display()),
            reason: error.to_string(),
        }
    }
}

/// An error about the log of a job.
pub(super) fn failed(operation: &str, job: JobId, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { what: format!("the log of job {job}") }
        }
        // The host's bounds of open files and memory, and its disk: nothing of this log.
        _ if is_of_the_host(error) => StoreError::Unavailable {
            operation: format!("{operation} the log of job {job}"),
            reason: error.to_string(),
        },
        _ => StoreError::Failed {
            operation: format!("{operation} the log of job {job}"),
            reason: error.to_string(),
        },
    }
}

fn is_of_the_host(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_the_host_may_pass_and_what_is_wrong_with_a_log_does_not() {
        for (errno, may) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::IO, true),
            (Errno::NOSPC, true),
            (Errno::ISDIR, false),
        ] {
            let error = failed("open", JobId(7), &errno.into());
            assert_eq!(error.may_pass(), may, "{error}");
        }
    }
}
