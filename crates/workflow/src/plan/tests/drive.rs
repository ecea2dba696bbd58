//! A caller of the plan that writes down what it is told.

use std::collections::BTreeMap;

use model::{Conclusion, Job, JobId, JobResult};
use serde_json::Value as Json;

use crate::plan::{CalledWorkflows, JobPath, PlanCommand, RunContext, RunPlan, RunsOn};

use super::build;

/// A plan and everything that it said.
pub(super) struct Drive {
    pub(super) plan: RunPlan,
    pub(super) started: Vec<(Job, RunsOn)>,
    pub(super) cancelled: Vec<JobId>,
    pub(super) decided: Vec<(String, Conclusion, Option<String>)>,
    pub(super) finished: Option<Conclusion>,
    open: Vec<JobId>,
}

impl Drive {
    pub(super) fn new(workflow: &Json) -> Drive {
        Drive::with(workflow, CalledWorkflows::new(), build::context())
    }

    pub(super) fn with(workflow: &Json, called: CalledWorkflows, context: RunContext) -> Drive {
        Drive::after(workflow, called, context, BTreeMap::new())
    }

    pub(super) fn after(
        workflow: &Json,
        called: CalledWorkflows,
        context: RunContext,
        earlier: BTreeMap<JobPath, JobResult>,
    ) -> Drive {
        let plan = RunPlan::new(build::workflow(workflow), called, context).expect("the workflow has a plan");
        Drive::of(plan.after(earlier))
    }

    pub(super) fn of(plan: RunPlan) -> Drive {
        let mut drive = Drive {
            plan,
            started: Vec::new(),
            cancelled: Vec::new(),
            decided: Vec::new(),
            finished: None,
            open: Vec::new(),
        };
        drive.poll();
        drive
    }

    /// Polls and writes down.
    pub(super) fn poll(&mut self) {
        for command in self.plan.poll() {
            assert!(self.finished.is_none(), "nothing follows the end: {command:?}");
            match command {
                PlanCommand::Start { job, runs_on } => {
                    assert!(
                        !self.started.iter().any(|(other, _)| other.id == job.id),
                        "{} starts once",
                        job.name
                    );
                    self.open.push(job.id);
                    self.started.push((*job, runs_on));
                }
                PlanCommand::Cancel(id) => {
                    assert!(self.open.contains(&id), "only running jobs are cancelled");
                    self.cancelled.push(id);
                }
                PlanCommand::Decided { name, conclusion, reason, .. } => {
                    self.decided.push((name, conclusion, reason));
                }
                PlanCommand::Finished(conclusion) => {
                    assert!(self.open.is_empty(), "the run ends when its jobs have");
                    self.finished = Some(conclusion);
                }
            }
        }
        assert!(self.plan.poll().is_empty(), "a second poll has nothing to say");
    }

    /// Ends a running job by name.
    pub(super) fn end(&mut self, name: &str, conclusion: Conclusion) {
        self.end_with(name, conclusion, &[]);
    }

    pub(super) fn end_with(&mut self, name: &str, conclusion: Conclusion, outputs: &[(&str, &str)]) {
        let id = self.id(name);
        self.open.retain(|open| *open != id);
        self.plan.job_finished(id, &result(conclusion, outputs));
        self.poll();
    }

    pub(super) fn succeed(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.end(name, Conclusion::Success));
    }

    pub(super) fn fail(&mut self, name: &str) {
        self.end(name, Conclusion::Failure);
    }

    pub(super) fn cancel(&mut self) {
        self.plan.cancel();
        self.poll();
    }

    /// The id of the job that was started last under this name and has not ended.
    pub(super) fn id(&self, name: &str) -> JobId {
        let found =
            self.started.iter().rev().find(|(job, _)| job.name == name && self.open.contains(&job.id));
        found.unwrap_or_else(|| panic!("{name} does not run; {:?} do", self.running())).0.id
    }

    /// Forgets a job whose end was told to the plan directly.
    pub(super) fn forget(&mut self, id: JobId) {
        self.open.retain(|open| *open != id);
    }

    pub(super) fn running(&self) -> Vec<&str> {
        self.started
            .iter()
            .filter(|(job, _)| self.open.contains(&job.id))
            .map(|(job, _)| job.name.as_str())
            .collect()
    }

    /// Names of all that were started, in order.
    pub(super) fn names(&self) -> Vec<&str> {
        self.started.iter().map(|(job, _)| job.name.as_str()).collect()
    }

    pub(super) fn job(&self, name: &str) -> &Job {
        &self
            .started
            .iter()
            .rev()
            .find(|(job, _)| job.name == name)
            .unwrap_or_else(|| panic!("{name} was started"))
            .0
    }

    /// How a job that never started was decided.
    pub(super) fn decision(&self, name: &str) -> Conclusion {
        self.decided
            .iter()
            .find(|(other, ..)| other == name)
            .unwrap_or_else(|| panic!("{name} in {:?}", self.decided))
            .1
    }

    pub(super) fn reason(&self, name: &str) -> &str {
        let (_, _, reason) = self.decided.iter().find(|(other, ..)| other == name).expect("it was decided");
        reason.as_deref().expect("there is a reason")
    }
}

pub(super) fn result(conclusion: Conclusion, outputs: &[(&str, &str)]) -> JobResult {
    JobResult {
        conclusion,
        infrastructure_error: None,
        decided: None,
        outputs: outputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        environment_url: None,
        steps: Vec::new(),
    }
}
