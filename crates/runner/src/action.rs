//! `uses` steps.

use model::{ActionRef, Step, Template};

use crate::environment::Variables;
use crate::job::{JobRun, WorkError};
use crate::step::{Frame, Stage, StepRun, WorkEnd};

/// One use of an action: what its stages tell each other.
#[derive(Default)]
pub(crate) struct ActionInstance {
    /// `STATE_*`.
    state: Variables,
    /// The condition of its post, once it is registered.
    post: Option<String>,
}

impl ActionInstance {
    /// Whether its post is to run.
    pub(crate) fn has_post(&self) -> bool {
        self.post.is_some()
    }

    /// The condition of its pre.
    pub(crate) fn pre_condition(&self) -> &str {
        "always()"
    }

    /// The condition of its post.
    pub(crate) fn post_condition(&self) -> &str {
        self.post.as_deref().unwrap_or("always()")
    }
}

/// The actions of a job that are in its machine.
#[derive(Default)]
pub(crate) struct Actions {}

impl JobRun<'_> {
    pub(crate) async fn fetch_actions(&mut self, _steps: &[Step]) -> Result<(), WorkError> {
        Ok(())
    }

    pub(crate) fn has_pre(&self, _index: usize) -> bool {
        false
    }

    pub(crate) async fn run_action(
        &mut self,
        uses: &ActionRef,
        _with: Option<&Template>,
        _stage: Stage,
        _frame: &mut Frame,
        instance: &mut ActionInstance,
        _run: &mut StepRun,
    ) -> Result<WorkEnd, WorkError> {
        let _ = &mut instance.state;
        Err(WorkError::Step(format!("can't run {uses} yet")))
    }
}
