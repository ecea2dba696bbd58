//! A job's `if` and its status functions.

use std::collections::BTreeSet;

use model::Conclusion;

use crate::expr::{Scope, Value};

use super::RunPlan;
use super::context::Contexts;
use super::evaluate::Evaluator;
use super::state::NodeId;

/// What a job's `if` sees: contexts, and the jobs before it.
///
/// All ancestors count, not only the direct needs: a job behind a skipped one is skipped even
/// if what stands between ran.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/expressions#status-check-functions>
struct ConditionScope<'a> {
    contexts: &'a Contexts,
    plan: &'a RunPlan,
    node: NodeId,
    cancelled: bool,
}

impl Scope for ConditionScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        self.contexts.context(name)
    }

    fn status(&self, function: &str) -> Option<bool> {
        let (succeeded, failed) = self.plan.before(self.node);
        match function {
            "success" => Some(succeeded && !self.cancelled),
            "failure" => Some(failed),
            "cancelled" => Some(self.cancelled),
            "always" => Some(true),
            _ => None,
        }
    }

    fn status_of_jobs(&self, function: &str, jobs: &[String]) -> Option<bool> {
        let named =
            |node: &&NodeId| jobs.iter().any(|name| self.plan.job(**node).id.eq_ignore_ascii_case(name));
        let ancestors = self.plan.ancestors(self.node);
        let mut results = ancestors.iter().filter(named).filter_map(|node| self.plan.result(*node));
        match function {
            "success" => Some(!self.cancelled && results.all(|result| result == Conclusion::Success)),
            "failure" => Some(results.any(|result| result == Conclusion::Failure)),
            other => self.status(other),
        }
    }
}

impl RunPlan {
    /// Whether a node's `if` holds, as things stand.
    pub(super) fn condition(&self, node: NodeId) -> Result<bool, String> {
        let job = self.job(node);
        let contexts = self.contexts(node);
        let cancelled = self.is_cancelled(self.node(node).frame);
        let scope = ConditionScope { contexts: &contexts, plan: self, node, cancelled };
        Evaluator { job: &job.id, contexts: &contexts }.condition(&job.condition, &scope)
    }

    /// Of all that a node needs, directly or not: whether all succeeded, and whether any failed.
    pub(super) fn before(&self, node: NodeId) -> (bool, bool) {
        let outcomes = || self.node(node).needs.iter().filter_map(|need| self.outcome(*need));
        (outcomes().all(|outcome| outcome.all_succeeded), outcomes().any(|outcome| outcome.any_failed))
    }

    /// All that a node needs, directly or not, in the order of the plan.
    fn ancestors(&self, node: NodeId) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::new();
        let mut open = self.node(node).needs.clone();
        while let Some(need) = open.pop() {
            if found.insert(need) {
                open.extend(&self.node(need).needs);
            }
        }
        found
    }

    fn result(&self, node: NodeId) -> Option<Conclusion> {
        self.outcome(node).map(|outcome| outcome.conclusion)
    }

    /// Why the `if` of a node does not hold, in a sentence.
    pub(super) fn why_skipped(&self, node: NodeId) -> String {
        let condition = &self.job(node).condition;
        let (succeeded, _) = self.before(node);
        if succeeded || !condition.starts_with("success()") {
            return format!("its condition is false: {condition}");
        }
        let unsuccessful = |need: &NodeId| self.result(*need) != Some(Conclusion::Success);
        let direct = self.node(node).needs.iter().copied().find(unsuccessful);
        let Some(culprit) = direct.or_else(|| self.ancestors(node).into_iter().find(unsuccessful)) else {
            return format!("its condition is false: {condition}");
        };
        let what = match self.result(culprit) {
            Some(Conclusion::Failure) => "failed",
            Some(Conclusion::Cancelled) => "was cancelled",
            _ => "was skipped",
        };
        format!("'{}', which it needs, {what}", *self.job(culprit).id)
    }
}
