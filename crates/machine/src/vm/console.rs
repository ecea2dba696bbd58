//! What a machine writes on its console: the end of it, however much a guest floods.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are kept: a kernel's panic with its trace, and what led to it.
const KEPT_BYTES: usize = 16 * 1024;

/// Lines that an error shows.
const SHOWN_LINES: usize = 12;

/// How Linux says that it gives up.
const PANIC: &str = "Kernel panic - not syncing";

/// The same, where that is because its first process has ended, which is the agent.
const NO_INIT: &str = "Kernel panic - not syncing: Attempted to kill init!";

/// Collects a console's output. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Console {
    kept: Arc<Mutex<VecDeque<u8>>>,
}

impl Console {
    /// Reads until the end, and keeps the last of it.
    pub(crate) async fn follow(self, from: impl AsyncRead + Unpin) {
        self.follow_for(from, None, |_| {}).await;
    }

    /// As [`Self::follow`], and shows each line in which `word` comes up to `found`, as far as it is
    /// there by then.
    pub(crate) async fn follow_for(
        self,
        mut from: impl AsyncRead + Unpin,
        word: Option<&str>,
        found: impl Fn(&str),
    ) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let line = {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..length]);
                let surplus = kept.len().saturating_sub(KEPT_BYTES);
                kept.drain(..surplus);
                word.and_then(|word| last_with(word, kept.make_contiguous(), length))
            };
            if let Some(line) = line {
                found(&line);
            }
        }
    }

    /// All that is kept.
    pub(crate) fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        printable(&String::from_utf8_lossy(&bytes))
    }

    /// The last lines, with a word before them; empty where nothing was written.
    pub(crate) fn last_words(&self) -> String {
        let text = self.text();
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        // What led to a panic tells more than the trace after it.
        if let Some(panic) = lines.iter().rposition(|line| line.contains(PANIC)) {
            lines.truncate(panic + 1);
        }
        if lines.is_empty() {
            return String::new();
        }
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n  ");
        format!("the end of its console:\n  {shown}")
    }

    /// Whether the guest's kernel gave up, in words.
    pub(crate) fn panicked(&self) -> Option<&'static str> {
        let text = self.text();
        if text.contains(NO_INIT) {
            return Some("the agent in the machine died, and the guest's kernel with it");
        }
        text.contains(PANIC).then_some("the guest's kernel panicked")
    }
}

/// The last line with `word` in it, if a part of the word is among the last `new` bytes.
fn last_with(word: &str, text: &[u8], new: usize) -> Option<String> {
    let from = text.len().saturating_sub(new + word.len() - 1);
    let at = from + text[from..].windows(word.len()).rposition(|window| window == word.as_bytes())?;
    let begin = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end);
    Some(String::from_utf8_lossy(&text[begin..end]).into_owned())
}

/// Without what a guest could move the cursor of a terminal with.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| *letter == '\n' || *letter == '\t' || !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_is_found_once_in_its_line_even_in_pieces() {
        let found = Mutex::new(Vec::new());
        let pieces = b"first\nit fai".chain(&b"led: why\nlast\n"[..]).chain(&b"more\n"[..]);
        let console = Console::default();
        console
            .clone()
            .follow_for(pieces, Some("failed"), |line| found.lock().unwrap().push(line.to_owned()))
            .await;
        assert_eq!(found.into_inner().unwrap(), ["it failed: why"]);
        assert_eq!(console.text(), "first\nit failed: why\nlast\nmore\n");
    }

    #[tokio::test]
    async fn the_end_of_a_flood_is_kept() {
        let console = Console::default();
        let mut flood = b"line\n".repeat(100_000);
        flood.extend(b"\x1b[2JKernel panic - not syncing: the end\n <TASK>\n");
        console.clone().follow(flood.as_slice()).await;
        assert_eq!(console.text().len(), KEPT_BYTES - 1);
        assert_eq!(console.panicked(), Some("the guest's kernel panicked"));
        let shown = console.last_words();
        assert!(shown.ends_with("  line\n  [2JKernel panic - not syncing: the end"), "{shown}");
        assert_eq!(shown.lines().count(), SHOWN_LINES + 1);
    }
}
