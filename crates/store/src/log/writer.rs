//! Appends to a log.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use model::{LogLine, StepPhase, StepRef, Stream};

use super::folder::failed;
use super::live::{LiveLog, Progress};
use super::record;
use super::segment::{End, MAGIC, SEGMENT_BYTES, Segment};
use crate::error::StoreError;

/// Lines are handed to the kernel when so much of them has gathered, if the caller does not flush before: large
/// enough to make the call cheap, small against a segment.
const BUFFER_BYTES: usize = 128 * 1024;

/// Says that nothing follows.
pub(super) const COMPLETE_FILE: &str = "complete";

/// Writes the log of one job.
///
/// A line that was [flushed](LogWriter::flush) survives the end of the process; what a log needs to survive
/// the loss of power is done by [`LogWriter::finish`]. Dropping it flushes, and leaves the log open to be gone on
/// with.
#[derive(Debug)]
pub struct LogWriter {
    folder: PathBuf,
    live: Arc<LiveLog>,
    /// The last segment, and its length.
    file: Option<(File, u64)>,
    /// Segments that may not be on the disk yet.
    unsynced: Vec<PathBuf>,
    buffer: Vec<u8>,
    /// Lines that are in the kernel's hands.
    flushed: u64,
    buffered: u64,
    /// The latest time so far.
    micros: u64,
    loss: Loss,
    is_finished: bool,
}

/// Lines that there was no room for.
#[derive(Debug, Default)]
struct Loss {
    lines: u64,
    /// Whether the buffer has a line that says so.
    is_told: bool,
}

impl LogWriter {
    /// Begins or goes on.
    pub(super) fn open(folder: PathBuf, live: Arc<LiveLog>) -> io::Result<LogWriter> {
        if !live.begin() {
            return Err(io::Error::other("it is being written already"));
        }
        // From here on, dropping it lets others write.
        let mut writer = LogWriter {
            folder,
            live,
            file: None,
            unsynced: Vec::new(),
            buffer: Vec::new(),
            flushed: 0,
            buffered: 0,
            micros: 0,
            loss: Loss::default(),
            is_finished: false,
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&writer.folder)?;
        match std::fs::remove_file(writer.folder.join(COMPLETE_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        writer.go_on()?;
        writer.live.progress.send_replace(Progress::Writing(writer.flushed));
        Ok(writer)
    }

    /// Finds the end of what is there, and cuts off what is torn.
    fn go_on(&mut self) -> io::Result<()> {
        let Some(last) = Segment::all(&self.folder)?.pop() else { return Ok(()) };
        (self.flushed, self.micros) = (last.first, last.micros);
        let mut records = last.read()?;
        while records.advance()? {
            self.flushed += 1;
            self.micros = self.micros.max(records.record().micros());
        }
        let file = File::options().append(true).open(&last.path)?;
        let length = file.metadata()?.len();
        if records.end() != Some(End::Whole) {
            file.set_len(records.good())?;
            let lost = length - records.good();
            self.add_note(&format!("[{lost} bytes at the end of this log were lost when Hearth ended]"));
        }
        let mut length = records.good();
        if length == 0 {
            (&file).write_all(MAGIC)?;
            length = MAGIC.len() as u64;
        }
        self.unsynced.push(last.path);
        self.file = Some((file, length));
        Ok(())
    }

    /// The number that the next line gets; lines are counted from 0 over all tries of the job.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.flushed + self.buffered
    }

    /// Adds lines. They are seen by readers after [`LogWriter::flush`] at the latest.
    ///
    /// # Errors
    /// When the disk does not take them. These and those that were not flushed are lost then; as soon as the disk takes
    /// lines again, one of them says how many.
    pub fn write(&mut self, lines: &[LogLine]) -> Result<(), StoreError> {
        for (done, line) in lines.iter().enumerate() {
            let micros = self.micros.max(record::micros(line.at));
            if let Err(error) = self.make_room(micros) {
                self.loss.lines += (lines.len() - done) as u64;
                return Err(failed("write", self.live.job, &error));
            }
            self.micros = micros;
            if self.loss.lines > 0 && !self.loss.is_told {
                self.loss.is_told = true;
                self.add_note(&format!(
                    "[{} lines were lost here: the disk did not take them]",
                    self.loss.lines
                ));
            }
            self.add(line);
        }
        Ok(())
    }

    /// Hands what has gathered to the kernel, and tells those who follow.
    ///
    /// # Errors
    /// As for [`LogWriter::write`].
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.hand_over().map_err(|error| failed("write", self.live.job, &error))
    }

    /// Says that nothing follows, and returns when all of it would survive the loss of power. Blocks for that long.
    ///
    /// # Errors
    /// As for [`LogWriter::write`]; the log can be gone on with.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.complete().map_err(|error| failed("finish", self.live.job, &error))?;
        self.is_finished = true;
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        self.hand_over()?;
        for segment in self.unsynced.drain(..) {
            File::open(segment)?.sync_data()?;
        }
        File::create(self.folder.join(COMPLETE_FILE))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Makes sure that the next line, of this time, has a place.
    fn make_room(&mut self, micros: u64) -> io::Result<()> {
        if self.buffer.len() >= BUFFER_BYTES {
            self.hand_over()?;
        }
        match &self.file {
            Some((_, length)) if length + (self.buffer.len() as u64) < SEGMENT_BYTES => Ok(()),
            _ => self.begin_segment(micros),
        }
    }

    fn begin_segment(&mut self, micros: u64) -> io::Result<()> {
        self.hand_over()?;
        self.file = None;
        let segment = Segment::new(&self.folder, self.flushed, micros);
        // One of the same name has no line in it.
        File::options().create(true).truncate(true).write(true).mode(0o600).open(&segment.path)?;
        let mut file = File::options().append(true).open(&segment.path)?;
        file.write_all(MAGIC)?;
        self.unsynced.push(segment.path);
        self.file = Some((file, MAGIC.len() as u64));
        Ok(())
    }

    /// The buffer is empty afterwards, whether the disk took it or not.
    fn hand_over(&mut self) -> io::Result<()> {
        let Some((file, length)) = &mut self.file else { return Ok(()) };
        if self.buffer.is_empty() {
            return Ok(());
        }
        let taken = file.write_all(&self.buffer);
        match taken {
            Ok(()) => {
                *length += self.buffer.len() as u64;
                self.flushed += self.buffered;
                if self.loss.is_told {
                    self.loss = Loss::default();
                }
            }
            Err(_) => {
                // A part may have been taken. If it can't be cut off, a new segment begins.
                if file.set_len(*length).is_err() {
                    self.file = None;
                }
                self.loss.lines += self.buffered - u64::from(self.loss.is_told);
                self.loss.is_told = false;
            }
        }
        self.buffer.clear();
        self.buffered = 0;
        self.live.progress.send_replace(Progress::Writing(self.flushed));
        taken
    }

    fn add(&mut self, line: &LogLine) {
        record::encode(line, &mut self.buffer);
        self.buffered += 1;
    }

    /// Adds a line of Hearth's own.
    fn add_note(&mut self, text: &str) {
        self.add(&LogLine {
            step: StepRef { index: 0, phase: StepPhase::SetUp },
            sequence: 0,
            stream: Stream::Hearth,
            at: record::time(self.micros),
            text: text.to_owned(),
        });
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        // Whoever wants to know of a failure flushes before.
        let _ = self.hand_over();
        self.live.progress.send_replace(if self.is_finished { Progress::Complete } else { Progress::Idle });
    }
}
