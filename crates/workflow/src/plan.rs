//! From a workflow to jobs: a pure state machine.
//!
//! The caller feeds in what happened and carries out what comes back; the plan knows no
//! clock, no process, and no file. `hearth run` and, later, the scheduler drive it alike.

mod advance;
mod attempt;
mod call;
mod cancel;
mod concurrency;
mod condition;
mod context;
mod evaluate;
mod expand;
mod graph;
mod lower;
mod matrix;
mod preview;
mod state;
#[cfg(test)]
mod tests;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::limits::{REUSABLE_WORKFLOW_DEPTH, RUN_JOBS};
use model::{CacheMode, Conclusion, Job, JobId, JobResult, RunId, Secrets, Trust};
use serde_json::Value as Json;

use crate::concurrency::{Concurrency, Groups};
use crate::diagnostic::{Diagnostic, Severity, codes};
use crate::expr::Value;
use crate::resolve::{DefaultPermissions, Limits, asked, of_forks, unasked, within};
use crate::syntax::{self, Workflow};

pub use attempt::{JobPath, JobPlace};
pub use concurrency::begin_together;
pub use graph::select;
pub use preview::{Outlook, PreviewJob, preview};
pub use whole::{run_group, run_name};

use call::TOKEN;
use context::{Contexts, job_context, object};
use evaluate::Evaluator;
use state::{Call, Frame, FrameId, Leg, LegId, Node, NodeId, NodeState, Outcome, together};

/// What is known of a run before it starts.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The run.
    pub run: RunId,
    /// Attempt, from 1.
    pub attempt: u32,
    /// `github`, with `event`, without what belongs to one job.
    pub github: Json,
    /// `vars`.
    pub vars: Json,
    /// `inputs` of a `workflow_dispatch`, already checked and typed (see [`crate::trigger`]).
    pub inputs: Json,
    /// All secrets of the run. They reach jobs by the rules of the language.
    pub secrets: Secrets,
    /// Whether the run's code is trusted.
    pub trust: Trust,
    /// What tokens of jobs may do where no file says anything.
    pub permissions: DefaultPermissions,
    /// Jobs at once (`--jobs`).
    pub parallel: usize,
    /// Only these jobs and what they need; empty for all.
    pub only: Vec<String>,
    /// Only configurations of matrices that have these values (`--matrix os=linux`), of several for one key any of
    /// them; a matrix without the key is left whole.
    pub matrix: Vec<(String, String)>,
    /// Commits of the called workflows of other repositories, by their keys among [`CalledWorkflows`].
    pub commits: BTreeMap<String, String>,
    /// Id of the run's first job. The plan counts up from here and uses at most
    /// [`model::limits::RUN_JOBS`] ids, so that a caller can keep two runs apart.
    pub first_job: JobId,
}

/// The files of reusable workflows, by the text of `uses`, already parsed.
/// Local calls inside of a remote workflow are keyed by their full, resolved reference.
pub type CalledWorkflows = BTreeMap<String, Arc<Workflow>>;

/// What the caller shall do next.
#[derive(Clone, Debug)]
pub enum PlanCommand {
    /// Start this job on a machine with one of these labels; answer with [`RunPlan::job_finished`].
    Start {
        /// The job.
        job: Box<Job>,
        /// `runs-on`: group (if any) and labels, evaluated.
        runs_on: RunsOn,
    },
    /// Cancel this running job (fail-fast, concurrency, cancellation); it still answers `job_finished`.
    Cancel(JobId),
    /// A job that never starts is decided: skipped, cancelled, or failed in evaluation.
    Decided {
        /// Its id.
        id: JobId,
        /// Its key in its workflow file.
        key: String,
        /// What to show.
        name: String,
        /// How it ended.
        conclusion: Conclusion,
        /// Why, in a sentence: the error, the false condition, the concurrency group.
        reason: Option<String>,
        /// Whether it ended so in an earlier attempt ([`RunPlan::after`]).
        reused: bool,
    },
    /// Everything has ended.
    Finished(Conclusion),
}

/// `runs-on`, evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RunsOn {
    /// `group`.
    pub group: Option<String>,
    /// Labels.
    pub labels: Vec<String>,
}

/// The state of a run: which jobs are blocked, running, done. The states and their
/// transitions are drawn in `plan/state.rs`.
#[derive(Debug)]
pub struct RunPlan {
    context: RunContext,
    called: CalledWorkflows,
    github: Value,
    vars: Value,
    /// `github.workflow`: the name, or the file.
    workflow_name: String,
    /// Concurrency group of the run as a whole: [`begin_together`] guards it, the plan only knows
    /// that no job can ask for it again.
    run_group: Option<Concurrency>,
    /// Why the run was cancelled, if it was not the user.
    cancel_reason: Option<String>,
    frames: Vec<Frame>,
    nodes: Vec<Node>,
    legs: Vec<Leg>,
    groups: Groups<LegId>,
    /// How jobs ended in an earlier attempt: those of them whose needs are the same are not run again.
    earlier: BTreeMap<JobPath, JobResult>,
    /// Ids given out.
    issued: usize,
    outbox: Vec<PlanCommand>,
    finished: bool,
}

const ROOT: FrameId = FrameId(0);

impl RunPlan {
    /// Checks the graph and makes the plan.
    ///
    /// # Errors
    /// A circle or an unknown job in `needs`, an unknown job in `only`, a call that can't be
    /// made (see [`crate::resolve::check_calls`]), too many jobs.
    pub fn new(
        workflow: Arc<Workflow>,
        called: CalledWorkflows,
        context: RunContext,
    ) -> Result<RunPlan, Vec<Diagnostic>> {
        let workflow = select(&workflow, &context.only)?;
        let needs = graph::needs(&workflow)?;
        let limits = Limits { permissions: context.permissions, ..Limits::default() };
        let problems = crate::resolve::check_calls(&workflow, &called, &limits);
        if !problems.is_empty() {
            return Err(problems);
        }
        let workflow_name = workflow_name(&workflow, &context.github);
        let mut plan = RunPlan {
            github: Value::from_json(&with_workflow(&context.github, &workflow_name)),
            vars: Value::from_json(&context.vars),
            workflow_name,
            run_group: None,
            cancel_reason: None,
            frames: Vec::new(),
            nodes: Vec::new(),
            legs: Vec::new(),
            groups: Groups::default(),
            earlier: BTreeMap::new(),
            issued: 0,
            outbox: Vec::new(),
            finished: false,
            called,
            context,
        };
        plan.run_group = plan.evaluate_run_group(&workflow)?;
        let frame = plan.root_frame(workflow)?;
        plan.open(frame, &needs).map_err(|message| vec![error(codes::JOB_LIMIT, None, message)])?;
        Ok(plan)
    }

    /// What to do now. Call it after `new` and after every change; a second call without a
    /// change in between gives nothing. The same calls in the same order give the same commands.
    pub fn poll(&mut self) -> Vec<PlanCommand> {
        self.advance();
        while self.break_deadlock() {
            self.advance();
        }
        if let (false, Some(conclusion)) = (self.finished, self.frame_conclusion(ROOT)) {
            self.finished = true;
            self.outbox.push(PlanCommand::Finished(conclusion));
        }
        std::mem::take(&mut self.outbox)
    }

    /// A started job has ended. An id that is not running is ignored.
    pub fn job_finished(&mut self, id: JobId, result: &JobResult) {
        let running = self.legs.iter().position(|leg| leg.id == id && leg.is_on_machine());
        if let Some(leg) = running.map(LegId) {
            self.end_leg(leg, result.conclusion, result.outputs.clone());
        }
    }

    /// The user cancels the run. Running jobs are told, but for those whose `if` holds even
    /// then (`always()`); jobs that have not started still do if their `if` holds, and are
    /// cancelled otherwise. A second call changes nothing.
    pub fn cancel(&mut self) {
        self.cancel_frame(ROOT);
    }

    /// The concurrency group of the run as a whole, and of one of its started jobs. Across runs, somebody
    /// else guards both.
    #[must_use]
    pub fn group_of_run(&self) -> Option<&Concurrency> {
        self.run_group.as_ref()
    }

    /// The concurrency group of a job: see [`RunPlan::group_of_run`].
    #[must_use]
    pub fn group_of_job(&self, id: JobId) -> Option<&Concurrency> {
        self.legs.iter().find(|leg| leg.id == id)?.groups.first()
    }

    /// The calls around a job that are in concurrency groups, outermost first, by their own ids and with their
    /// groups: see [`RunPlan::group_of_run`].
    #[must_use]
    pub fn calls_around(&self, id: JobId) -> Vec<(JobId, &[Concurrency])> {
        let mut calls = Vec::new();
        let mut next = self.legs.iter().find(|leg| leg.id == id);
        while let Some(caller) = next.and_then(|leg| self.frame(self.node(leg.node).frame).caller) {
            let caller = self.leg(caller);
            if !caller.groups.is_empty() {
                calls.push((caller.id, caller.groups.as_slice()));
            }
            next = Some(caller);
        }
        calls.reverse();
        calls
    }

    /// Whether a call has ended.
    #[must_use]
    pub fn call_has_ended(&self, id: JobId) -> bool {
        self.legs.iter().any(|leg| leg.id == id && leg.has_ended())
    }

    /// How many jobs have neither started nor been decided, as far as they are known: what a matrix or a call
    /// will make of a job that is still blocked is not.
    pub fn waiting(&self) -> usize {
        let blocked = self.nodes.iter().filter(|node| matches!(node.state, NodeState::Blocked)).count();
        blocked + self.legs.iter().filter(|leg| leg.state.waits()).count()
    }

    fn evaluate_run_group(&self, workflow: &Workflow) -> Result<Option<Concurrency>, Vec<Diagnostic>> {
        let Some(node) = &workflow.concurrency else { return Ok(None) };
        let contexts = self.base_contexts(Value::from_json(&self.context.inputs));
        match (Evaluator { job: "", contexts: &contexts }).concurrency(node) {
            Ok(concurrency) => Ok(Some(concurrency)),
            Err(message) => Err(vec![error(codes::CONCURRENCY_GROUP, Some(node.span.clone()), message)]),
        }
    }

    fn root_frame(&self, workflow: Arc<Workflow>) -> Result<Frame, Vec<Diagnostic>> {
        let mut secrets = self.context.secrets.clone();
        if self.context.trust == Trust::Untrusted {
            secrets.retain(|name, _| name.eq_ignore_ascii_case(TOKEN));
        }
        let inputs = Value::from_json(&self.context.inputs);
        let cache_limit = match self.context.trust {
            Trust::Trusted => CacheMode::Write,
            Trust::Untrusted => CacheMode::Read,
        };
        let cache_mode = match self.workflow_cache_mode("", &workflow, &inputs) {
            Ok(declared) => declared.unwrap_or_else(|| CacheMode::of_run(&self.context.github)),
            Err(message) => {
                let span = workflow.cache_mode.as_ref().map(|node| node.span.clone());
                return Err(vec![error(codes::UNEXPECTED_VALUE, span, message)]);
            }
        };
        let permission_limit = (self.context.trust == Trust::Untrusted).then(of_forks);
        let permissions =
            workflow.permissions.as_ref().map_or_else(|| unasked(self.context.permissions), asked);
        Ok(Frame {
            workflow,
            caller: None,
            reference: None,
            depth: 1,
            nodes: Vec::new(),
            inputs,
            secrets,
            cache_mode: cache_mode.within(cache_limit),
            cache_limit,
            permissions: within(permissions, permission_limit.as_ref()),
            permission_limit,
            prefix: String::new(),
            cancelled: false,
        })
    }

    /// `cache-mode` of a file, if it has one; `job` is the one that calls it.
    fn workflow_cache_mode(
        &self,
        job: &str,
        workflow: &Workflow,
        inputs: &Value,
    ) -> Result<Option<CacheMode>, String> {
        let contexts = self.base_contexts(inputs.clone());
        let evaluator = Evaluator { job, contexts: &contexts };
        workflow.cache_mode.as_ref().map(|node| evaluator.cache_mode(node)).transpose()
    }

    /// Opens the frame of a call. Its caller must be running.
    fn open_call(&mut self, caller: LegId, call: Call) -> Result<(), String> {
        let depth = self.frame(self.node(self.leg(caller).node).frame).depth + 1;
        if depth > REUSABLE_WORKFLOW_DEPTH {
            return Err(crate::resolve::too_deep(REUSABLE_WORKFLOW_DEPTH - 1));
        }
        let first = |problems: Vec<Diagnostic>| problems.first().map(ToString::to_string).unwrap_or_default();
        let needs = graph::needs(&call.workflow).map_err(first)?;
        let (cache_limit, job) = (self.leg(caller).cache_mode, &self.job(self.leg(caller).node).id);
        let declared = self.workflow_cache_mode(job, &call.workflow, &call.inputs)?;
        let permission_limit = self.leg(caller).permissions.clone();
        let permissions = match &call.workflow.permissions {
            Some(permissions) => within(asked(permissions), Some(&permission_limit)),
            None => permission_limit.clone(),
        };
        let frame = Frame {
            workflow: call.workflow,
            caller: Some(caller),
            reference: Some(call.reference),
            depth,
            nodes: Vec::new(),
            inputs: call.inputs,
            secrets: call.secrets,
            cache_mode: declared.unwrap_or(cache_limit).within(cache_limit),
            cache_limit,
            permissions,
            permission_limit: Some(permission_limit),
            prefix: format!("{} / ", self.leg(caller).name),
            cancelled: false,
        };
        self.open(frame, &needs)
    }

    /// Adds a frame with a node for each job.
    fn open(&mut self, frame: Frame, needs: &[Vec<usize>]) -> Result<(), String> {
        let ids = self.reserve(needs.len()).ok_or_else(too_many_jobs)?;
        let frame_id = FrameId(self.frames.len());
        let first = self.nodes.len();
        let nodes = needs.iter().zip(ids).enumerate().map(|(job, (needs, id))| Node {
            id,
            frame: frame_id,
            job,
            needs: needs.iter().map(|need| NodeId(first + need)).collect(),
            state: NodeState::Blocked,
        });
        self.nodes.extend(nodes);
        let nodes = (first..self.nodes.len()).map(NodeId).collect();
        self.frames.push(Frame { nodes, ..frame });
        self.end_frame(frame_id);
        Ok(())
    }

    /// So many further job ids, or none where the run has too many.
    fn reserve(&mut self, count: usize) -> Option<Vec<JobId>> {
        let issued = self.issued.checked_add(count).filter(|issued| *issued <= RUN_JOBS)?;
        let first = self.context.first_job.0;
        let ids = (self.issued..issued).map(|offset| JobId(first.wrapping_add(offset as u64))).collect();
        self.issued = issued;
        Some(ids)
    }

    /// How a frame ended, once all its nodes have.
    fn frame_conclusion(&self, frame: FrameId) -> Option<Conclusion> {
        let nodes = &self.frame(frame).nodes;
        let results: Option<Vec<Conclusion>> =
            nodes.iter().map(|node| self.outcome(*node).map(|outcome| outcome.conclusion)).collect();
        results.map(together)
    }

    fn base_contexts(&self, inputs: Value) -> Contexts {
        Contexts::new(self.github.clone(), self.vars.clone(), inputs)
    }

    /// What the keys of a node see before it has legs.
    fn contexts(&self, node: NodeId) -> Contexts {
        let mut contexts = self.base_contexts(self.frame(self.node(node).frame).inputs.clone());
        contexts.needs = Some(self.needs_context(node));
        contexts
    }

    /// `needs`: the direct needs only.
    fn needs_context(&self, node: NodeId) -> Value {
        object(self.node(node).needs.iter().filter_map(|need| {
            let outcome = self.outcome(*need)?;
            Some((self.job(*need).id.as_str(), job_context(outcome.conclusion, &outcome.outputs)))
        }))
    }

    fn outcome(&self, node: NodeId) -> Option<&Outcome> {
        match &self.node(node).state {
            NodeState::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn job(&self, node: NodeId) -> &syntax::Job {
        let node = self.node(node);
        &self.frame(node.frame).workflow.jobs[node.job]
    }

    fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[id.0]
    }

    fn frame_mut(&mut self, id: FrameId) -> &mut Frame {
        &mut self.frames[id.0]
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    fn leg(&self, id: LegId) -> &Leg {
        &self.legs[id.0]
    }

    fn leg_mut(&mut self, id: LegId) -> &mut Leg {
        &mut self.legs[id.0]
    }
}

/// `github.workflow` as the caller gave it, else the workflow's name, else its file.
fn workflow_name(workflow: &Workflow, github: &Json) -> String {
    let given = github.get("workflow").and_then(Json::as_str).filter(|name| !name.is_empty());
    let own = workflow.name.as_ref().map(|name| name.as_str()).filter(|name| !name.is_empty());
    given.or(own).unwrap_or(&workflow.file).to_owned()
}

fn with_workflow(github: &Json, name: &str) -> Json {
    let mut github = github.clone();
    if let Json::Object(entries) = &mut github {
        entries.insert("workflow".to_owned(), Json::String(name.to_owned()));
    }
    github
}

fn too_many_jobs() -> String {
    format!("A run may not have more than {RUN_JOBS} jobs, those of matrices and called workflows counted")
}

fn error(code: &'static str, span: Option<crate::span::Span>, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Error, code, span, message, hint: None }
}
