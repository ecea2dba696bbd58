//! A further attempt of a run: what has ended well is not run again, and all that hangs on what is run again is.
//!
//! As on GitHub, where "re-run failed jobs" runs these and the jobs that need them:
//! <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>

use std::collections::BTreeMap;
use std::fmt;

use model::{JobId, JobResult};
use serde::{Deserialize, Serialize};

use crate::expr::Value;

use super::state::{Leg, LegId, Node, NodeId};
use super::{PlanCommand, RunPlan};

/// Digits of a number in a rank: no file and no matrix has more than [`RUN_JOBS`](model::limits::RUN_JOBS) jobs.
const RANK_DIGITS: usize = 4;

/// Names a job of a run, the same in each of its attempts: the keys of the calls that lead to it and its own, each
/// with its place in its matrix (`deploy[1]/build`). Ids do not: they depend on what ended first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobPath(String);

impl fmt::Display for JobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a job stands in its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlace {
    /// Its name in all attempts.
    pub path: JobPath,
    /// Whether all that it needs ended in an earlier attempt and did not run in this one.
    pub same_needs: bool,
}

impl RunPlan {
    /// Takes the results of an earlier attempt: a job among them ends as it did then, unless something that it
    /// needs has run again. To be called before the first [`RunPlan::poll`].
    #[must_use]
    pub fn after(self, earlier: BTreeMap<JobPath, JobResult>) -> RunPlan {
        RunPlan { earlier, ..self }
    }

    /// Where a job stands that was started.
    #[must_use]
    pub fn place(&self, id: JobId) -> Option<JobPlace> {
        let (node, leg) = self.find(id)?;
        Some(JobPlace { path: self.path(leg?), same_needs: self.has_same_needs(node) })
    }

    /// The name of a job in all attempts, also of one that was decided as a whole before it had a matrix.
    #[must_use]
    pub fn path_of(&self, id: JobId) -> Option<JobPath> {
        let (node, leg) = self.find(id)?;
        if let Some(leg) = leg {
            return Some(self.path(leg));
        }
        let caller = self.frame(self.node(node).frame).caller;
        let mut parts = caller.map_or_else(Vec::new, |caller| self.parts(caller));
        parts.push(self.job(node).id.value.clone());
        Some(JobPath(parts.join("/")))
    }

    /// A job's node, and its place in the matrix unless it was decided as a whole.
    fn find(&self, id: JobId) -> Option<(NodeId, Option<LegId>)> {
        if let Some(leg) = self.legs.iter().position(|leg| leg.id == id).map(LegId) {
            return Some((self.leg(leg).node, Some(leg)));
        }
        self.nodes.iter().position(|node| node.id == id).map(|node| (NodeId(node), None))
    }

    /// Where a job stands among those of its run, as text that sorts as the files have them: its place in its file and in
    /// its matrix, after those of the calls that lead to it. Ids do not sort so: all but the first job of a matrix get
    /// theirs when it is known what it has.
    #[must_use]
    pub fn rank(&self, id: JobId) -> Option<String> {
        let (mut node, leg) = self.find(id)?;
        let mut index = leg.map_or(0, |leg| self.leg(leg).index);
        let mut parts = Vec::new();
        loop {
            let Node { job, frame, .. } = self.node(node);
            parts.push(format!("{job:0RANK_DIGITS$}.{index:0RANK_DIGITS$}"));
            let Some(caller) = self.frame(*frame).caller.map(|caller| self.leg(caller)) else { break };
            (node, index) = (caller.node, caller.index);
        }
        parts.reverse();
        Some(parts.join("/"))
    }

    fn path(&self, leg: LegId) -> JobPath {
        JobPath(self.parts(leg).join("/"))
    }

    /// The keys of the calls that lead to a leg, and its own.
    fn parts(&self, leg: LegId) -> Vec<String> {
        let mut parts = Vec::new();
        let mut next = Some(leg);
        while let Some(leg) = next.map(|leg| self.leg(leg)) {
            let key = &self.job(leg.node).id.value;
            parts.push(match &leg.matrix {
                Value::Null => key.clone(),
                _ => format!("{key}[{}]", leg.index),
            });
            next = self.frame(self.node(leg.node).frame).caller;
        }
        parts.reverse();
        parts
    }

    /// Whether nothing that a node needs, or that the calls around it need, has run in this attempt.
    pub(super) fn has_same_needs(&self, node: NodeId) -> bool {
        let mut next = Some(node);
        while let Some(node) = next.map(|node| self.node(node)) {
            if !node.needs.iter().all(|need| self.outcome(*need).is_some_and(|outcome| outcome.reused)) {
                return false;
            }
            next = self.frame(node.frame).caller.map(|caller| self.leg(caller).node);
        }
        true
    }

    /// Ends a leg that is still held as it ended in an earlier attempt, if that counts. It asks for no group: it
    /// does not run.
    pub(super) fn reuse(&mut self, leg: LegId) -> bool {
        if self.earlier.is_empty() || !self.has_same_needs(self.leg(leg).node) {
            return false;
        }
        let Some(result) = self.earlier.get(&self.path(leg)) else { return false };
        let (conclusion, outputs) = (result.conclusion, result.outputs.clone());
        self.leg_mut(leg).reused = true;
        let Leg { id, node, name, .. } = self.leg(leg);
        let (id, key, name) = (*id, self.job(*node).id.value.clone(), name.clone());
        let reason = Some("it ended so in an earlier attempt".to_owned());
        self.outbox.push(PlanCommand::Decided { id, key, name, conclusion, reason, reused: true });
        self.end_leg(leg, conclusion, outputs);
        true
    }
}
