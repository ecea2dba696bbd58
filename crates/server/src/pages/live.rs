//! Tells pages that something has changed; they ask again for what they show.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use model::{JobId, RunId};
use store::Change;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::Pages;
use super::asked::{Number, Path};
use super::error::PageError;
use super::log::serve::SIGN_OF_LIFE;

/// Least time between two events: faster than an eye follows, and no more than four pages a second for each who watches.
const BETWEEN: Duration = Duration::from_millis(250);

/// Whose changes a page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Watch {
    /// All runs, and the queue.
    Runs,
    /// One run, with the jobs of it that are known.
    Run(RunId, BTreeSet<JobId>),
}

impl Watch {
    /// Whether any of these is one that the page shows. All are looked at: they may name further jobs.
    fn concern(&mut self, changes: &[Change]) -> bool {
        changes.iter().filter(|change| self.concerns(change)).count() > 0
    }

    /// Whether a change is one that the page shows.
    fn concerns(&mut self, change: &Change) -> bool {
        match self {
            Watch::Runs => run_of(change).is_some() || is_about_waiting(change),
            Watch::Run(run, jobs) => {
                if let Change::JobCreated(job) = change
                    && job.run == *run
                {
                    jobs.insert(job.id);
                }
                run_of(change) == Some(*run) || job_of(change).is_some_and(|job| jobs.contains(&job))
            }
        }
    }
}

/// The run that a change is about.
fn run_of(change: &Change) -> Option<RunId> {
    match change {
        Change::RunCreated(run) => Some(run.id),
        Change::RunQueued { run }
        | Change::RunStarted { run, .. }
        | Change::RunHeld { run, .. }
        | Change::RunResumed { run }
        | Change::RunCancelled { run, .. }
        | Change::RunEnded { run, .. }
        | Change::AttemptQueued { run, .. } => Some(*run),
        Change::JobCreated(job) => Some(job.run),
        _ => None,
    }
}

/// The job that a change is about.
fn job_of(change: &Change) -> Option<JobId> {
    match change {
        Change::JobCreated(job) => Some(job.id),
        Change::StepStarted(step) => Some(step.job),
        Change::JobDelayed { job, .. }
        | Change::JobQueued { job, .. }
        | Change::JobLeasing { job, .. }
        | Change::JobStarted { job, .. }
        | Change::JobSpoke { job, .. }
        | Change::JobRequeued { job, .. }
        | Change::JobEnded { job, .. }
        | Change::StepEnded { job, .. }
        | Change::Summary { job, .. }
        | Change::Annotated { job, .. } => Some(*job),
        _ => None,
    }
}

fn is_about_waiting(change: &Change) -> bool {
    matches!(
        change,
        Change::JobDelayed { .. }
            | Change::JobQueued { .. }
            | Change::JobLeasing { .. }
            | Change::JobStarted { .. }
            | Change::JobRequeued { .. }
            | Change::JobEnded { .. }
    )
}

/// `GET /live`
pub(super) async fn runs(State(pages): State<Pages>) -> Result<Response, PageError> {
    let changes = pages.store().subscribe();
    tell(&pages, changes, Watch::Runs)
}

/// `GET /runs/{run}/live`
pub(super) async fn run(
    State(pages): State<Pages>,
    Path(Number(run)): Path<Number>,
) -> Result<Response, PageError> {
    // Before the jobs are read, so that none is missed in between.
    let changes = pages.store().subscribe();
    let run = pages.store().run(RunId(run)).await?.ok_or(PageError::Missing("run"))?;
    let jobs = pages.store().jobs(run.id, run.attempt).await?.iter().map(|job| job.id).collect();
    tell(&pages, changes, Watch::Run(run.id, jobs))
}

fn tell(
    pages: &Pages,
    changes: broadcast::Receiver<Arc<Vec<Change>>>,
    watch: Watch,
) -> Result<Response, PageError> {
    let permit = pages.watch()?;
    let begun = (changes, watch, Instant::now());
    let events = stream::unfold(begun, async |(mut changes, mut watch, not_before)| {
        let told = next(&mut changes, &mut watch, not_before).await;
        told.then(|| ((), (changes, watch, Instant::now() + BETWEEN)))
    });
    let events = events.map(move |()| {
        let _held = &permit;
        Ok::<_, Infallible>(changed())
    });
    // One at once: what changed between loading the page and now is not to be missed.
    let first = stream::once(async { Ok(changed()) });
    let events = first.chain(events).take_until(pages.stopped());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response())
}

/// That something has changed. Browsers drop an event without data
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>).
fn changed() -> Event {
    Event::default().event("changed").data("now")
}

/// Waits for the next change that is watched, and for its time; `false` when there will be none. A watcher who was
/// too slow is told to look again, which is all that a change does.
async fn next(
    changes: &mut broadcast::Receiver<Arc<Vec<Change>>>,
    watch: &mut Watch,
    not_before: Instant,
) -> bool {
    loop {
        match changes.recv().await {
            Ok(together) if watch.concern(&together) => break,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => break,
            Err(RecvError::Closed) => return false,
        }
    }
    sleep_until(not_before).await;
    // What has come meanwhile is told with it; it may name further jobs.
    while let Ok(together) = changes.try_recv() {
        watch.concern(&together);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::sample;
    use model::Timestamp;

    #[test]
    fn a_page_of_a_run_hears_of_its_jobs_and_of_no_others() {
        let mut watch = Watch::Run(sample::RUN, BTreeSet::new());
        let begun = |job| Change::JobSpoke { job: JobId(job), at: Timestamp(0) };
        assert!(!watch.concerns(&begun(3)));
        assert!(watch.concerns(&Change::JobCreated(Box::new(sample::job(3, "build")))));
        assert!(watch.concerns(&begun(3)));
        assert!(!watch.concerns(&Change::RunQueued { run: RunId(99) }));
    }

    #[test]
    fn the_list_of_runs_does_not_hear_of_every_step() {
        let step = sample::step(JobId(3), "test");
        assert!(!Watch::Runs.concerns(&Change::StepStarted(Box::new(step))));
        assert!(Watch::Runs.concerns(&Change::RunQueued { run: RunId(99) }));
    }
}
