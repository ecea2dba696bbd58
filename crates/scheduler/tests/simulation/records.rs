//! What the server has written down: all that is left of it after a crash.

use std::collections::BTreeMap;

use model::{Conclusion, JobId, JobState, RunId, RunState, Timestamp};
use scheduler::queue::{QueuedJob, QueuedRun};

#[derive(Default)]
pub(crate) struct Records {
    pub(crate) runs: BTreeMap<RunId, RunRecord>,
    pub(crate) jobs: BTreeMap<JobId, JobRecord>,
}

pub(crate) struct RunRecord {
    pub(crate) queued: QueuedRun,
    pub(crate) state: RunState,
    pub(crate) started_at: Option<Timestamp>,
    /// It is to stop, and its plan knows.
    pub(crate) cancelled: Option<String>,
    pub(crate) conclusion: Option<Conclusion>,
    /// Its jobs, one after the other; each is queued when the one before has ended.
    pub(crate) jobs: Vec<QueuedJob>,
}

pub(crate) struct JobRecord {
    pub(crate) queued: QueuedJob,
    pub(crate) state: JobState,
    pub(crate) started_at: Option<Timestamp>,
    /// Tries whose machine failed.
    pub(crate) failed: u32,
    /// Tries during which the server died.
    pub(crate) interrupted: u32,
    pub(crate) starts: u32,
    pub(crate) conclusion: Option<Conclusion>,
}

impl JobRecord {
    pub(crate) fn is_on_machine(&self) -> bool {
        matches!(self.state, JobState::Leasing | JobState::Running)
    }
}

impl Records {
    pub(crate) fn run(&mut self, run: RunId) -> &mut RunRecord {
        self.runs.get_mut(&run).expect("the run is there")
    }

    pub(crate) fn job(&mut self, job: JobId) -> &mut JobRecord {
        self.jobs.get_mut(&job).expect("the job is there")
    }

    pub(crate) fn run_becomes(&mut self, run: RunId, next: RunState) {
        let run = self.run(run);
        assert!(run.state.may_become(next), "{} is {} and can't become {next}", run.queued.id, run.state);
        run.state = next;
    }

    pub(crate) fn job_becomes(&mut self, job: JobId, next: JobState) {
        let job = self.job(job);
        assert!(job.state.may_become(next), "{} is {} and can't become {next}", job.queued.id, job.state);
        job.state = next;
    }

    pub(crate) fn end_run(&mut self, run: RunId, conclusion: Conclusion) {
        self.run_becomes(run, RunState::Ended);
        assert_eq!(self.run(run).conclusion.replace(conclusion), None, "run {run} ends once");
    }

    pub(crate) fn end_job(&mut self, job: JobId, conclusion: Conclusion) {
        self.job_becomes(job, JobState::Ended);
        assert_eq!(self.job(job).conclusion.replace(conclusion), None, "job {job} ends once");
    }

    pub(crate) fn all_ended(&self) -> bool {
        self.runs.values().all(|run| run.state == RunState::Ended)
    }
}
