//! Whether a job is tried again. Only where its machine or the server failed it: never for a step.

use std::time::Duration;

use model::{Conclusion, JobId, JobResult, RunId, Timestamp};

use crate::queue::{Retry, Subject};

/// Further tries after machines have failed, or what they take before the first step could not be had: a host where
/// that fails three times in a row is broken.
pub const FURTHER_TRIES: u32 = 2;

/// Wait before the first further try, at most; each one after it waits twice as long.
pub const FIRST_WAIT: Duration = Duration::from_secs(10);

/// Longest wait, however many tries are allowed: people watch.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// Tries of a run's start whose commit or called workflows can't be fetched: with the waits between them, more than an
/// hour, as outages of forges mostly pass sooner.
pub const START_TRIES: u32 = 30;

/// Times that a job is run again because the server died while it ran: a job that kills its server twice is
/// what kills it.
pub const AFTER_INTERRUPTIONS: u32 = 1;

/// How failures of machines are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// See [`FURTHER_TRIES`].
    pub further_tries: u32,
    /// See [`FIRST_WAIT`].
    pub first_wait: Duration,
    /// See [`START_TRIES`].
    pub start_tries: u32,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { further_tries: FURTHER_TRIES, first_wait: FIRST_WAIT, start_tries: START_TRIES }
    }
}

/// What becomes of a job whose try has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has ended, as its result says.
    Ended,
    /// It waits, and is tried again.
    Again(Retry),
    /// It has failed, for this reason: it has been tried often enough.
    GivenUp {
        /// A sentence for people.
        reason: String,
    },
}

/// Looks at the result of a try. `failed` counts the tries before it whose machine failed.
#[must_use]
pub fn after_result(policy: Policy, job: JobId, result: &JobResult, failed: u32, now: Timestamp) -> Verdict {
    match &result.infrastructure_error {
        Some(why) if result.conclusion == Conclusion::Failure && !result.is_decided() => {
            after_failure(policy, job, why, failed, now)
        }
        _ => Verdict::Ended,
    }
}

/// The machine of a job has failed, or never came to be. `failed` counts the tries before this one that ended so.
#[must_use]
pub fn after_failure(policy: Policy, job: JobId, why: &str, failed: u32, now: Timestamp) -> Verdict {
    if failed >= policy.further_tries {
        let tries = failed.saturating_add(1);
        let how_often = how_often(tries.into());
        return Verdict::GivenUp {
            reason: format!("infrastructure error: it was tried {how_often}, in the end: {why}"),
        };
    }
    let wait = wait(policy, job.0, failed);
    Verdict::Again(Retry { not_before: now.after(wait), after: why.to_owned() })
}

/// A number of times in words: `once`, `3 times`.
pub(crate) fn how_often(times: u64) -> String {
    if times == 1 { "once".to_owned() } else { format!("{times} times") }
}

/// What a run's plan needs can't be had now. `failed` counts the tries before this one that ended so.
#[must_use]
pub fn after_outage(policy: Policy, run: RunId, why: &str, failed: u32, now: Timestamp) -> Verdict {
    let tries = failed.saturating_add(1);
    if tries >= policy.start_tries {
        return Verdict::GivenUp {
            reason: format!("infrastructure error: its start was tried {tries} times, in the end: {why}"),
        };
    }
    let wait = wait(policy, run.0, failed);
    Verdict::Again(Retry { not_before: now.after(wait), after: why.to_owned() })
}

/// What a run or a job needs can't be read from the store now. It waits for as long as that lasts: while nothing is
/// known of it, nobody can say that it has failed. `failed` counts the tries before this one that ended so.
#[must_use]
pub fn after_store_fault(
    policy: Policy,
    subject: impl Into<Subject>,
    why: &str,
    failed: u32,
    now: Timestamp,
) -> Retry {
    let (Subject::Run(RunId(id)) | Subject::Job(JobId(id))) = subject.into();
    Retry { not_before: now.after(wait(policy, id, failed)), after: why.to_owned() }
}

/// The server died while a job ran. `interrupted` counts how often that had happened to it before.
#[must_use]
pub fn after_interruption(interrupted: u32, now: Timestamp) -> Verdict {
    if interrupted >= AFTER_INTERRUPTIONS {
        return Verdict::GivenUp {
            reason: "the server stopped while it ran, and again while it ran once more".to_owned(),
        };
    }
    Verdict::Again(Retry { not_before: now, after: "the server stopped while it ran".to_owned() })
}

/// The wait before the next try: doubled each time, less up to a half that depends on the job or run, so that
/// those that failed together do not come back together.
fn wait(policy: Policy, id: u64, failed: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failed);
    let longest = policy.first_wait.saturating_mul(factor).min(LONGEST_WAIT);
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis - scatter(id, failed) % (millis / 2 + 1))
}

/// Any two ids, and any two tries of one, get numbers that have nothing to do with each other: the finaliser of
/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn scatter(id: u64, failed: u32) -> u64 {
    let mut z = id.wrapping_add(u64::from(failed).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn result(conclusion: Conclusion, why: Option<&str>) -> JobResult {
        JobResult {
            conclusion,
            infrastructure_error: why.map(str::to_owned),
            decided: None,
            outputs: Vec::new(),
            environment_url: None,
            steps: Vec::new(),
        }
    }

    fn waits(job: u64, failed: u32) -> Duration {
        match after_failure(Policy { further_tries: 99, ..Policy::default() }, JobId(job), "it", failed, NOW)
        {
            Verdict::Again(retry) => retry.not_before.since(NOW),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_step_that_failed_is_never_tried_again() {
        let failed = result(Conclusion::Failure, None);
        assert_eq!(after_result(Policy::default(), JobId(1), &failed, 0, NOW), Verdict::Ended);
        let failed = result(Conclusion::Failure, Some("its log has a hole"));
        let failed = JobResult { decided: Some(Conclusion::Failure), ..failed };
        assert_eq!(after_result(Policy::default(), JobId(1), &failed, 0, NOW), Verdict::Ended);
    }

    #[test]
    fn a_cancelled_job_is_not_tried_again_whatever_its_machine_did() {
        let cancelled = result(Conclusion::Cancelled, Some("the VM died"));
        assert_eq!(after_result(Policy::default(), JobId(1), &cancelled, 0, NOW), Verdict::Ended);
    }

    #[test]
    fn a_machine_that_fails_gets_two_further_tries() {
        let died = result(Conclusion::Failure, Some("the VM died"));
        for failed in 0..2 {
            let verdict = after_result(Policy::default(), JobId(1), &died, failed, NOW);
            assert!(matches!(&verdict, Verdict::Again(retry) if retry.after == "the VM died"), "{verdict:?}");
        }
        let reason = "infrastructure error: it was tried 3 times, in the end: the VM died".to_owned();
        assert_eq!(after_result(Policy::default(), JobId(1), &died, 2, NOW), Verdict::GivenUp { reason });
    }

    #[test]
    fn waits_double_up_to_five_minutes_and_differ_between_jobs() {
        for failed in 0..40 {
            let longest = (FIRST_WAIT * 2_u32.saturating_pow(failed.min(10))).min(LONGEST_WAIT);
            let waits: Vec<Duration> = (0..100).map(|job| waits(job, failed)).collect();
            assert!(waits.iter().all(|wait| *wait <= longest && *wait >= longest / 2), "{failed}: {waits:?}");
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*most - *least > longest / 3, "they are spread: {least:?} to {most:?}");
        }
        assert_eq!(waits(7, 1), waits(7, 1), "and the same each time");
    }

    #[test]
    fn a_run_that_cannot_be_fetched_is_tried_for_an_hour_and_then_blames_the_infrastructure() {
        let (mut now, policy) = (NOW, Policy::default());
        for failed in 0..policy.start_tries - 1 {
            let Verdict::Again(retry) = after_outage(policy, RunId(7), "502", failed, now) else { panic!() };
            assert_eq!(retry.after, "502");
            assert!(retry.is_due(retry.not_before) && !retry.is_due(now), "{retry:?}");
            now = retry.not_before;
        }
        assert!(now.since(NOW) > Duration::from_secs(60 * 60), "{:?}", now.since(NOW));
        let reason = "infrastructure error: its start was tried 30 times, in the end: 502".to_owned();
        assert_eq!(after_outage(policy, RunId(7), "502", 29, now), Verdict::GivenUp { reason });
    }

    #[test]
    fn what_cannot_be_read_is_tried_again_for_as_long_as_that_lasts_and_at_least_every_five_minutes() {
        for failed in [0, 3, 30, 1000, u32::MAX] {
            let retry = after_store_fault(Policy::default(), RunId(7), "no room left", failed, NOW);
            let wait = retry.not_before.since(NOW);
            assert!(wait >= FIRST_WAIT / 2 && wait <= LONGEST_WAIT, "{failed}: {wait:?}");
            assert_eq!(retry.after, "no room left");
        }
    }

    #[test]
    fn an_interrupted_job_runs_again_at_once_and_once() {
        let Verdict::Again(retry) = after_interruption(0, NOW) else { panic!("it runs again") };
        assert_eq!(retry.not_before, NOW);
        assert!(matches!(after_interruption(1, NOW), Verdict::GivenUp { .. }));
    }
}
