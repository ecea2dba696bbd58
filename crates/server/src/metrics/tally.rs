//! Who is where, and since when: what durations are made of.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use model::{Conclusion, JobId, JobState, RunId, RunState, StepRef, Timestamp};
use store::Change;
use store::change::Requeue;
use store::record::{Job, Run};

use super::Metrics;

/// The runs and jobs that have not ended, as far as metrics need them.
#[derive(Default)]
pub(super) struct Tally {
    runs: HashMap<RunId, RunState>,
    jobs: HashMap<JobId, Standing>,
}

/// Where a job stands.
struct Standing {
    state: JobState,
    /// When it came there.
    since: Timestamp,
    /// When it got its machine.
    started: Option<Timestamp>,
    steps: HashMap<StepRef, Timestamp>,
}

impl Tally {
    /// What was there already.
    pub(super) fn found(&mut self, run: &Run, jobs: &[Job]) {
        self.runs.insert(run.id, run.what.state);
        jobs.iter().for_each(|job| self.job(job));
    }

    fn job(&mut self, job: &Job) {
        let clock = &job.clock;
        let since = match job.state {
            JobState::Ended => return,
            JobState::Waiting | JobState::Queued => Some(clock.waits_since()),
            JobState::Leasing => clock.leased_at,
            JobState::Running => clock.started_at,
        };
        let standing = Standing {
            state: job.state,
            since: since.unwrap_or(clock.queued_at),
            started: clock.started_at,
            steps: HashMap::new(),
        };
        self.jobs.insert(job.id, standing);
    }

    /// A change happened.
    pub(super) fn hear(&mut self, change: &Change, metrics: &Metrics) {
        match change {
            Change::RunCreated(run) => {
                if run.what.state == RunState::Ended {
                    count_run(metrics, run.conclusion);
                } else {
                    self.runs.insert(run.id, run.what.state);
                }
            }
            Change::RunQueued { run } | Change::AttemptQueued { run, .. } => {
                self.runs.insert(*run, RunState::Queued);
            }
            Change::RunHeld { run, .. } => {
                self.runs.insert(*run, RunState::Waiting);
            }
            Change::RunStarted { run, .. } | Change::RunResumed { run } => {
                self.runs.insert(*run, RunState::Running);
            }
            Change::RunEnded { run, conclusion, .. } => {
                self.runs.remove(run);
                count_run(metrics, Some(*conclusion));
            }
            Change::JobCreated(job) => match job.state {
                JobState::Ended => count_job(metrics, job.conclusion),
                _ => self.job(job),
            },
            _ => self.hear_of_job(change, metrics),
        }
    }

    fn hear_of_job(&mut self, change: &Change, metrics: &Metrics) {
        let families = &*metrics.0;
        match change {
            Change::JobQueued { job, at } => drop(self.go(*job, JobState::Queued, *at)),
            Change::JobLeasing { job, at } => {
                if let Some(waited) = self.go(*job, JobState::Leasing, *at) {
                    families.queue_wait.change(&[], |histogram| histogram.observe(waited.as_secs_f64()));
                }
            }
            Change::JobStarted { job, at, .. } => {
                if let Some(waited) = self.go(*job, JobState::Running, *at) {
                    families.lease.change(&[], |histogram| histogram.observe(waited.as_secs_f64()));
                }
                if let Some(standing) = self.jobs.get_mut(job) {
                    standing.started = Some(*at);
                }
            }
            Change::JobSpoke { job, at } => {
                if let Some(started) = self.jobs.get(job).and_then(|standing| standing.started) {
                    let waited = at.since(started).as_secs_f64();
                    families.first_line.change(&[], |histogram| histogram.observe(waited));
                }
            }
            Change::JobRequeued { job, requeue, at, .. } => {
                self.go(*job, JobState::Queued, *at);
                if *requeue == Requeue::Machine {
                    families.infrastructure.change(&[], |counter| counter.0 += 1);
                }
            }
            Change::JobEnded { job, result, at, .. } => {
                count_job(metrics, Some(result.conclusion));
                if result.infrastructure_error.is_some() {
                    families.infrastructure.change(&[], |counter| counter.0 += 1);
                }
                if let Some(started) = self.jobs.remove(job).and_then(|standing| standing.started) {
                    let took = at.since(started).as_secs_f64();
                    let labels = [result.conclusion.as_str()];
                    families.job_seconds.change(&labels, |histogram| histogram.observe(took));
                }
            }
            Change::StepStarted(step) => {
                if let Some(standing) = self.jobs.get_mut(&step.job) {
                    standing.steps.insert(step.step, step.started_at);
                }
            }
            Change::StepEnded { job, step, conclusion, at, .. } => {
                let begun = self.jobs.get_mut(job).and_then(|standing| standing.steps.remove(step));
                if let Some(begun) = begun {
                    let took = at.since(begun).as_secs_f64();
                    let labels = [conclusion.as_str()];
                    families.step_seconds.change(&labels, |histogram| histogram.observe(took));
                }
            }
            _ => {}
        }
    }

    /// A job is somewhere else now. Gives how long it was where it was.
    fn go(&mut self, job: JobId, state: JobState, at: Timestamp) -> Option<Duration> {
        let standing = self.jobs.get_mut(&job)?;
        let waited = at.since(standing.since);
        standing.state = state;
        standing.since = at;
        Some(waited)
    }

    /// Shows how many are where.
    pub(super) fn show(&self, metrics: &Metrics) {
        let mut runs: BTreeMap<RunState, u64> = BTreeMap::new();
        self.runs.values().for_each(|state| *runs.entry(*state).or_default() += 1);
        for state in RunState::ALL.iter().filter(|state| **state != RunState::Ended) {
            let count = runs.get(state).copied().unwrap_or(0);
            metrics.0.runs.change(&[state.as_str()], |gauge| gauge.0 = count);
        }
        let mut jobs: BTreeMap<JobState, u64> = BTreeMap::new();
        self.jobs.values().for_each(|standing| *jobs.entry(standing.state).or_default() += 1);
        for state in JobState::ALL.iter().filter(|state| **state != JobState::Ended) {
            let count = jobs.get(state).copied().unwrap_or(0);
            metrics.0.jobs.change(&[state.as_str()], |gauge| gauge.0 = count);
        }
    }
}

fn count_run(metrics: &Metrics, conclusion: Option<Conclusion>) {
    let label = conclusion.map_or("none", Conclusion::as_str);
    metrics.0.runs_ended.change(&[label], |counter| counter.0 += 1);
}

fn count_job(metrics: &Metrics, conclusion: Option<Conclusion>) {
    let label = conclusion.map_or("none", Conclusion::as_str);
    metrics.0.jobs_ended.change(&[label], |counter| counter.0 += 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_queued_again_counts_a_failed_machine_only_where_its_machine_failed() {
        let metrics = Metrics::default();
        let mut tally = Tally::default();
        for requeue in [Requeue::Machine, Requeue::Interrupted, Requeue::HandedBack] {
            let change =
                Change::JobRequeued { job: JobId(1), reason: "x".to_owned(), requeue, at: Timestamp(1) };
            tally.hear(&change, &metrics);
        }
        let text = metrics.text();
        assert!(text.contains("\nhearth_infrastructure_failures_total 1\n"), "{text}");
    }
}
