//! What a plan remembers: frames, nodes, and legs, and the states that they go through.
//!
//! A *frame* is one workflow being carried out: the run's own, or one that a job calls. A *node*
//! is a job of its file. A *leg* is one configuration of a node's matrix (or its only one): either
//! a job for a machine or a call, which opens a frame of its own.

use std::sync::Arc;
use std::time::Duration;

use model::{CacheMode, Conclusion, JobId, Permissions, Secrets};

use crate::expr::Value;
use crate::syntax::Workflow;

use super::RunsOn;
use crate::concurrency::Concurrency;

/// Index of a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FrameId(pub(super) usize);
/// Index of a [`Node`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) usize);
/// Index of a [`Leg`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LegId(pub(super) usize);

/// A workflow being carried out. It has ended when all its nodes have.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) workflow: Arc<Workflow>,
    /// The leg that called it; none for the run's own workflow.
    pub(super) caller: Option<LegId>,
    /// Key of the file among the called workflows; none for the run's own.
    pub(super) reference: Option<String>,
    /// 1 for the run's own workflow.
    pub(super) depth: usize,
    /// Its jobs, in the order of the file.
    pub(super) nodes: Vec<NodeId>,
    pub(super) inputs: Value,
    pub(super) secrets: Secrets,
    /// What jobs that say nothing may do with caches.
    pub(super) cache_mode: CacheMode,
    /// What no job may go beyond: what the caller may do.
    pub(super) cache_limit: CacheMode,
    /// What tokens of jobs that say nothing may do.
    pub(super) permissions: Permissions,
    /// What no job's token may go beyond: what the caller's may do, or that of a fork. None for own code.
    pub(super) permission_limit: Option<Permissions>,
    /// Stands before the names of its jobs (`deploy / `).
    pub(super) prefix: String,
    /// Cancelled, by itself or with the run.
    pub(super) cancelled: bool,
}

/// A job of a workflow file.
#[derive(Debug)]
pub(super) struct Node {
    /// Of its first leg, or of itself where it never has one.
    pub(super) id: JobId,
    pub(super) frame: FrameId,
    /// Position in the file's `jobs`.
    pub(super) job: usize,
    pub(super) needs: Vec<NodeId>,
    pub(super) state: NodeState,
}

/// State of a node.
///
/// ```text
/// blocked --needs ended, `if` true--> expanded --all legs ended--> ended
///    |                                                               ^
///    +--`if` false, cancelled, or an error in what is evaluated------+
/// ```
#[derive(Debug)]
pub(super) enum NodeState {
    /// Something that it needs has not ended.
    Blocked,
    /// Its legs exist.
    Expanded(Expansion),
    /// It is over.
    Ended(Outcome),
}

/// A node with legs.
#[derive(Debug)]
pub(super) struct Expansion {
    pub(super) legs: Vec<LegId>,
    pub(super) fail_fast: bool,
    pub(super) max_parallel: usize,
    /// Of the legs that have ended; a later one wins where it has a value.
    pub(super) outputs: Vec<(String, String)>,
}

/// How a node ended, as `needs` and `jobs` show it.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// After `continue-on-error`.
    pub(super) conclusion: Conclusion,
    pub(super) outputs: Vec<(String, String)>,
    /// It and all that it needs, directly or not, ended as success.
    pub(super) all_succeeded: bool,
    /// It failed, or something that it needs, directly or not.
    pub(super) any_failed: bool,
    /// All of it ended so in an earlier attempt, and did not run in this one.
    pub(super) reused: bool,
}

/// One configuration of a node.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) id: JobId,
    pub(super) node: NodeId,
    /// Position among all configurations of its matrix.
    pub(super) index: usize,
    /// With the names of the calls before it.
    pub(super) name: String,
    pub(super) strategy: Value,
    pub(super) matrix: Value,
    /// Whether a failure is forgiven.
    pub(super) continue_on_error: bool,
    /// Groups that it must hold before it starts, in this order.
    pub(super) groups: Vec<Concurrency>,
    /// How many of them it has asked for. It holds all but the last of these, and the last unless it is waiting.
    pub(super) entered: usize,
    /// What it, or what it calls, may do with caches.
    pub(super) cache_mode: CacheMode,
    /// What its token, or those of what it calls, may do.
    pub(super) permissions: Permissions,
    /// Name of its environment.
    pub(super) environment: Option<String>,
    pub(super) work: LegWork,
    pub(super) state: LegState,
    /// It ended in an earlier attempt, and did not run in this one.
    pub(super) reused: bool,
}

/// What a leg does.
#[derive(Clone, Debug)]
pub(super) enum LegWork {
    /// Runs on a machine.
    Machine { runs_on: RunsOn, timeout: Duration, cancel_timeout: Duration },
    /// Calls a workflow.
    Call(Call),
}

/// A call with everything evaluated.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) workflow: Arc<Workflow>,
    pub(super) reference: String,
    pub(super) inputs: Value,
    pub(super) secrets: Secrets,
}

/// State of a leg.
///
/// ```text
/// held --slot of max-parallel--> waiting --holds its groups--> ready --machine free--> running --> ended
///   |                              |                             |        cancelled: |              ^
///   |                              |                             |                   v              |
///   |                              |                             |               cancelling --------+
///   +------------------------------+-----------------------------+--cancelled, or an error----------+
/// ```
/// A call goes from `ready` to `running` at once: only its jobs need machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegState {
    /// Other legs of its matrix have all slots of `max-parallel`.
    Held,
    /// It waits for a concurrency group.
    Waiting,
    /// It may start.
    Ready,
    /// It runs.
    Running,
    /// It runs, and was told to stop.
    Cancelling,
    /// It is over; before `continue-on-error`.
    Ended(Conclusion),
}

impl LegState {
    /// Whether it takes one of its matrix's slots.
    pub(super) fn takes_slot(self) -> bool {
        !matches!(self, LegState::Held | LegState::Ended(_))
    }

    /// Whether it may still start.
    pub(super) fn waits(self) -> bool {
        matches!(self, LegState::Held | LegState::Waiting | LegState::Ready)
    }

    /// Whether it has started and not ended.
    pub(super) fn runs(self) -> bool {
        matches!(self, LegState::Running | LegState::Cancelling)
    }
}

impl Leg {
    /// Whether it is a job on its machine.
    pub(super) fn is_on_machine(&self) -> bool {
        self.state.runs() && matches!(self.work, LegWork::Machine { .. })
    }

    /// Whether it is over.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, LegState::Ended(_))
    }

    /// How it ended, after `continue-on-error`; none while it goes on.
    pub(super) fn result(&self) -> Option<Conclusion> {
        match self.state {
            LegState::Ended(Conclusion::Failure) if self.continue_on_error => Some(Conclusion::Success),
            LegState::Ended(conclusion) => Some(conclusion),
            _ => None,
        }
    }
}

/// The one result of many: failed if one failed, cancelled if one was cancelled, skipped if all were.
pub(super) fn together(results: impl IntoIterator<Item = Conclusion>) -> Conclusion {
    let results: Vec<Conclusion> = results.into_iter().collect();
    if results.contains(&Conclusion::Failure) {
        Conclusion::Failure
    } else if results.contains(&Conclusion::Cancelled) {
        Conclusion::Cancelled
    } else if !results.is_empty() && results.iter().all(|result| *result == Conclusion::Skipped) {
        Conclusion::Skipped
    } else {
        Conclusion::Success
    }
}
