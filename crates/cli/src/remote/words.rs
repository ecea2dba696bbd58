//! How runs, jobs, and moments are put in words.

use std::time::Duration;

use model::{Conclusion, JobState, RunState, Timestamp};
use server::pages::format::moment;

/// Characters of a moment that are its day.
const DATE: usize = 10;

/// Characters of a commit that people recognise it by.
const SHORT_SHA: usize = 7;

/// How a run stands: its state, or how it ended.
pub(super) fn of_run(state: RunState, conclusion: Option<Conclusion>) -> &'static str {
    conclusion.map_or_else(|| state.as_str(), Conclusion::as_str)
}

/// How a job stands.
pub(super) fn of_job(state: JobState, conclusion: Option<Conclusion>) -> &'static str {
    match (conclusion, state) {
        (Some(conclusion), _) => conclusion.as_str(),
        (None, JobState::Leasing) => "starting",
        (None, state) => state.as_str(),
    }
}

/// The day of a moment, UTC.
pub(super) fn day(at: Timestamp) -> String {
    moment(at).chars().take(DATE).collect()
}

/// A commit, short.
pub(super) fn short(sha: &str) -> &str {
    sha.get(..SHORT_SHA).unwrap_or(sha)
}

/// How long something took, or has taken until now.
pub(super) fn took(started: Option<Timestamp>, ended: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    Some(ended.unwrap_or(now).since(started?))
}

/// How to see more of a list that has so many at most, where that can be.
pub(super) fn shows_more(limit: u32, most: u32) -> &'static str {
    if limit < most { "; -L shows more" } else { "" }
}
