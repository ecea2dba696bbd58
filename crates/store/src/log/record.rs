//! One line as bytes.
//!
//! ```text
//! length of what follows the checksum   u32, little-endian like all of it
//! checksum of it                        u32, CRC-32
//! time                                  u64, microseconds since 1970
//! sequence                              u64
//! position of the step                  u32
//! phase of the step                     u8
//! stream                                u8
//! text                                  UTF-8
//! ```

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::limits::LOG_LINE_BYTES;
use model::{LogLine, StepPhase, StepRef, Stream};

/// Length and checksum.
const FRAME: usize = 8;
/// All before the text.
const FIXED: usize = 22;
/// What stands for the rest of a line that is too long.
const CUT: &str = "…";
/// Longest record: the longest line that is kept, with its frame.
pub(super) const MAX_RECORD: usize = FRAME + FIXED + LOG_LINE_BYTES + CUT.len();

const PHASES: [StepPhase; 5] =
    [StepPhase::SetUp, StepPhase::Pre, StepPhase::Main, StepPhase::Post, StepPhase::Complete];
const STREAMS: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::Hearth];

/// A record in a buffer, not yet taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    body: &'a [u8],
}

/// What stands at the front of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// A record of so many bytes.
    Record(usize),
    /// The beginning of one.
    Partial,
    /// No record that was ever written.
    Broken,
}

/// Adds a line to a buffer.
pub(super) fn encode(line: &LogLine, into: &mut Vec<u8>) {
    let text = bounded(&line.text);
    let start = into.len();
    into.extend([0; FRAME]);
    into.extend(micros(line.at).to_le_bytes());
    into.extend(line.sequence.to_le_bytes());
    into.extend(u32::try_from(line.step.index).unwrap_or(u32::MAX).to_le_bytes());
    into.push(place(&PHASES, &line.step.phase));
    into.push(place(&STREAMS, &line.stream));
    into.extend(text.as_bytes());
    let body = &into[start + FRAME..];
    // A line is never longer than `MAX_RECORD`.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let checksum = crc32fast::hash(body);
    into[start..start + 4].copy_from_slice(&length.to_le_bytes());
    into[start + 4..start + FRAME].copy_from_slice(&checksum.to_le_bytes());
}

/// Looks at the front of a buffer.
pub(super) fn front(buffer: &[u8]) -> Front {
    let Some((frame, rest)) = buffer.split_at_checked(FRAME) else { return Front::Partial };
    let length = number(&frame[..4]) as usize;
    if !(FIXED..=MAX_RECORD - FRAME).contains(&length) {
        return Front::Broken;
    }
    let Some(body) = rest.get(..length) else { return Front::Partial };
    if u64::from(crc32fast::hash(body)) != number(&frame[4..]) {
        return Front::Broken;
    }
    Front::Record(FRAME + length)
}

impl<'a> Record<'a> {
    /// The bytes that [`front`] has found to be one.
    pub(super) fn new(bytes: &'a [u8]) -> Record<'a> {
        Record { body: &bytes[FRAME..] }
    }

    /// Its time in microseconds since 1970.
    pub(super) fn micros(&self) -> u64 {
        number(&self.body[..8])
    }

    /// Its text. Whoever wrote it had UTF-8.
    pub(super) fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(&self.body[FIXED..])
    }

    /// Taken apart.
    pub(super) fn line(&self) -> LogLine {
        let index = usize::try_from(number(&self.body[16..20])).unwrap_or(usize::MAX);
        LogLine {
            step: StepRef { index, phase: at(&PHASES, self.body[20], StepPhase::Main) },
            sequence: number(&self.body[8..16]),
            stream: at(&STREAMS, self.body[21], Stream::Hearth),
            at: time(self.micros()),
            text: self.text().into_owned(),
        }
    }
}

/// Microseconds since 1970.
pub(super) fn micros(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// The moment that is so many microseconds after 1970.
pub(super) fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(UNIX_EPOCH)
}

/// The text, or as much of it as is kept.
fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= LOG_LINE_BYTES {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}{CUT}", &text[..text.floor_char_boundary(LOG_LINE_BYTES)]))
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let place = all.iter().position(|other| other == one).unwrap_or_default();
    u8::try_from(place).unwrap_or_default()
}

fn at<T: Copy>(all: &[T], place: u8, otherwise: T) -> T {
    all.get(usize::from(place)).copied().unwrap_or(otherwise)
}

/// At most eight bytes, little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
