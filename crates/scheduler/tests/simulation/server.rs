//! The server: what it has in memory, and how it carries decisions out. Every write is one transaction, and
//! it may be killed after each.

use std::collections::BTreeMap;

use model::{Conclusion, JobId, JobResult, JobState, RunId, RunState, Timestamp};
use scheduler::queue::{Limits, Profiles, QueuedJob, QueuedRun, Retry};
use scheduler::retry::{self, Policy, Verdict};
use scheduler::{Command, Queue, decide};

use crate::dice::Dice;
use crate::records::{JobRecord, Records, RunRecord};

/// What the id of a run's call ends with.
pub(crate) const CALL: u64 = 50;

/// It was killed.
pub(crate) struct Killed;

/// What it has in memory.
pub(crate) struct Server {
    pub(crate) queue: Queue,
    /// Jobs on machines, and whether they were told to stop.
    pub(crate) machines: BTreeMap<JobId, bool>,
}

/// What lasts, and the world around.
pub(crate) struct Outside {
    pub(crate) records: Records,
    pub(crate) dice: Dice,
    pub(crate) now: Timestamp,
    /// One in so many writes is the last of a life; 0: none any more.
    pub(crate) deadliness: usize,
    pub(crate) seen: BTreeMap<&'static str, usize>,
}

impl Outside {
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Something was written down; the server may die of it.
    fn wrote(&mut self) -> Result<(), Killed> {
        if self.deadliness > 0 && self.dice.one_in(self.deadliness) {
            self.saw("crash");
            return Err(Killed);
        }
        Ok(())
    }
}

impl Server {
    /// A server that begins with what an earlier one has written down.
    pub(crate) fn recover(
        limits: &Limits,
        profiles: &Profiles,
        outside: &mut Outside,
    ) -> Result<Server, Killed> {
        let now = outside.now;
        let interrupted: Vec<JobId> = outside
            .records
            .jobs
            .iter()
            .filter(|(_, job)| matches!(job.state, JobState::Leasing | JobState::Running))
            .map(|(id, _)| *id)
            .collect();
        for id in interrupted {
            outside.saw("interrupted");
            let times = outside.records.job(id).interrupted;
            outside.records.job(id).interrupted += 1;
            match retry::after_interruption(times, now) {
                Verdict::Again(retry) => {
                    outside.records.job(id).queued.retry = Some(retry);
                    outside.records.job_becomes(id, JobState::Queued);
                }
                _ => {
                    outside.saw("interrupted twice");
                    outside.records.end_job(id, Conclusion::Failure);
                }
            }
            outside
                .wrote()
                .inspect_err(|_| *outside.seen.entry("crash while it recovers").or_default() += 1)?;
        }
        let runs: Vec<(QueuedRun, Option<Timestamp>)> = outside
            .records
            .runs
            .values()
            .filter(|run| run.state != RunState::Ended)
            .map(|run| (run.queued.clone(), run.started_at))
            .collect();
        let jobs: Vec<(QueuedJob, Option<Timestamp>)> = outside
            .records
            .jobs
            .values()
            .filter(|job| job.state != JobState::Ended)
            .map(|job| (job.queued.clone(), None))
            .collect();
        let queue = Queue::restore(limits.clone(), profiles.clone(), runs, jobs);
        let mut server = Server { queue, machines: BTreeMap::new() };
        let started: Vec<RunId> = outside
            .records
            .runs
            .iter()
            .filter(|(_, run)| run.state == RunState::Running)
            .map(|(id, _)| *id)
            .collect();
        for run in started {
            // Its plan says again what it said before.
            if let Some(reason) = outside.records.run(run).cancelled.clone() {
                server.stop_jobs(run, &reason, outside);
            }
            server.follow(run, outside)?;
        }
        Ok(server)
    }

    /// Carries out what is decided until nothing is.
    pub(crate) fn pump(&mut self, outside: &mut Outside) -> Result<(), Killed> {
        loop {
            let commands = decide(&self.queue, outside.now);
            assert_eq!(commands, decide(&self.queue, outside.now), "the same queue, the same commands");
            if commands.is_empty() {
                return Ok(());
            }
            for command in commands {
                self.carry_out(command, outside)?;
            }
        }
    }

    fn carry_out(&mut self, command: Command, outside: &mut Outside) -> Result<(), Killed> {
        let now = outside.now;
        match command {
            Command::StartRun(run) => {
                if self.queue.started(run, now) {
                    assert!(
                        outside.records.run(run).cancelled.is_none(),
                        "run {run} was cancelled and starts"
                    );
                    outside.records.run_becomes(run, RunState::Running);
                    outside.records.run(run).started_at = Some(now);
                    outside.wrote()?;
                    self.follow(run, outside)?;
                }
            }
            Command::StartJob { job, .. } => {
                if self.queue.started(job, now) {
                    outside.records.job_becomes(job, JobState::Leasing);
                    let record = outside.records.job(job);
                    (record.started_at, record.starts) = (Some(now), record.starts + 1);
                    outside.wrote()?;
                    self.machines.insert(job, false);
                    outside.records.job_becomes(job, JobState::Running);
                    outside.wrote()?;
                }
            }
            Command::LetIn(job) => self.queue.approved(job, now),
            Command::WaitAnew(subject) => self.queue.approved(subject, now),
            Command::CancelRun { run, reason } => {
                if reason.contains("higher priority") {
                    outside.saw("displaced");
                }
                if outside.records.run(run).state == RunState::Running {
                    outside.records.run(run).cancelled = Some(reason.clone());
                    outside.wrote()?;
                    self.queue.told(run);
                    self.stop_jobs(run, &reason, outside);
                    self.follow(run, outside)?;
                } else {
                    outside.records.end_run(run, Conclusion::Cancelled);
                    outside.wrote()?;
                    self.queue.ended(run, now);
                }
            }
            Command::CancelJob { job, .. } => {
                self.queue.told(job);
                match self.machines.get_mut(&job) {
                    Some(told) => *told = true,
                    None => self.end_job(job, Conclusion::Cancelled, outside)?,
                }
            }
            Command::Refuse { job, .. } => {
                outside.saw("refused");
                self.end_job(job, Conclusion::Failure, outside)?;
            }
        }
        Ok(())
    }

    pub(crate) fn end_job(
        &mut self,
        job: JobId,
        conclusion: Conclusion,
        outside: &mut Outside,
    ) -> Result<(), Killed> {
        outside.records.end_job(job, conclusion);
        outside.wrote()?;
        self.machines.remove(&job);
        self.queue.ended(job, outside.now);
        let run = outside.records.job(job).queued.run;
        self.follow(run, outside)
    }

    /// The machine of a job is done with it, or broke.
    pub(crate) fn worked(
        &mut self,
        job: JobId,
        result: &JobResult,
        outside: &mut Outside,
    ) -> Result<(), Killed> {
        let failed = outside.records.job(job).failed;
        let result = match self.machines.get(&job) {
            Some(true) => &JobResult { conclusion: Conclusion::Cancelled, ..result.clone() },
            _ => result,
        };
        match retry::after_result(Policy::default(), job, result, failed, outside.now) {
            Verdict::Again(retry) if self.queue.retried(job, retry.clone(), outside.now) => {
                self.machines.remove(&job);
                self.requeue(job, retry, outside)
            }
            Verdict::Again(_) => self.end_job(job, Conclusion::Cancelled, outside),
            Verdict::GivenUp { .. } => {
                outside.saw("given up");
                self.end_job(job, Conclusion::Failure, outside)
            }
            Verdict::Ended => self.end_job(job, result.conclusion, outside),
        }
    }

    fn requeue(&mut self, job: JobId, retry: Retry, outside: &mut Outside) -> Result<(), Killed> {
        outside.saw("retried");
        let record = outside.records.job(job);
        record.failed += 1;
        record.queued.retry = Some(retry);
        outside.records.job_becomes(job, JobState::Queued);
        outside.wrote()
    }

    /// The plan of a run: its jobs one after the other, none after one that did not succeed, or after a
    /// cancellation.
    fn follow(&mut self, run: RunId, outside: &mut Outside) -> Result<(), Killed> {
        let RunRecord { state, cancelled, jobs, .. } = outside.records.run(run);
        if *state == RunState::Ended {
            return Ok(());
        }
        let (is_cancelled, jobs) = (cancelled.is_some(), jobs.clone());
        let known: Vec<Option<Conclusion>> = jobs
            .iter()
            .filter_map(|job| outside.records.jobs.get(&job.id))
            .map(|job| job.conclusion)
            .collect();
        if known.iter().any(Option::is_none) {
            return Ok(());
        }
        if jobs.get(known.len()).is_none_or(|next| next.within.is_empty()) {
            self.queue.call_ended(JobId(run.0 * 100 + CALL));
        }
        let worst = known.iter().flatten().copied().find(|conclusion| *conclusion != Conclusion::Success);
        match jobs.get(known.len()) {
            Some(next) if worst.is_none() && !is_cancelled => {
                let queued = QueuedJob { queued_at: outside.now, ..next.clone() };
                let state = JobState::Queued;
                let record = JobRecord {
                    queued: queued.clone(),
                    state,
                    started_at: None,
                    failed: 0,
                    interrupted: 0,
                    starts: 0,
                    conclusion: None,
                };
                outside.records.jobs.insert(queued.id, record);
                outside.wrote()?;
                self.queue.job_queued(queued);
            }
            _ => {
                let conclusion =
                    if is_cancelled { Conclusion::Cancelled } else { worst.unwrap_or(Conclusion::Success) };
                outside.saw(match conclusion {
                    Conclusion::Success => "success",
                    Conclusion::Failure => "failure",
                    _ => "cancelled",
                });
                outside.records.end_run(run, conclusion);
                outside.wrote()?;
                self.queue.ended(run, outside.now);
            }
        }
        Ok(())
    }

    fn stop_jobs(&mut self, run: RunId, reason: &str, outside: &mut Outside) {
        let jobs: Vec<JobId> = outside.records.run(run).jobs.iter().map(|job| job.id).collect();
        for job in jobs {
            if outside.records.jobs.get(&job).is_some_and(|job| job.conclusion.is_none()) {
                self.queue.cancel(job, reason);
            }
        }
    }
}
