//! Reads a log, from any line on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use model::{JobId, LogLine, StepPhase, StepRef, Stream};

use super::cursor::{Cursor, Place};
use super::folder::failed;
use super::follow::Follow;
use super::live::{LiveLog, Progress};
use super::record;
use super::search::{Found, Pattern, search};
use super::writer::COMPLETE_FILE;
use crate::error::StoreError;

/// Most lines of one answer: some screens of them.
pub const PAGE_LINES: usize = 5000;

/// Text of one answer, after which it ends even if fewer lines than asked for are in it: long lines must not add up.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A line with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts the lines of the log from 0, over all tries of its job.
    pub number: u64,
    /// What was written; its `sequence` counts within a try.
    pub line: LogLine,
}

/// Reads the log of one job. It may be written meanwhile; what is there whole is seen.
///
/// A log that has not begun has no lines. Where lines are damaged, one line of Hearth's own stands for them.
#[derive(Clone, Debug)]
pub struct LogReader {
    folder: Arc<Path>,
    job: JobId,
    live: Arc<LiveLog>,
}

impl LogReader {
    pub(super) fn new(folder: PathBuf, job: JobId, live: Arc<LiveLog>) -> LogReader {
        LogReader { folder: folder.into(), job, live }
    }

    /// Lines from this number on: at most `count`, [`PAGE_LINES`], and [`PAGE_BYTES`], but one if there is one.
    ///
    /// # Errors
    /// When the disk does not give them.
    pub async fn lines(&self, from: u64, count: usize) -> Result<Vec<Line>, StoreError> {
        self.blocking(move |folder| page(&mut Cursor::at_line(folder, from)?, count)).await
    }

    /// Number of the first line of this time or later; of all lines, if there is none.
    ///
    /// # Errors
    /// When the disk does not give them.
    pub async fn at_time(&self, at: SystemTime) -> Result<u64, StoreError> {
        let micros = record::micros(at);
        self.blocking(move |folder| {
            let mut cursor = Cursor::before_time(folder, micros)?;
            loop {
                match cursor.advance()? {
                    Place::Line(number)
                        if cursor.record().is_some_and(|record| record.micros() >= micros) =>
                    {
                        return Ok(number);
                    }
                    Place::End => return Ok(cursor.number()),
                    Place::Line(_) | Place::Gap(..) => {}
                }
            }
        })
        .await
    }

    /// How many lines there are.
    ///
    /// # Errors
    /// When the disk does not tell.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.blocking(|folder| {
            let mut cursor = Cursor::near_end(folder)?;
            while cursor.advance()? != Place::End {}
            Ok(cursor.number())
        })
        .await
    }

    /// Lines from this number on that have this in them, at most `limit` and as [bounded](LogReader::lines) as a page.
    /// Reads [`SCAN_BYTES`](super::SCAN_BYTES) at most, and says where to go on.
    ///
    /// # Errors
    /// When the disk does not give them.
    pub async fn search(&self, pattern: &Pattern, from: u64, limit: usize) -> Result<Found, StoreError> {
        let pattern = pattern.clone();
        self.blocking(move |folder| search(&mut Cursor::at_line(folder, from)?, &pattern, limit)).await
    }

    /// Whether nothing follows what is there.
    ///
    /// # Errors
    /// When the disk does not tell.
    pub async fn is_complete(&self) -> Result<bool, StoreError> {
        let progress = *self.live.progress.borrow();
        self.blocking(move |folder| is_complete(folder, progress)).await
    }

    /// All lines from this number on, those that are there and then those that come.
    #[must_use]
    pub fn follow(&self, from: u64) -> Follow {
        Follow::new(self.clone(), self.live.progress.subscribe(), from)
    }

    /// Does it where blocking is allowed.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        let done = tokio::task::spawn_blocking(move || read(&folder)).await;
        done.unwrap_or_else(|ended| Err(io::Error::other(ended)))
            .map_err(|error| failed("read", self.job, &error))
    }
}

/// Whether nothing follows in the log in this folder, whose writer is so far.
pub(super) fn is_complete(folder: &Path, progress: Progress) -> io::Result<bool> {
    match progress {
        Progress::Complete => Ok(true),
        Progress::Writing(_) => Ok(false),
        Progress::Idle => folder.join(COMPLETE_FILE).try_exists(),
    }
}

/// The lines that come next, as many as an answer may have.
pub(super) fn page(cursor: &mut Cursor, count: usize) -> io::Result<Vec<Line>> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < count.min(PAGE_LINES) && bytes < PAGE_BYTES {
        let line = match cursor.advance()? {
            Place::Line(number) => cursor.record().map(|record| Line { number, line: record.line() }),
            Place::Gap(from, to) => Some(gap(from, to)),
            Place::End => break,
        };
        bytes += line.as_ref().map_or(0, |line| line.line.text.len());
        lines.extend(line);
    }
    Ok(lines)
}

/// What stands for lines that are damaged.
fn gap(from: u64, to: Option<u64>) -> Line {
    let text = match to {
        Some(to) => format!("[{} lines of this log are damaged]", to - from),
        None => "[the rest of this log is damaged]".to_owned(),
    };
    let step = StepRef { index: 0, phase: StepPhase::SetUp };
    let line = LogLine { step, sequence: 0, stream: Stream::Hearth, at: record::time(0), text };
    Line { number: from, line }
}
