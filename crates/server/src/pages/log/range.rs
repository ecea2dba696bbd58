//! Which lines a page shows.

/// Lines of a page without a script: some screens, and a few hundred KB.
pub(in crate::pages) const PAGE: u64 = 1000;

/// A page of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) struct Range {
    /// Number of the first line.
    pub(in crate::pages) from: u64,
    /// How many there are in the whole log.
    pub(in crate::pages) count: u64,
}

impl Range {
    /// The page with this line; a log that has fewer ends before.
    pub(in crate::pages) fn with(line: Option<u64>, count: u64) -> Range {
        let last = count.saturating_sub(1);
        let line = line.unwrap_or(0).min(last);
        Range { from: line / PAGE * PAGE, count }
    }

    /// The number after its last line.
    pub(in crate::pages) fn end(self) -> u64 {
        self.from.saturating_add(PAGE).min(self.count)
    }

    /// Where the page before begins.
    pub(in crate::pages) fn before(self) -> Option<u64> {
        self.from.checked_sub(PAGE)
    }

    /// Where the page after begins.
    pub(in crate::pages) fn after(self) -> Option<u64> {
        (self.end() < self.count).then(|| self.end())
    }

    /// Where the last page begins, unless this is it.
    pub(in crate::pages) fn last(self) -> Option<u64> {
        let last = Range::with(Some(u64::MAX), self.count).from;
        (last > self.from).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_one_that_has_the_line() {
        let range = Range::with(Some(2_500), 1_000_000);
        assert_eq!((range.from, range.end()), (2000, 3000));
        assert_eq!((range.before(), range.after(), range.last()), (Some(1000), Some(3000), Some(999_000)));
    }

    #[test]
    fn the_first_and_the_last_page_lead_no_further() {
        let first = Range::with(None, 1500);
        assert_eq!(
            (first.from, first.before(), first.after(), first.last()),
            (0, None, Some(1000), Some(1000))
        );
        let last = Range::with(Some(99_999), 1500);
        assert_eq!((last.from, last.end(), last.after(), last.last()), (1000, 1500, None, None));
    }

    #[test]
    fn a_log_without_lines_has_one_empty_page() {
        let range = Range::with(Some(7), 0);
        assert_eq!((range.from, range.end(), range.before(), range.after()), (0, 0, None, None));
    }
}
