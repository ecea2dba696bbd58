//! What happened in one machine: the last of it, kept in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Bytes of text that are kept of one machine; with all 150 machines, some 40 MiB.
const LOG_BYTES: usize = 256 * 1024;

/// Bytes of one entry's text, of which the end is kept: what came before it keeps half of the room.
const TEXT_BYTES: usize = LOG_BYTES / 2;

/// What an entry costs beside its text, so that empty ones are bounded too.
const ENTRY_BYTES: usize = 64;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Whose word it is.
    pub source: LogSource,
    /// The command, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<String>,
    /// What is said; of output, what came in one piece.
    pub text: String,
}

/// Whose word a log entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Hearth's: started, ended, snapshotted.
    Machine,
    /// A command's standard output.
    Stdout,
    /// A command's standard error.
    Stderr,
}

/// The log of one machine.
#[derive(Default)]
pub(crate) struct Log(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    dropped: u64,
}

impl Log {
    /// Hearth's own word.
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.add(LogSource::Machine, None, text.into());
    }

    /// Adds an entry; the oldest go when there is no more room.
    pub(crate) fn add(&self, source: LogSource, execution_id: Option<&str>, text: String) {
        let text = end_of(text);
        let mut kept = self.kept();
        kept.bytes += text.len() + ENTRY_BYTES;
        kept.entries.push_back(LogEntry {
            unix_ms: unix_ms(),
            source,
            execution_id: execution_id.map(str::to_owned),
            text,
        });
        while kept.bytes > LOG_BYTES && kept.entries.len() > 1 {
            if let Some(oldest) = kept.entries.pop_front() {
                kept.bytes -= oldest.text.len() + ENTRY_BYTES;
                kept.dropped += 1;
            }
        }
    }

    /// What is kept, and how many entries before are not.
    pub(crate) fn read(&self) -> (Vec<LogEntry>, u64) {
        let kept = self.kept();
        (kept.entries.iter().cloned().collect(), kept.dropped)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text, or of a long one the end, and how much is missing.
fn end_of(text: String) -> String {
    let surplus = text.len().saturating_sub(TEXT_BYTES);
    if surplus == 0 {
        return text;
    }
    let begin = text.ceil_char_boundary(surplus);
    format!("({begin} bytes before this are not kept) {}", &text[begin..])
}

/// Now, in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_text_is_kept_beside_what_is_said_after_it() {
        let log = Log::default();
        log.add(LogSource::Stdout, None, format!("{}the end", "ü".repeat(LOG_BYTES)));
        log.say("exit code 0");
        let (entries, dropped) = log.read();
        assert_eq!((entries.len(), dropped), (2, 0));
        assert!(entries[0].text.starts_with("(") && entries[0].text.ends_with("üthe end"));
        assert!(entries[0].text.len() < LOG_BYTES);
    }

    #[test]
    fn a_full_log_keeps_the_newest_and_counts_the_rest() {
        let log = Log::default();
        for number in 0..10 {
            log.add(LogSource::Stdout, Some("e"), format!("{number}{}", "x".repeat(LOG_BYTES / 4)));
        }
        let (entries, dropped) = log.read();
        assert_eq!((entries.len() as u64 + dropped, entries.len()), (10, 3));
        assert!(entries[2].text.starts_with('9'));
    }
}
