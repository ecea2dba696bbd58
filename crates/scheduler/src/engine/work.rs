//! A job gets its machine, and its journal.

use std::sync::Arc;

use model::{EventSink, JobId, JobResult, Timestamp};
use runner::Cancellation;
use store::Change;
use tracing::info;

use crate::journal::Journal;
use crate::queue::Placement;
use crate::recipe::run_of;
use crate::worker::Order;

use super::hand_back::leaves_log_open;
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
        let mut order = Order { job: job.job.clone(), run, facts, repository, place, machine };
        let (store, logs) = (Arc::clone(&self.parts.store), Arc::clone(&self.parts.logs));
        let (worker, sender) = (Arc::clone(&self.parts.worker), self.sender.clone());
        let preparer = Arc::clone(&self.parts.preparer);
        self.tasks.spawn(async move {
            let result = match logs.append(id) {
                Ok(writer) => {
                    let (journal, keeper) = Journal::open(id, store, writer);
                    notes.into_iter().flatten().for_each(|note| journal.note(&note));
                    let sink: Arc<dyn EventSink> = journal.clone();
                    let result = match preparer.furnish(&mut order.job, &order.place).await {
                        Ok(()) => worker.work(order, sink, cancellation.clone()).await,
                        Err(reason) => super::without_machine(model::Conclusion::Failure, Some(reason)),
                    };
                    if let Some(reason) = untold(&result) {
                        journal.note(&format!("Error: {reason}"));
                    }
                    let may_go_on = leaves_log_open(&cancellation, &result);
                    let is_last = result.infrastructure_error.is_none() && !may_go_on;
                    unless(result, keeper.close(&journal, is_last).await)
                }
                Err(error) => {
                    let reason = format!("no log can be written: {error}");
                    super::without_machine(model::Conclusion::Failure, Some(reason))
                }
            };
            // The engine stops before its jobs have: the next life finds them interrupted.
            let _ = sender.send(Message::Worked { job: id, result }).await;
        });
    }
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

/// The result, unless its record has a hole: who can't be watched has not succeeded.
fn unless(result: JobResult, written: Result<(), String>) -> JobResult {
    match written {
        Ok(()) => result,
        Err(reason) => JobResult {
            conclusion: model::Conclusion::Failure,
            infrastructure_error: Some(result.infrastructure_error.unwrap_or(reason)),
            ..result
        },
    }
}

#[cfg(test)]
mod tests {
    use model::{Conclusion, StepResult};

    use super::*;

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
