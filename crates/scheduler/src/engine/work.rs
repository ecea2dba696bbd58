//! A job gets its machine, and its journal.

use std::sync::Arc;

use model::{EventSink, JobId, JobResult, Timestamp};
use runner::Cancellation;
use store::change::Requeue;
use store::log::LogFolder;
use store::{Change, Store};
use tracing::{info, warn};

use crate::journal::Journal;
use crate::queue::Placement;
use crate::recipe::run_of;
use crate::retry;
use crate::worker::{Order, Worker};

use super::hand_back::leaves_log_open;
use super::prepare::{PrepareError, Preparer};
use super::{Core, Message};

impl Core {
    pub(super) async fn start_job(&mut self, id: JobId, machine: Placement) {
        let now = Timestamp::now();
        if !self.queue.started(id, now) {
            return;
        }
        if !self.write(vec![Change::JobLeasing { job: id, at: now }]).await {
            return;
        }
        let Some(live) = self.live.get_mut(&run_of(id)) else { return };
        let (run, facts) = (Arc::clone(&live.run), Arc::clone(&live.facts));
        let (repository, place) = (live.repository.facts.full_name.clone(), live.repository.place.clone());
        let Some(job) = live.jobs.get_mut(&id) else { return };
        let cancellation = Cancellation::default();
        job.cancellation = Some(cancellation.clone());
        job.tries += 1;
        let (tries, profile) = (job.tries, &machine.profile);
        info!(job = %id, run = %run.id, repository, profile, tries, "job asks for a machine");
        let notes =
            [job.again_because.take().map(|reason| format!("Once more: {reason}")), job.let_in_by.clone()];
        let order = Order { job: job.job.clone(), run, facts, repository, place, machine };
        let (store, logs) = (Arc::clone(&self.parts.store), Arc::clone(&self.parts.logs));
        let (worker, preparer) = (Arc::clone(&self.parts.worker), Arc::clone(&self.parts.preparer));
        let sender = self.sender.clone();
        let attempt = Try { id, order, notes, cancellation, store, logs, worker, preparer };
        self.tasks.spawn(async move {
            let news = match attempt.carry_out().await {
                Ok(result) => Message::Worked { job: id, result },
                Err(reason) => Message::PutOff { job: id, reason },
            };
            // The engine stops before its jobs have: the next life finds them interrupted.
            let _ = sender.send(news).await;
        });
    }

    /// The store can't be read, or has no room, for a job that was to start: it waits, and that was no try.
    pub(super) async fn put_job_off(&mut self, id: JobId, reason: String) {
        let mut result = super::without_machine(model::Conclusion::Cancelled, None);
        if self.taken_back(id, &mut result).await {
            return;
        }
        let Some(job) = self.live.get_mut(&run_of(id)).and_then(|live| live.jobs.get_mut(&id)) else {
            return;
        };
        let now = Timestamp::now();
        let retry = retry::after_store_fault(self.retry, id, &reason, job.put_off, now);
        job.put_off = job.put_off.saturating_add(1);
        job.handed_back(reason.clone());
        if !self.queue.retried(id, retry, now) {
            // It was cancelled meanwhile.
            return self.end_job(id, result, None).await;
        }
        warn!(job = %id, reason, "the job can't start now; it is tried again");
        let requeue = Requeue::HandedBack;
        self.write(vec![Change::JobRequeued { job: id, reason, requeue, at: now }]).await;
    }
}

/// A job that gets its machine.
struct Try {
    id: JobId,
    order: Order,
    /// What its log begins with.
    notes: [Option<String>; 2],
    cancellation: Cancellation,
    store: Arc<dyn Store>,
    logs: Arc<LogFolder>,
    worker: Arc<dyn Worker>,
    preparer: Arc<Preparer>,
}

impl Try {
    /// Gives the result, or why the job can't start now.
    async fn carry_out(mut self) -> Result<JobResult, String> {
        let furnished = match self.preparer.furnish(&mut self.order.job, &self.order.place).await {
            Err(PrepareError::Unreadable(reason)) => return Err(reason),
            furnished => furnished,
        };
        let writer = match self.logs.append(self.id) {
            Ok(writer) => writer,
            Err(error) if error.may_pass() => return Err(error.to_string()),
            Err(error) => return Ok(failed(format!("no log can be written: {error}"))),
        };
        let (journal, keeper) = Journal::open(self.id, self.store, writer);
        self.notes.into_iter().flatten().for_each(|note| journal.note(&note));
        let sink: Arc<dyn EventSink> = journal.clone();
        let result = match furnished {
            Ok(()) => self.worker.work(self.order, sink, self.cancellation.clone()).await,
            Err(error) => failed(error.to_string()),
        };
        if let Some(reason) = untold(&result) {
            journal.note(&format!("Error: {reason}"));
        }
        let may_go_on = leaves_log_open(&self.cancellation, &result);
        let is_last = result.infrastructure_error.is_none() && !may_go_on;
        Ok(unless(result, keeper.close(&journal, is_last).await))
    }
}

/// What no machine was asked for.
fn failed(reason: String) -> JobResult {
    super::without_machine(model::Conclusion::Failure, Some(reason))
}

/// What the log does not have yet of why the machine failed. A runner that came to the job's steps has said it all but the
/// machine's own last words, which stand on lines of their own.
fn untold(result: &JobResult) -> Option<&str> {
    let reason = result.infrastructure_error.as_deref()?;
    match result.steps.is_empty() {
        true => Some(reason),
        false => reason.split_once('\n').map(|(_, last_words)| last_words),
    }
}

/// The result, unless its record has a hole: who can't be watched has not succeeded. A job that had failed before has
/// failed all the same: another try could only hide that.
fn unless(result: JobResult, written: Result<(), String>) -> JobResult {
    let Err(reason) = written else { return result };
    let has_succeeded = result.conclusion == model::Conclusion::Success;
    JobResult {
        decided: result.decided.or((result.is_decided() && !has_succeeded).then_some(result.conclusion)),
        conclusion: if has_succeeded { model::Conclusion::Failure } else { result.conclusion },
        infrastructure_error: Some(result.infrastructure_error.unwrap_or(reason)),
        ..result
    }
}

#[cfg(test)]
mod tests {
    use model::{Conclusion, StepResult};

    use super::*;

    #[test]
    fn a_log_with_a_hole_fails_who_has_succeeded_and_gives_no_other_try_to_who_has_failed() {
        let ended = |conclusion| super::super::without_machine(conclusion, None);
        let hole = || Err("the disk is full".to_owned());
        for (conclusion, becomes, is_final) in [
            (Conclusion::Success, Conclusion::Failure, false),
            (Conclusion::Failure, Conclusion::Failure, true),
            (Conclusion::Cancelled, Conclusion::Cancelled, false),
        ] {
            assert_eq!(unless(ended(conclusion), Ok(())), ended(conclusion));
            let result = unless(ended(conclusion), hole());
            assert_eq!(result.conclusion, becomes);
            assert_eq!(result.is_decided(), is_final, "{conclusion}");
            assert_eq!(result.infrastructure_error.as_deref(), Some("the disk is full"));
        }
    }

    #[test]
    fn what_a_runner_has_said_of_a_machine_is_not_said_again_but_its_last_words_are() {
        let failed =
            |reason: &str| super::super::without_machine(Conclusion::Failure, Some(reason.to_owned()));
        assert_eq!(untold(&failed("the VM did not boot")), Some("the VM did not boot"));
        let (outcome, conclusion) = (Conclusion::Skipped, Conclusion::Skipped);
        let begun = |reason| JobResult {
            steps: vec![StepResult { id: String::new(), outcome, conclusion }],
            ..failed(reason)
        };
        assert_eq!(untold(&begun("job 'a': the machine is gone")), None);
        assert_eq!(untold(&begun("job 'a': the machine is gone\nout of memory")), Some("out of memory"));
    }
}
