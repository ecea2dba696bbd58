//! Whether the machine's memory has run out.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the kernel counts, among others, the processes that it killed for their memory.
const COUNTS: &str = "/proc/vmstat";

/// The kernel's count of processes that it killed because there was no memory left, as last seen.
#[derive(Debug, Default)]
pub(super) struct Killings(AtomicU64);

impl Killings {
    /// Whether there was one since the last look.
    pub(super) fn look(&self) -> bool {
        let text = fs::read_to_string(COUNTS).unwrap_or_default();
        let now = count(&text);
        self.0.swap(now, Ordering::Relaxed) < now
    }
}

fn count(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_found_among_the_others() {
        assert_eq!(count("pgfault 7\noom_kill_disable 9\noom_kill 2\nthp 1\n"), 2);
        assert_eq!(count("pgfault 7\n"), 0);
    }
}
