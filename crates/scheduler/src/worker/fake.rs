//! A worker without machines, for tests of what stands above: each job ends as it was told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use model::{
    Conclusion, EventSink, Job, JobEvent, JobResult, LogLine, StepPhase, StepRef, StepResult, Stream,
};
use runner::Cancellation;
use tokio::sync::Notify;

use super::{Order, Worker};
use crate::queue::Placement;

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It ends so, after one step with one line.
    End(Conclusion),
    /// It ends well, with this output.
    Output(String, String),
    /// Its machine fails, for this reason.
    MachineFails(String),
    /// It runs until it is cancelled.
    Hang,
    /// A step of it fails, and one that runs all the same does so until it is cancelled.
    FailAndHang,
    /// It runs until it is cancelled, and its machine dies of that.
    DieWhenCancelled,
    /// It is never run, for this reason.
    Refuse(String),
}

/// Does as it is told; what it was not told succeeds.
#[derive(Default)]
pub struct FakeWorker {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    deeds: BTreeMap<String, VecDeque<Deed>>,
    began: Vec<String>,
    secrets: BTreeMap<String, Vec<String>>,
}

impl FakeWorker {
    /// What the next tries of the job with this key do; the last one counts for all that follow.
    pub fn tell(&self, key: &str, deeds: impl IntoIterator<Item = Deed>) {
        self.state().deeds.insert(key.to_owned(), deeds.into_iter().collect());
    }

    /// Keys of the jobs that have begun, in order.
    pub fn began(&self) -> Vec<String> {
        self.state().began.clone()
    }

    /// Names of the secrets that a job was given, the last time.
    pub fn secrets_of(&self, key: &str) -> Vec<String> {
        self.state().secrets.get(key).cloned().unwrap_or_default()
    }

    /// Waits until this many jobs have begun.
    pub async fn has_begun(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.state().began.len() >= count {
                return;
            }
            changed.await;
        }
    }

    fn begin(&self, order: &Order) -> Deed {
        let mut state = self.state();
        let key = &order.job.key;
        state.began.push(key.clone());
        state.secrets.insert(key.clone(), order.job.secrets.keys().cloned().collect());
        let deed = match state.deeds.get_mut(key) {
            Some(deeds) if deeds.len() > 1 => deeds.pop_front(),
            Some(deeds) => deeds.front().cloned(),
            None => None,
        };
        self.changed.notify_waiters();
        deed.unwrap_or(Deed::End(Conclusion::Success))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Worker for FakeWorker {
    async fn work(&self, order: Order, sink: Arc<dyn EventSink>, cancellation: Cancellation) -> JobResult {
        let mut result = JobResult {
            conclusion: Conclusion::Success,
            infrastructure_error: None,
            decided: None,
            outputs: Vec::new(),
            environment_url: None,
            steps: Vec::new(),
        };
        let deed = self.begin(&order);
        if let Deed::MachineFails(reason) = deed {
            result.conclusion = Conclusion::Failure;
            result.infrastructure_error = Some(reason);
            return result;
        }
        let at = SystemTime::now();
        let step = StepRef { index: 0, phase: StepPhase::Main };
        sink.emit(JobEvent::JobStarted { at, machine: "fake-1".to_owned(), driver: "fake".to_owned() });
        sink.emit(JobEvent::StepStarted { step, name: "Run it".to_owned(), at });
        let text = format!("{} works", order.job.name);
        sink.emit(JobEvent::Log(LogLine { step, sequence: 0, stream: Stream::Stdout, at, text }));
        match deed {
            Deed::End(conclusion) => result.conclusion = conclusion,
            Deed::Output(name, value) => result.outputs = vec![(name, value)],
            Deed::Hang => {
                cancellation.cancelled().await;
                result.conclusion = Conclusion::Cancelled;
            }
            Deed::FailAndHang => {
                let failed = Conclusion::Failure;
                result.steps = vec![StepResult { id: String::new(), outcome: failed, conclusion: failed }];
                result.decided = Some(failed);
                cancellation.cancelled().await;
                result.conclusion = Conclusion::Cancelled;
            }
            Deed::DieWhenCancelled => {
                let failed = Conclusion::Failure;
                result.steps = vec![StepResult { id: String::new(), outcome: failed, conclusion: failed }];
                cancellation.cancelled().await;
                result.conclusion = failed;
                result.infrastructure_error = Some("the machine is gone".to_owned());
            }
            Deed::MachineFails(_) | Deed::Refuse(_) => {}
        }
        let conclusion = result.conclusion;
        let duration = Duration::from_millis(1);
        sink.emit(JobEvent::StepFinished { step, outcome: conclusion, conclusion, duration });
        sink.emit(JobEvent::JobFinished { result: result.clone(), duration });
        result
    }

    fn refuses(&self, job: &Job, _: &Placement) -> Option<String> {
        match self.state().deeds.get(&job.key)?.front()? {
            Deed::Refuse(reason) => Some(reason.clone()),
            _ => None,
        }
    }
}
