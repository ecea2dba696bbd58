//! The transitions: what may start, and what follows when something ends.

use model::{Conclusion, Contexts as JobContexts, Job, JobId};
use serde_json::Value as Json;

use crate::concurrency::{Entry, displaced_by_newer, too_many_wait};
use crate::syntax::{JobWork, Node as SyntaxNode};

use super::call::TOKEN;
use super::expand::plain_name;
use super::state::{FrameId, Leg, LegId, LegState, LegWork, NodeId, NodeState, Outcome, together};
use super::{PlanCommand, RunPlan, lower};

impl RunPlan {
    /// Carries out every transition that is due.
    pub(super) fn advance(&mut self) {
        loop {
            let mut moved = false;
            let mut free = self.context.parallel.max(1).saturating_sub(self.machines_busy());
            for node in (0..self.nodes.len()).map(NodeId) {
                moved |= self.unblock(node);
            }
            for leg in (0..self.legs.len()).map(LegId) {
                moved |= self.move_leg(leg, &mut free);
            }
            if !moved {
                return;
            }
        }
    }

    /// Decides about a blocked node whose needs have all ended.
    fn unblock(&mut self, node: NodeId) -> bool {
        let blocked = matches!(self.node(node).state, NodeState::Blocked);
        if !blocked || !self.node(node).needs.iter().all(|need| self.outcome(*need).is_some()) {
            return false;
        }
        match self.condition(node) {
            Ok(true) => self.expand(node),
            Ok(false) if self.is_cancelled(self.node(node).frame) => {
                self.decide(node, Conclusion::Cancelled, self.cancel_reason.clone())
            }
            Ok(false) => self.decide(node, Conclusion::Skipped, Some(self.why_skipped(node))),
            Err(problem) => self.decide(node, Conclusion::Failure, Some(problem)),
        }
        true
    }

    /// Moves a leg that waits one state on, if it may.
    fn move_leg(&mut self, leg: LegId, free: &mut usize) -> bool {
        let state = self.leg(leg).state;
        match state {
            LegState::Held if self.reuse(leg) => {}
            LegState::Held if self.has_slot(leg) => self.enter_groups(leg),
            LegState::Ready => return self.start(leg, free),
            _ => return false,
        }
        true
    }

    fn has_slot(&self, leg: LegId) -> bool {
        let NodeState::Expanded(expansion) = &self.node(self.leg(leg).node).state else { return false };
        let taken = expansion.legs.iter().filter(|leg| self.leg(**leg).state.takes_slot()).count();
        taken < expansion.max_parallel
    }

    /// Asks for the leg's groups one after the other; it is ready when it holds all.
    fn enter_groups(&mut self, leg: LegId) {
        while let Some(wish) = self.leg(leg).groups.get(self.leg(leg).entered).cloned() {
            if let Some(owner) = self.held_above(leg, &wish.group) {
                let name = &self.leg(leg).name;
                let reason = format!(
                    "a deadlock for concurrency group '{}' was detected between '{owner}' and '{name}'",
                    wish.group
                );
                return self.decide_leg(leg, Conclusion::Failure, Some(reason));
            }
            self.leg_mut(leg).entered += 1;
            match self.groups.enter(leg, &wish) {
                Entry::Holds => {}
                Entry::Full => {
                    let reason = too_many_wait(&wish.group);
                    return self.decide_leg(leg, Conclusion::Cancelled, Some(reason));
                }
                Entry::Waits { displaced, cancel } => {
                    self.leg_mut(leg).state = LegState::Waiting;
                    let reason = displaced_by_newer(&wish.group);
                    for other in displaced.into_iter().chain(cancel) {
                        self.stop(other, Some(&reason));
                    }
                    return;
                }
            }
        }
        self.leg_mut(leg).state = LegState::Ready;
    }

    /// Who, of the leg itself and all that it is inside of, has this group already.
    fn held_above(&self, leg: LegId, group: &str) -> Option<String> {
        let same = |other: &str| other.to_lowercase() == group.to_lowercase();
        let own = self.leg(leg);
        if own.groups[..own.entered].iter().any(|held| same(&held.group)) {
            return Some(own.name.clone());
        }
        let mut frame = self.node(own.node).frame;
        while let Some(caller) = self.frame(frame).caller {
            let caller = self.leg(caller);
            if caller.groups.iter().any(|held| same(&held.group)) {
                return Some(caller.name.clone());
            }
            frame = self.node(caller.node).frame;
        }
        self.run_group.as_ref().is_some_and(|held| same(&held.group)).then(|| "top level workflow".to_owned())
    }

    /// Starts a ready leg; a job only if a machine is free.
    fn start(&mut self, leg: LegId, free: &mut usize) -> bool {
        if *free == 0 && matches!(self.leg(leg).work, LegWork::Machine { .. }) {
            return false;
        }
        self.leg_mut(leg).state = LegState::Running;
        match self.leg(leg).work.clone() {
            LegWork::Call(call) => {
                if let Err(problem) = self.open_call(leg, call) {
                    self.decide_leg(leg, Conclusion::Failure, Some(problem));
                }
            }
            LegWork::Machine { runs_on, .. } => {
                *free -= 1;
                let job = Box::new(self.lower(leg));
                self.outbox.push(PlanCommand::Start { job, runs_on });
            }
        }
        true
    }

    fn machines_busy(&self) -> usize {
        self.legs.iter().filter(|leg| leg.is_on_machine()).count()
    }

    /// The job of a leg as the runner takes it.
    fn lower(&self, leg: LegId) -> Job {
        let leg = self.leg(leg);
        let frame = self.frame(self.node(leg.node).frame);
        let job = self.job(leg.node);
        let (timeout, cancel_timeout) = match leg.work {
            LegWork::Machine { timeout, cancel_timeout, .. } => (timeout, cancel_timeout),
            LegWork::Call(_) => (model::limits::JOB_TIMEOUT, model::limits::CANCEL_TIMEOUT),
        };
        let (container, services, steps) = match &job.work {
            JobWork::Steps { container, services, steps, .. } => {
                (container.as_ref(), services.as_ref(), steps.as_slice())
            }
            JobWork::Call { .. } => (None, None, [].as_slice()),
        };
        Job {
            id: leg.id,
            run: self.context.run,
            attempt: self.context.attempt,
            key: job.id.value.clone(),
            name: leg.name.clone(),
            steps: lower::steps(steps, frame.reference.as_deref(), &self.context),
            contexts: self.job_contexts(leg),
            env: lower::env_layers(frame.workflow.env.as_ref(), job.env.as_ref()),
            defaults: lower::defaults(&frame.workflow.defaults, &job.defaults),
            outputs: lower::outputs(job),
            environment_url: lower::environment_url(job),
            container: container.map(SyntaxNode::to_template),
            services: services.map(SyntaxNode::to_template),
            timeout,
            cancel_timeout,
            secrets: frame.secrets.clone(),
            trust: self.context.trust,
            cache_mode: leg.cache_mode,
            permissions: leg.permissions.clone(),
            token: model::TokenTerms::Unsaid,
            environment: leg.environment.clone(),
        }
    }

    fn job_contexts(&self, leg: &Leg) -> JobContexts {
        let frame = self.frame(self.node(leg.node).frame);
        let mut github = self.context.github.clone();
        if let Json::Object(github) = &mut github {
            github.insert("job".to_owned(), Json::String(self.job(leg.node).id.value.clone()));
            github.insert("workflow".to_owned(), Json::String(self.workflow_name.clone()));
            if let Some((_, token)) = frame.secrets.iter().find(|(name, _)| name.eq_ignore_ascii_case(TOKEN))
            {
                github.insert("token".to_owned(), Json::String(token.0.clone()));
            }
        }
        JobContexts {
            github,
            vars: self.context.vars.clone(),
            inputs: frame.inputs.to_json(),
            needs: self.needs_context(leg.node).to_json(),
            strategy: leg.strategy.to_json(),
            matrix: leg.matrix.to_json(),
            job: lower::origin(frame.reference.as_deref(), &self.context),
        }
    }

    /// Ends a node that never had a leg.
    pub(super) fn decide(&mut self, node: NodeId, conclusion: Conclusion, reason: Option<String>) {
        let prefix = &self.frame(self.node(node).frame).prefix;
        let name = format!("{prefix}{}", plain_name(self.job(node)));
        self.tell_decided((node, self.node(node).id), name, conclusion, reason);
        self.end_node(node, conclusion, Vec::new());
    }

    /// Ends a leg that never started, or a call.
    pub(super) fn decide_leg(&mut self, leg: LegId, conclusion: Conclusion, reason: Option<String>) {
        let Leg { id, node, name, .. } = self.leg(leg);
        self.tell_decided((*node, *id), name.clone(), conclusion, reason);
        self.end_leg(leg, conclusion, Vec::new());
    }

    /// Says how a job is decided that does not start.
    fn tell_decided(
        &mut self,
        (node, id): (NodeId, JobId),
        name: String,
        conclusion: Conclusion,
        reason: Option<String>,
    ) {
        let key = self.job(node).id.value.clone();
        self.outbox.push(PlanCommand::Decided { id, key, name, conclusion, reason, reused: false });
    }

    /// A leg is over: its groups go on, its matrix may stop, its node may end.
    pub(super) fn end_leg(&mut self, leg: LegId, conclusion: Conclusion, outputs: Vec<(String, String)>) {
        if matches!(self.leg(leg).state, LegState::Ended(_)) {
            return;
        }
        self.leg_mut(leg).state = LegState::Ended(conclusion);
        let id = self.leg(leg).id;
        // Who has ended by itself is not told to stop any more.
        self.outbox.retain(|command| !matches!(command, PlanCommand::Cancel(other) if *other == id));
        for next in self.groups.leave(leg) {
            self.enter_groups(next);
        }
        let node = self.leg(leg).node;
        let NodeState::Expanded(expansion) = &mut self.node_mut(node).state else { return };
        merge(&mut expansion.outputs, outputs);
        let legs = expansion.legs.clone();
        // What failed in an earlier attempt stopped others then.
        let stops = expansion.fail_fast && legs.len() > 1 && !self.leg(leg).reused;
        if stops && self.leg(leg).result() == Some(Conclusion::Failure) {
            let reason = format!("'{}' of the same matrix failed", self.leg(leg).name);
            legs.iter().for_each(|other| self.stop(*other, Some(&reason)));
        }
        self.end_expanded(node, &legs);
    }

    fn end_expanded(&mut self, node: NodeId, legs: &[LegId]) {
        let results: Option<Vec<Conclusion>> = legs.iter().map(|leg| self.leg(*leg).result()).collect();
        let (Some(results), NodeState::Expanded(expansion)) = (results, &mut self.node_mut(node).state)
        else {
            return;
        };
        let outputs = std::mem::take(&mut expansion.outputs);
        self.end_node(node, together(results), outputs);
    }

    fn end_node(&mut self, node: NodeId, conclusion: Conclusion, outputs: Vec<(String, String)>) {
        let (before_succeeded, before_failed) = self.before(node);
        let reused = match &self.node(node).state {
            NodeState::Expanded(expansion) => expansion.legs.iter().all(|leg| self.leg(*leg).reused),
            NodeState::Blocked | NodeState::Ended(_) => self.has_same_needs(node),
        };
        let outcome = Outcome {
            conclusion,
            outputs,
            all_succeeded: before_succeeded && conclusion == Conclusion::Success,
            any_failed: before_failed || conclusion == Conclusion::Failure,
            reused,
        };
        self.node_mut(node).state = NodeState::Ended(outcome);
        self.end_frame(self.node(node).frame);
    }

    /// Ends the call of a frame whose nodes have all ended.
    pub(super) fn end_frame(&mut self, frame: FrameId) {
        let (Some(conclusion), Some(caller)) = (self.frame_conclusion(frame), self.frame(frame).caller)
        else {
            return;
        };
        let job = self.job(self.leg(caller).node).id.value.clone();
        let reused = self
            .frame(frame)
            .nodes
            .iter()
            .all(|node| self.outcome(*node).is_some_and(|outcome| outcome.reused));
        self.leg_mut(caller).reused = reused;
        match self.call_outputs(&job, frame) {
            Ok(outputs) => self.end_leg(caller, conclusion, outputs),
            Err(problem) => self.decide_leg(caller, Conclusion::Failure, Some(problem)),
        }
    }
}

/// Lays later outputs over earlier ones; an empty value hides nothing.
fn merge(outputs: &mut Vec<(String, String)>, newer: Vec<(String, String)>) {
    for (name, value) in newer {
        match outputs.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some((_, known)) if !value.is_empty() => *known = value,
            Some(_) => {}
            None => outputs.push((name, value)),
        }
    }
}
