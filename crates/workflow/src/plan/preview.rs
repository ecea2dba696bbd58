//! What a run would do, without running anything: for `hearth plan`.
//!
//! The plan is driven as a run drives it, and every job that starts succeeds at once and sets no
//! outputs. What hangs on outputs is therefore unknown, and said to be.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Conclusion, JobId, JobResult};

use crate::diagnostic::Diagnostic;
use crate::syntax::{Job, JobWork, Node as SyntaxNode, NodeKind, Workflow};

use super::state::NodeId;
use super::{CalledWorkflows, PlanCommand, RunContext, RunPlan, RunsOn};

/// One job of a run that has not happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewJob {
    /// Its id in this preview.
    pub id: JobId,
    /// Its key in its file.
    pub key: String,
    /// Its name, with the matrix and the calls before it.
    pub name: String,
    /// Keys of the jobs of its file that it needs.
    pub needs: Vec<String>,
    /// What would become of it.
    pub outlook: Outlook,
}

/// What would become of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It runs.
    Runs {
        /// Counts from 0: jobs of one wave may run side by side, and follow those of the wave before.
        wave: usize,
        /// Where.
        runs_on: RunsOn,
        /// How many steps it has.
        steps: usize,
    },
    /// It does not, for this reason.
    Skipped(String),
    /// It can't be started: the error.
    Fails(String),
    /// That depends on outputs of jobs before it.
    Unknown,
}

/// What a run of this workflow would do, in the order of the run.
///
/// # Errors
/// As [`RunPlan::new`].
pub fn preview(
    workflow: Arc<Workflow>,
    called: CalledWorkflows,
    mut context: RunContext,
) -> Result<Vec<PreviewJob>, Vec<Diagnostic>> {
    context.parallel = usize::MAX;
    let mut preview = Preview {
        plan: RunPlan::new(workflow, called, context)?,
        jobs: Vec::new(),
        unknown: BTreeSet::new(),
    };
    let mut wave = 0;
    loop {
        let started = preview.wave(wave);
        if started.is_empty() {
            return Ok(preview.jobs);
        }
        started.into_iter().for_each(|id| preview.plan.job_finished(id, &success()));
        wave += 1;
    }
}

struct Preview {
    plan: RunPlan,
    jobs: Vec<PreviewJob>,
    /// Nodes whose fate hangs on outputs.
    unknown: BTreeSet<NodeId>,
}

impl Preview {
    /// The jobs that start next.
    fn wave(&mut self, wave: usize) -> Vec<JobId> {
        let mut started = Vec::new();
        for command in self.plan.poll() {
            match command {
                PlanCommand::Start { job, runs_on } => {
                    started.push(job.id);
                    self.add(job.id, job.name, Outlook::Runs { wave, runs_on, steps: job.steps.len() });
                }
                PlanCommand::Decided { id, name, conclusion, reason, .. } => {
                    let outlook = self.outlook(id, conclusion, reason.unwrap_or_default());
                    self.add(id, name, outlook);
                }
                PlanCommand::Cancel(_) | PlanCommand::Finished(_) => {}
            }
        }
        started
    }

    fn add(&mut self, id: JobId, name: String, outlook: Outlook) {
        let Some(node) = self.node_of(id) else { return };
        let plan = &self.plan;
        let needs = plan.node(node).needs.iter().map(|need| plan.job(*need).id.value.clone()).collect();
        let key = plan.job(node).id.value.clone();
        self.jobs.push(PreviewJob { id, key, name, needs, outlook });
    }

    fn outlook(&mut self, id: JobId, conclusion: Conclusion, reason: String) -> Outlook {
        let unknown = self.node_of(id).filter(|node| self.hangs_on_outputs(*node));
        match (unknown, conclusion) {
            (Some(node), _) => {
                self.doubt(node);
                Outlook::Unknown
            }
            (None, Conclusion::Failure) => Outlook::Fails(reason),
            (None, _) => Outlook::Skipped(reason),
        }
    }

    /// Nobody knows how a node ends, nor the calls that it is inside of.
    fn doubt(&mut self, mut node: NodeId) {
        self.unknown.insert(node);
        while let Some(caller) = self.plan.frame(self.plan.node(node).frame).caller {
            node = self.plan.leg(caller).node;
            self.unknown.insert(node);
        }
    }

    /// Whether a node, or one that it needs, reads outputs.
    fn hangs_on_outputs(&self, node: NodeId) -> bool {
        let needs = &self.plan.node(node).needs;
        needs.iter().any(|need| self.unknown.contains(need)) || reads_outputs(self.plan.job(node))
    }

    fn node_of(&self, id: JobId) -> Option<NodeId> {
        let leg = self.plan.legs.iter().find(|leg| leg.id == id).map(|leg| leg.node);
        leg.or_else(|| self.plan.nodes.iter().position(|node| node.id == id).map(NodeId))
    }
}

/// Whether what is evaluated before the job starts names outputs of its needs.
fn reads_outputs(job: &Job) -> bool {
    let with = match &job.work {
        JobWork::Call { with, .. } => with.as_ref(),
        JobWork::Steps { runs_on, .. } => Some(runs_on),
    };
    let keys = [
        &job.name,
        &job.strategy,
        &job.concurrency,
        &job.environment,
        &job.timeout_minutes,
        &job.cancel_timeout_minutes,
        &job.continue_on_error,
    ];
    names_outputs(&job.condition) || keys.into_iter().flatten().chain(with).any(node_names_outputs)
}

fn node_names_outputs(node: &SyntaxNode) -> bool {
    match &node.kind {
        NodeKind::Expression(source) => names_outputs(source),
        NodeKind::Sequence(items) => items.iter().any(node_names_outputs),
        NodeKind::Mapping(pairs) => {
            pairs.iter().any(|(key, value)| node_names_outputs(key) || node_names_outputs(value))
        }
        _ => false,
    }
}

fn names_outputs(source: &str) -> bool {
    let source = source.to_ascii_lowercase();
    source.contains("needs") && source.contains("outputs")
}

fn success() -> JobResult {
    JobResult {
        conclusion: Conclusion::Success,
        infrastructure_error: None,
        decided: None,
        outputs: Vec::new(),
        environment_url: None,
        steps: Vec::new(),
    }
}
