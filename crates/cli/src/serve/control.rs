//! What people wish of the server reaches its engine.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use model::{JobId, RunId};
use runner::results::ResultsService;
use scheduler::decide::Wait;
use scheduler::dispatch::{DispatchError, Dispatcher, Wish};
use scheduler::engine::{Engine, EngineError};
use scheduler::queue::Subject;
use server::control::{Again, Control, ControlError, Dispatch, Dispatched, Review};
use store::record::Run;
use tokio::sync::Notify;

use crate::data::DataFolder;

/// The engine, what starts runs by hand, and what jobs have left.
pub(super) struct EngineControl {
    pub(super) engine: Engine,
    pub(super) dispatcher: Dispatcher,
    pub(super) news: Arc<Notify>,
    pub(super) results: Arc<ResultsService>,
    pub(super) data: DataFolder,
}

#[async_trait]
impl Control for EngineControl {
    async fn cancel(&self, subject: Subject, reason: String) -> Result<(), ControlError> {
        self.engine.cancel(subject, reason).await.map_err(of_engine)
    }

    async fn again(&self, run: RunId, again: Again, actor: String) -> Result<u32, ControlError> {
        self.engine.again(run, again, actor).await.map_err(of_engine)
    }

    async fn approve(&self, run: RunId, actor: String) -> Result<(), ControlError> {
        self.engine.approve(run, actor).await.map_err(of_engine)
    }

    async fn review(&self, job: JobId, review: Review) -> Result<(), ControlError> {
        self.engine.review(job, review).await.map_err(of_engine)
    }

    async fn dispatch(&self, wish: Dispatch) -> Result<Vec<Run>, ControlError> {
        let what = match wish.what {
            Dispatched::Workflow { workflow, reference, inputs } => {
                Wish::Workflow { workflow, reference, inputs }
            }
            Dispatched::Repository { event_type, client_payload } => {
                Wish::Repository { event_type, client_payload }
            }
        };
        let runs = self.dispatcher.dispatch(wish.repository, &wish.actor, &what).await;
        runs.map_err(|error| match &error {
            DispatchError::Unknown(_) => ControlError::Missing(error.to_string()),
            DispatchError::Invalid(_) => ControlError::Invalid(error.to_string()),
            DispatchError::Unreachable(_) | DispatchError::Store(_) => {
                ControlError::Unavailable(error.to_string())
            }
        })
    }

    async fn waits(&self) -> Result<Vec<Wait>, ControlError> {
        self.engine.waits().await.map_err(of_engine)
    }

    async fn remove_artifact(&self, run: RunId, number: u64) -> Result<(), ControlError> {
        self.results.remove_artifact(run, number).await.map(drop).map_err(of_disk)
    }

    async fn remove_caches(&self, files: Vec<String>) -> Result<(), ControlError> {
        for file in files {
            self.results.remove_cache(self.data.root().join(file)).await.map_err(of_disk)?;
        }
        Ok(())
    }

    fn nudge(&self) {
        self.news.notify_one();
    }
}

fn of_disk(error: io::Error) -> ControlError {
    ControlError::Unavailable(format!("can't remove what a job has left: {error}"))
}

fn of_engine(error: EngineError) -> ControlError {
    match &error {
        EngineError::Missing(_) => ControlError::Missing(error.to_string()),
        EngineError::Unfit { .. } => ControlError::Unfit(error.to_string()),
        EngineError::Forbidden(_) => ControlError::Forbidden(error.to_string()),
        EngineError::Store(_) | EngineError::Stopped | EngineError::Busy(_) => {
            ControlError::Unavailable(error.to_string())
        }
    }
}
