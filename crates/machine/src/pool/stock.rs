//! How many machines of one kind are kept ready: decided from what was asked for, without doing anything.

use std::time::Duration;

/// How long a machine must have been too many before it is given up: longer than the pauses between
/// the pushes of somebody at work, shorter than a lunch.
pub(super) const WINDOW: Duration = Duration::from_secs(10 * 60);

/// The stock of one kind of machine. Times are since any fixed moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stock {
    min: usize,
    max: usize,
    /// How many are to be ready.
    target: usize,
    /// How many are ready.
    ready: usize,
    /// How many will be.
    starting: usize,
    /// The fewest that were ready in this window: nobody needed these.
    lowest: usize,
    window: Duration,
}

impl Stock {
    /// A stock of at least `min` and at most `max` ready machines; there is none yet.
    pub(super) fn new(min: usize, max: usize, now: Duration) -> Stock {
        let max = max.max(min);
        Stock { min, max, target: min, ready: 0, starting: 0, lowest: 0, window: now }
    }

    pub(super) fn target(&self) -> usize {
        self.target
    }

    pub(super) fn ready(&self) -> usize {
        self.ready
    }

    pub(super) fn starting(&self) -> usize {
        self.starting
    }

    /// How many machines have to be started; they count as starting from now on.
    pub(super) fn start(&mut self) -> usize {
        let missing = self.target.saturating_sub(self.ready + self.starting);
        self.starting += missing;
        missing
    }

    /// A machine that was starting is ready.
    pub(super) fn started(&mut self) {
        self.starting -= 1;
        self.ready += 1;
    }

    /// A machine that was starting will not be.
    pub(super) fn failed(&mut self) {
        self.starting -= 1;
    }

    /// A ready machine was taken, by a user or because it has died.
    pub(super) fn taken(&mut self) {
        self.ready -= 1;
        self.lowest = self.lowest.min(self.ready);
    }

    /// Somebody asked and there was none: one more shall be ready from now on.
    pub(super) fn missed(&mut self) {
        self.target = (self.target + 1).min(self.max);
        self.lowest = 0;
    }

    /// Ends the window if it is over. How many ready machines are too many; they are gone from the stock.
    pub(super) fn review(&mut self, now: Duration) -> usize {
        if now < self.window + WINDOW {
            return 0;
        }
        self.window = now;
        self.target = self.target.saturating_sub(self.lowest).max(self.min);
        let surplus = self.ready.saturating_sub(self.target);
        self.ready -= surplus;
        self.lowest = self.ready;
        surplus
    }

    /// When the window is over.
    pub(super) fn next_review(&self) -> Duration {
        self.window + WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn filled(min: usize, max: usize) -> Stock {
        let mut stock = Stock::new(min, max, START);
        fill(&mut stock);
        stock
    }

    fn fill(stock: &mut Stock) -> usize {
        let count = stock.start();
        (0..count).for_each(|_| stock.started());
        count
    }

    #[test]
    fn the_least_number_is_made_ready_and_made_up_for() {
        let mut stock = Stock::new(2, 5, START);
        assert_eq!(stock.start(), 2);
        assert_eq!(stock.start(), 0, "those that start are not started again");
        stock.started();
        stock.failed();
        assert_eq!(stock.start(), 1, "one that failed is made up for");
        stock.started();
        stock.taken();
        assert_eq!((stock.ready(), stock.start()), (1, 1));
    }

    #[test]
    fn who_finds_none_makes_the_stock_grow_to_its_bound() {
        let mut stock = Stock::new(1, 3, START);
        (0..10).for_each(|_| stock.missed());
        assert_eq!(stock.target(), 3);
        assert_eq!(stock.start(), 3);
    }

    #[test]
    fn machines_that_nobody_needed_for_a_whole_window_are_too_many() {
        let mut stock = filled(1, 4);
        (0..3).for_each(|_| stock.missed());
        fill(&mut stock);
        assert_eq!(stock.review(WINDOW / 2), 0);
        assert_eq!(stock.review(WINDOW), 0, "in the first window there were none at its begin");
        // In the next one, two of four are used at a time.
        stock.taken();
        stock.taken();
        fill(&mut stock);
        assert_eq!(stock.review(2 * WINDOW), 2);
        assert_eq!((stock.target(), stock.ready()), (2, 2));
        // Then nobody comes.
        assert_eq!(stock.review(3 * WINDOW), 1);
        assert_eq!(stock.review(4 * WINDOW), 0, "never below the least number");
        assert_eq!(stock.next_review(), 5 * WINDOW);
    }

    #[test]
    fn a_least_number_above_the_bound_counts() {
        assert_eq!(filled(3, 1).ready(), 3);
    }
}
