//! The last lines of a step's log.

use std::collections::VecDeque;

/// Bytes of one line that are kept: many screens wide, and so little that the ends of many logs fit into memory.
const LINE_BYTES: usize = 4096;

/// The last lines of a log, and how many there were before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    capacity: usize,
    lines: VecDeque<String>,
    dropped: u64,
}

impl Tail {
    /// Keeps so many lines.
    pub(super) fn new(capacity: usize) -> Tail {
        Tail { capacity, lines: VecDeque::new(), dropped: 0 }
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: &str) {
        // The oldest line's memory serves the new one: millions of lines may pass through here.
        let mut kept = String::new();
        if self.lines.len() >= self.capacity {
            kept = self.lines.pop_front().unwrap_or_default();
            self.dropped += 1;
        }
        kept.clear();
        kept.push_str(&line[..line.floor_char_boundary(LINE_BYTES)]);
        self.lines.push_back(kept);
    }

    /// Lines that came before those that are kept.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The last lines, at most so many of those that are kept.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).map(String::as_str)
    }

    /// All lines that are kept.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.last(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_the_others_counted() {
        let mut tail = Tail::new(2);
        ["a", "b", "c"].iter().for_each(|line| tail.push(line));
        assert_eq!(tail.lines().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(tail.last(1).collect::<Vec<_>>(), ["c"]);
        assert_eq!(tail.dropped(), 1);
    }

    #[test]
    fn an_endless_line_is_cut_at_a_character() {
        let mut tail = Tail::new(1);
        tail.push(&"ü".repeat(LINE_BYTES));
        assert_eq!(tail.lines().map(str::len).sum::<usize>(), LINE_BYTES);
        tail.push(&format!("a{}", "ü".repeat(LINE_BYTES)));
        assert_eq!(tail.lines().map(str::len).sum::<usize>(), LINE_BYTES - 1);
    }
}
