//! Goes through a log line by line, from any line on.

use std::io;
use std::path::{Path, PathBuf};

use super::record::Record;
use super::segment::{End, Records, Segment};

/// A place in a log.
#[derive(Debug)]
pub(super) struct Cursor {
    folder: PathBuf,
    /// Those that are known to follow, the next one last.
    rest: Vec<Segment>,
    present: Option<(Segment, Records)>,
    /// Number of the line that comes next.
    number: u64,
    told_broken: bool,
}

/// What a cursor comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The line of this number; [`Cursor::record`] has it.
    Line(u64),
    /// Lines from this number on are damaged: up to the next that can be read, or all that follow.
    Gap(u64, Option<u64>),
    /// Nothing follows now.
    End,
}

impl Cursor {
    /// Before the line of this number, or at the end of what there is.
    pub(super) fn at_line(folder: &Path, number: u64) -> io::Result<Cursor> {
        let segments = Segment::all(folder)?;
        let place = segments.partition_point(|segment| segment.first <= number).saturating_sub(1);
        let mut cursor = Cursor::at_segment(folder, segments, place)?;
        while cursor.number < number {
            if cursor.advance()? == Place::End {
                break;
            }
        }
        Ok(cursor)
    }

    /// In a segment that holds the first line of this time or later, or in the one before.
    pub(super) fn before_time(folder: &Path, micros: u64) -> io::Result<Cursor> {
        let segments = Segment::all(folder)?;
        let place = segments.partition_point(|segment| segment.micros < micros).saturating_sub(1);
        Cursor::at_segment(folder, segments, place)
    }

    /// In the last segment.
    pub(super) fn near_end(folder: &Path) -> io::Result<Cursor> {
        let segments = Segment::all(folder)?;
        let last = segments.len().saturating_sub(1);
        Cursor::at_segment(folder, segments, last)
    }

    fn at_segment(folder: &Path, mut segments: Vec<Segment>, place: usize) -> io::Result<Cursor> {
        segments.drain(..place.min(segments.len()));
        segments.reverse();
        let mut cursor = Cursor {
            folder: folder.to_owned(),
            rest: segments,
            present: None,
            number: 0,
            told_broken: false,
        };
        cursor.enter_next()?;
        Ok(cursor)
    }

    /// Number of the line that comes next: of all lines, when nothing comes any more.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Goes to what comes next.
    pub(super) fn advance(&mut self) -> io::Result<Place> {
        let Some((_, records)) = &mut self.present else { return Ok(Place::End) };
        if records.advance()? {
            self.number += 1;
            return Ok(Place::Line(self.number - 1));
        }
        let (expected, is_broken) = (self.number, records.end() == Some(End::Broken));
        if self.enter_next()? {
            let found = self.number;
            return if found > expected { Ok(Place::Gap(expected, Some(found))) } else { self.advance() };
        }
        if is_broken && !std::mem::replace(&mut self.told_broken, true) {
            return Ok(Place::Gap(expected, None));
        }
        Ok(Place::End)
    }

    /// The line that [`Cursor::advance`] came to.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        self.present.as_ref().map(|(_, records)| records.record())
    }

    /// Looks once more whether something follows: in the present segment, and after it.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        if self.rest.is_empty() {
            let mut later = Segment::all(&self.folder)?;
            if let Some((present, _)) = &self.present {
                later.retain(|segment| segment.first >= self.number && segment != present);
            }
            later.reverse();
            self.rest = later;
        }
        match &mut self.present {
            Some((_, records)) => records.resume(),
            None => self.enter_next().map(drop),
        }
    }

    fn enter_next(&mut self) -> io::Result<bool> {
        let Some(segment) = self.rest.pop() else { return Ok(false) };
        self.number = segment.first;
        let records = segment.read()?;
        self.present = Some((segment, records));
        Ok(true)
    }
}
