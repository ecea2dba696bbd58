//! Stopping: one leg, one call, or the whole run.

use model::Conclusion;

use super::state::{FrameId, Leg, LegId, LegState, LegWork, NodeId, NodeState};
use super::{PlanCommand, ROOT, RunPlan};

impl RunPlan {
    /// Cancels the run as [`RunPlan::cancel`] does; the jobs that do not start are told why.
    pub(super) fn cancel_because(&mut self, reason: String) {
        self.cancel_reason.get_or_insert(reason);
        self.cancel();
    }

    /// Ends a run of which nothing has started: no job does, whatever its `if` says.
    pub(super) fn give_up(&mut self, reason: String) {
        for node in self.frame(ROOT).nodes.clone() {
            if matches!(self.node(node).state, NodeState::Blocked) {
                self.decide(node, Conclusion::Cancelled, Some(reason.clone()));
            }
        }
    }

    /// Cancels a frame. A job whose `if` holds although everything is being cancelled goes on, or still starts.
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation>
    pub(super) fn cancel_frame(&mut self, frame: FrameId) {
        if self.frame(frame).cancelled {
            return;
        }
        self.frame_mut(frame).cancelled = true;
        for node in self.frame(frame).nodes.clone() {
            self.cancel_node(node);
        }
    }

    fn cancel_node(&mut self, node: NodeId) {
        let NodeState::Expanded(expansion) = &self.node(node).state else { return };
        let legs = expansion.legs.clone();
        // An `if` that can't be evaluated any more keeps nothing alive.
        let survives = self.condition(node).unwrap_or(false);
        for leg in legs {
            let is_call = matches!(self.leg(leg).work, LegWork::Call(_));
            if is_call && self.leg(leg).state.runs() {
                // Its jobs decide for themselves.
                self.stop(leg, None);
            } else if !survives {
                self.stop(leg, None);
            }
        }
    }

    /// Stops one leg: one that has not started is over, a job is told, a call is cancelled as a whole.
    pub(super) fn stop(&mut self, leg: LegId, reason: Option<&str>) {
        match (self.leg(leg).state, &self.leg(leg).work) {
            (LegState::Ended(_) | LegState::Cancelling, _) => {}
            (LegState::Running, LegWork::Machine { .. }) => {
                self.leg_mut(leg).state = LegState::Cancelling;
                let id = self.leg(leg).id;
                self.outbox.push(PlanCommand::Cancel(id));
            }
            (LegState::Running, LegWork::Call(_)) => {
                self.leg_mut(leg).state = LegState::Cancelling;
                let opened =
                    (0..self.frames.len()).map(FrameId).find(|frame| self.frame(*frame).caller == Some(leg));
                if let Some(frame) = opened {
                    self.cancel_frame(frame);
                }
            }
            (LegState::Held | LegState::Waiting | LegState::Ready, _) => {
                self.decide_leg(leg, Conclusion::Cancelled, reason.map(str::to_owned));
            }
        }
    }

    /// Whether a frame or one that it was called from is being cancelled.
    pub(super) fn is_cancelled(&self, mut frame: FrameId) -> bool {
        loop {
            if self.frame(frame).cancelled {
                return true;
            }
            match self.frame(frame).caller {
                Some(caller) => frame = self.node(self.leg(caller).node).frame,
                None => return false,
            }
        }
    }

    /// Where nothing runs and nothing can start, legs wait for groups that others hold who wait
    /// for theirs. Fails one of them; whether there was one.
    pub(super) fn break_deadlock(&mut self) -> bool {
        if self.legs.iter().any(Leg::is_on_machine) {
            return false;
        }
        let waiting = self.legs.iter().position(|leg| leg.state == LegState::Waiting).map(LegId);
        let Some(leg) = waiting else { return false };
        let group = self.leg(leg).entered.checked_sub(1).and_then(|last| self.leg(leg).groups.get(last));
        let group = group.map_or("", |group| group.group.as_str());
        let reason = format!(
            "a deadlock for concurrency group '{group}' was detected: its holder waits for another group"
        );
        self.decide_leg(leg, Conclusion::Failure, Some(reason));
        true
    }
}
