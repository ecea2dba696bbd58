//! What still runs when the server is asked to stop is given back, for the next life to run.

use model::{JobId, JobResult, Timestamp};
use runner::Cancellation;
use store::Change;
use store::change::Requeue;

use crate::queue::Retry;
use crate::recipe::run_of;

use super::Core;

/// What the job's log and page say.
const WHY: &str = "the server was stopped while it ran";

/// Whether the log of a job that was ended may get more lines, by its next try.
pub(super) fn leaves_log_open(cancellation: &Cancellation, result: &JobResult) -> bool {
    cancellation.is_killed() && !result.is_decided()
}

impl Core {
    /// Ends all machines' work. What comes of it is [taken back](Core::taken_back).
    pub(super) fn hand_back(&mut self) {
        for job in self.live.values_mut().flat_map(|live| live.jobs.values_mut()) {
            if let Some(cancellation) = &job.cancellation {
                // Who was cancelled before has been asked to end for good.
                job.is_handed_back = !cancellation.is_cancelled();
                cancellation.kill();
            }
        }
    }

    /// Queues a job again that was ended by [`hand_back`](Core::hand_back). One that has succeeded all the same has, and
    /// one of which a step had failed, or whose time was up, is not tried again.
    pub(super) async fn taken_back(&mut self, id: JobId, result: &mut JobResult) -> bool {
        let Some(job) = self.live.get_mut(&run_of(id)).and_then(|live| live.jobs.get_mut(&id)) else {
            return false;
        };
        if !std::mem::take(&mut job.is_handed_back) {
            return false;
        }
        if result.is_decided() {
            // It was ended, and that is not what became of it.
            result.conclusion = result.decided.unwrap_or(result.conclusion);
            return false;
        }
        let now = Timestamp::now();
        if !self.queue.retried(id, Retry { not_before: now, after: WHY.to_owned() }, now) {
            return false;
        }
        job.handed_back(WHY.to_owned());
        let (reason, requeue) = (WHY.to_owned(), Requeue::HandedBack);
        self.write(vec![Change::JobRequeued { job: id, reason, requeue, at: now }]).await
    }
}
