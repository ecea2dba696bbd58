//! Follows a log while it is written.

use std::io;

use tokio::sync::watch;

use super::cursor::Cursor;
use super::live::Progress;
use super::reader::{Line, LogReader, PAGE_LINES, is_complete, page};
use crate::error::StoreError;

/// All lines of a log from some line on: first those that are there, then those that come.
#[derive(Debug)]
pub struct Follow {
    reader: LogReader,
    progress: watch::Receiver<Progress>,
    /// Number of the next line.
    next: u64,
    /// Where it was found; made anew if a call was given up.
    cursor: Option<Cursor>,
}

impl Follow {
    pub(super) fn new(reader: LogReader, progress: watch::Receiver<Progress>, from: u64) -> Follow {
        Follow { reader, progress, next: from, cursor: None }
    }

    /// The next lines, as soon as there are any, at most a page of them; none when the log is complete and all of it
    /// was given. Waits for a log that has not begun, and for one whose job is tried again. May be given up at any
    /// time, and called again.
    ///
    /// # Errors
    /// When the disk does not give them.
    pub async fn next(&mut self) -> Result<Vec<Line>, StoreError> {
        loop {
            // Looked at before reading: what is written after the look wakes the wait.
            let progress = *self.progress.borrow_and_update();
            let (cursor, from) = (self.cursor.take(), self.next);
            let read = self.reader.blocking(move |folder| {
                let is_complete = is_complete(folder, progress)?;
                let mut cursor = match cursor {
                    Some(mut cursor) => {
                        cursor.resume()?;
                        cursor
                    }
                    None => Cursor::at_line(folder, from)?,
                };
                let lines = page(&mut cursor, PAGE_LINES)?;
                io::Result::Ok((lines, cursor, is_complete))
            });
            let (mut lines, cursor, is_complete) = read.await?;
            // Whoever asks for lines that are still to come does not want those before them.
            lines.retain(|line| line.number >= from);
            self.next = from.max(cursor.number());
            self.cursor = Some(cursor);
            if is_complete || !lines.is_empty() {
                return Ok(lines);
            }
            // The sender lives as long as the reader does.
            if self.progress.changed().await.is_err() {
                return Ok(lines);
            }
        }
    }
}
