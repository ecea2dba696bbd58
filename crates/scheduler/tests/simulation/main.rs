//! A whole server that is killed at any moment, over and over, with all the state in memory lost.
//!
//! What it has written down is a plain map here ([`records`]); everything else dies with it ([`server`]) and
//! is made anew from the records. [`world`] sends runs, ends jobs, breaks machines, kills the server, and
//! looks on: in the end every run that was accepted has ended once, with no result lost.

mod dice;
mod records;
mod server;
mod world;

use std::collections::BTreeMap;

use world::World;

/// Each seed is another world.
const SEEDS: u64 = 3000;

#[test]
fn whatever_happens_every_accepted_run_ends_once_and_no_result_is_lost() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..SEEDS {
        for (what, count) in World::new(seed).play() {
            *seen.entry(what).or_default() += count;
        }
    }
    // What never happened was not tested.
    for what in [
        "crash",
        "crash while it recovers",
        "interrupted",
        "interrupted twice",
        "machine failed",
        "given up",
        "displaced",
        "refused",
        "cancelled by hand",
        "approved",
        "waited for its group",
        "retried",
        "success",
        "failure",
        "cancelled",
    ] {
        assert!(seen.get(what).is_some_and(|count| *count >= 100), "{what} happens: {seen:?}");
    }
}
