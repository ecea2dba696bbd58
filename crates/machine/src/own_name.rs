//! Names for machines that nobody has named.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A name that begins so and that nobody else has: not in this process, and not in another on the same data folder.
pub(crate) fn own_name(what: &str) -> String {
    // Of the whole process: two drivers in it may use one data folder.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A process in another container may have the same number, hardly at the same microsecond.
    format!("{what}-{:x}-{:x}-{count:x}", since.as_micros(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_made_at_once_differ() {
        let names: std::collections::BTreeSet<String> = (0..1000).map(|_| own_name("canary")).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.starts_with("canary-") && name.len() < 64), "{names:?}");
    }
}
