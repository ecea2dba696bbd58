//! What changes, as it changes: server-sent events.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use model::{JobId, RunId};
use serde::Serialize;
use store::Change;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use super::read::Number;
use super::runs;
use super::wire::{Happened, What};
use crate::server::Shared;

/// Streams of events at once: each is a connection, and a few kilobytes.
pub(crate) const LISTENERS: usize = 250;

/// When it is worth asking again for a stream.
const RETRY: Duration = Duration::from_secs(10);

/// How often something is sent when nothing happens: proxies give up after a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Makes nginx pass each event on at once, instead of a buffer full of them.
/// <https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering>
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");

/// The places of those who listen.
pub(crate) struct Listeners(Arc<Semaphore>);

impl Default for Listeners {
    fn default() -> Self {
        Listeners(Arc::new(Semaphore::new(LISTENERS)))
    }
}

impl Listeners {
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = Arc::clone(&self.0).try_acquire_owned();
        place.map_err(|_| ApiError::too_many(format!("{LISTENERS} streams of events are open"), RETRY))
    }
}

/// One event.
pub(super) struct Event {
    name: &'static str,
    json: String,
}

impl Event {
    pub(super) fn of(name: &'static str, what: &impl Serialize) -> Event {
        // What we send is plain data: it always becomes JSON.
        Event { name, json: serde_json::to_string(what).unwrap_or_default() }
    }
}

/// An answer of these events, which ends with them, with the client, or with the server.
pub(super) fn answer(
    shared: &Shared,
    place: OwnedSemaphorePermit,
    events: impl Stream<Item = Event> + Send + 'static,
) -> Response {
    let events = events.take_until(shared.stop.clone().cancelled_owned()).map(move |event| {
        let _place = &place;
        Ok::<_, Infallible>(sse::Event::default().event(event.name).data(event.json))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    ([UNBUFFERED], events).into_response()
}

/// `GET /events`: runs and jobs that have changed.
pub(super) async fn all(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let place = shared.listeners.enter()?;
    let changes = Box::pin(changes(shared.store.subscribe()));
    Ok(answer(&shared, place, changes))
}

/// `GET /runs/{run}/events`: what has changed in one run.
pub(super) async fn of_run(
    State(shared): State<Arc<Shared>>,
    Number(run): Number,
) -> Result<Response, ApiError> {
    // First listened, then looked: nothing is missed between.
    let heard = shared.store.subscribe();
    let run = runs::one(&shared, run).await?.id;
    let place = shared.listeners.enter()?;
    let changes = changes_of(heard, move |what| what.run_id == run);
    Ok(answer(&shared, place, Box::pin(changes)))
}

fn changes(heard: Receiver<Arc<Vec<Change>>>) -> impl Stream<Item = Event> + Send {
    changes_of(heard, |_| true)
}

fn changes_of(
    heard: Receiver<Arc<Vec<Change>>>,
    is_wanted: impl Fn(&Happened) -> bool + Send + Clone + 'static,
) -> impl Stream<Item = Event> + Send {
    // A first event, so that a client knows when it misses nothing any more.
    let begun = stream::once(async { Event::of("open", &()) });
    let rest = stream::unfold(heard, move |mut heard| {
        let is_wanted = is_wanted.clone();
        async move {
            let events = match heard.recv().await {
                Ok(changes) => {
                    let mut told: Vec<Happened> = Vec::new();
                    for what in changes.iter().filter_map(happened).filter(|what| is_wanted(what)) {
                        if !told.contains(&what) {
                            told.push(what);
                        }
                    }
                    told.iter().map(|what| Event::of("changed", what)).collect()
                }
                Err(RecvError::Lagged(missed)) => vec![Event::of("lagged", &missed)],
                Err(RecvError::Closed) => return None,
            };
            Some((stream::iter(events), heard))
        }
    });
    begun.chain(rest.flatten())
}

/// What a change tells of runs and jobs; the rest is nobody's business here.
fn happened(change: &Change) -> Option<Happened> {
    use Change::{
        Annotated, AttemptQueued, JobCreated, JobDelayed, JobEnded, JobLeasing, JobQueued, JobRequeued,
        JobSpoke, JobStarted, RunCancelled, RunCreated, RunEnded, RunHeld, RunQueued, RunResumed, RunStarted,
        StepEnded, StepStarted, Summary,
    };
    let run = |run_id: RunId| Happened { run_id, job_id: None, what: What::Run };
    let of_job =
        |job: JobId, what| Happened { run_id: scheduler::recipe::run_of(job), job_id: Some(job), what };
    Some(match change {
        RunCreated(created) => run(created.id),
        RunQueued { run: id } | RunStarted { run: id, .. } | RunCancelled { run: id, .. } => run(*id),
        RunHeld { run: id, .. } | RunResumed { run: id } => run(*id),
        RunEnded { run: id, .. } | AttemptQueued { run: id, .. } => run(*id),
        JobCreated(job) => Happened { run_id: job.run, job_id: Some(job.id), what: What::Job },
        JobDelayed { job, .. } => of_job(*job, What::Job),
        JobQueued { job, .. } | JobLeasing { job, .. } | JobStarted { job, .. } => of_job(*job, What::Job),
        JobSpoke { job, .. } | JobRequeued { job, .. } | JobEnded { job, .. } => of_job(*job, What::Job),
        StepStarted(step) => of_job(step.job, What::Steps),
        StepEnded { job, .. } | Summary { job, .. } => of_job(*job, What::Steps),
        Annotated { job, .. } => of_job(*job, What::Annotations),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_how_much_is_missing_and_goes_on() {
        let (sender, heard) = tokio::sync::broadcast::channel(2);
        for run in 1..=5 {
            sender.send(Arc::new(vec![Change::RunQueued { run: RunId(run) }])).unwrap();
        }
        drop(sender);
        let events: Vec<Event> = Box::pin(changes(heard)).collect().await;
        let told: Vec<(&str, &str)> = events.iter().map(|event| (event.name, event.json.as_str())).collect();
        let [open, lagged, (_, fourth), (_, fifth)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((open, lagged), (&("open", "null"), &("lagged", "3")));
        assert!(fourth.contains(r#""run_id":4"#) && fifth.contains(r#""run_id":5"#));
    }
}
