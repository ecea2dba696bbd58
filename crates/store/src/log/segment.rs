//! Segments: files with some of the lines of a log, found by name and read from the front.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::record::{self, Front, Record};

/// What every segment begins with; the last byte is the format.
pub(super) const MAGIC: &[u8; 8] = b"hearthL\x01";

/// A segment that has reached this size is followed by another. Small enough to be read whole for one line in a few
/// milliseconds; a log of a million lines is some hundred of them.
pub(super) const SEGMENT_BYTES: u64 = 1024 * 1024;

/// Read at once.
const CHUNK: u64 = 64 * 1024;

/// A segment as its name tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its file.
    pub(super) path: PathBuf,
    /// Number of its first line.
    pub(super) first: u64,
    /// The latest time of all lines up to its first one, which it includes: it only grows from segment to segment,
    /// even when the clock went back.
    pub(super) micros: u64,
}

impl Segment {
    /// The segment of a folder that begins with this line.
    pub(super) fn new(folder: &Path, first: u64, micros: u64) -> Segment {
        Segment { path: folder.join(format!("{first:012}-{micros:016}.log")), first, micros }
    }

    fn named(path: PathBuf) -> Option<Segment> {
        let (first, micros) = path.file_name()?.to_str()?.strip_suffix(".log")?.split_once('-')?;
        let (first, micros) = (first.parse().ok()?, micros.parse().ok()?);
        Some(Segment { path, first, micros })
    }

    /// All segments of a folder, in order. A folder that is not there has none.
    pub(super) fn all(folder: &Path) -> io::Result<Vec<Segment>> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut segments = Vec::new();
        for entry in entries {
            segments.extend(Segment::named(entry?.path()));
        }
        segments.sort_unstable_by_key(|segment| segment.first);
        Ok(segments)
    }

    /// Reads it from the front.
    pub(super) fn read(&self) -> io::Result<Records> {
        let file = File::open(&self.path)?;
        let mut records = Records { file, buffer: Vec::new(), start: 0, next: 0, good: 0, end: None };
        records.resume()?;
        Ok(records)
    }
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After a whole record.
    Whole,
    /// Within one: it was cut off, or is being written.
    Torn,
    /// With bytes that are no record.
    Broken,
}

/// The records of a segment, one after another. Holds one record and a chunk at most.
#[derive(Debug)]
pub(super) struct Records {
    file: File,
    buffer: Vec<u8>,
    /// Where the present record begins in the buffer, and where it ends.
    start: usize,
    next: usize,
    /// Length of the file up to the last whole record.
    good: u64,
    end: Option<End>,
}

impl Records {
    /// Goes to the next one. Says whether there is one; otherwise it is at the [end](Records::end).
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        self.start = self.next;
        while self.end.is_none() {
            match record::front(&self.buffer[self.start..]) {
                Front::Record(length) => {
                    self.next = self.start + length;
                    self.good += length as u64;
                    return Ok(true);
                }
                Front::Partial => self.fill()?,
                Front::Broken => self.end = Some(End::Broken),
            }
        }
        Ok(false)
    }

    /// The one that [`Records::advance`] went to.
    pub(super) fn record(&self) -> Record<'_> {
        Record::new(&self.buffer[self.start..self.next])
    }

    /// Reads on, or finds the end.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        (self.start, self.next) = (0, 0);
        let read = (&self.file).take(CHUNK).read_to_end(&mut self.buffer)?;
        if read == 0 {
            self.end = Some(if self.buffer.is_empty() { End::Whole } else { End::Torn });
        }
        Ok(())
    }

    /// Looks once more whether something follows the last record that was read.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.good))?;
        self.buffer.clear();
        (self.start, self.next) = (0, 0);
        self.end = if self.good == 0 { self.begin()? } else { None };
        Ok(())
    }

    /// Reads what every segment begins with; a segment that was made just now may not have it yet.
    fn begin(&mut self) -> io::Result<Option<End>> {
        let mut magic = [0; MAGIC.len()];
        match self.file.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {
                self.good = MAGIC.len() as u64;
                Ok(None)
            }
            Ok(()) => Ok(Some(End::Broken)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(End::Torn)),
            Err(error) => Err(error),
        }
    }

    /// Length of the file up to the last record that was read; 0 when not even its beginning is right.
    pub(super) fn good(&self) -> u64 {
        self.good
    }

    /// How it ended, once it has.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }
}
