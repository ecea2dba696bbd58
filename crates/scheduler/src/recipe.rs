//! All that the plan of an attempt is made of, so that it can be made again after a crash: the same recipe gives the
//! same plan, and a plan that is told the same says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{JobId, JobResult, RunId, Secrets, Trust};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::record::{Job, PlanInput};
use workflow::diagnostic::Diagnostic;
use workflow::plan::{CalledWorkflows, JobPath, RunContext, RunPlan};
use workflow::resolve::DefaultPermissions;
use workflow::syntax::Workflow;

/// Bits of a job's id that count the jobs of an attempt: [`model::limits::RUN_JOBS`] is their bound.
const JOB_BITS: u32 = 12;

/// Bits of a job's id that count the attempts of its run. With those of the jobs, 2^31 runs fit into the
/// 53 bits that JavaScript keeps exact.
const ATTEMPT_BITS: u32 = 10;

/// Most attempts of one run: what [`ATTEMPT_BITS`] can count.
pub const ATTEMPTS: u32 = (1 << ATTEMPT_BITS) - 1;

/// Jobs of a run at once, as far as its plan is concerned: the queue decides.
const PARALLEL: usize = model::limits::RUN_JOBS;

/// A workflow file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// What people know it as.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// What a plan is made of. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The workflow file.
    pub file: File,
    /// The files that it calls, by the text of `uses`, resolved.
    pub called: BTreeMap<String, File>,
    /// Commits of the called files of other repositories, by the same keys.
    pub commits: BTreeMap<String, String>,
    /// The `github` context of the run.
    pub github: Json,
    /// `vars`.
    pub vars: Json,
    /// `inputs`.
    pub inputs: Json,
    /// What tokens of jobs may do where no file says anything.
    #[serde(default)]
    pub permissions: DefaultPermissions,
    /// Jobs of earlier attempts, where they count.
    pub earlier: BTreeMap<JobPath, Earlier>,
}

/// A job that has ended in an earlier attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "KeptEarlier")]
pub struct Earlier {
    /// How.
    pub result: JobResult,
    /// The job that had the machine, if one had.
    pub ran_as: Option<JobId>,
}

/// As the store has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptEarlier {
    Whole {
        result: JobResult,
        ran_as: Option<JobId>,
    },
    /// All that versions up to format 2 of the database have kept.
    Result(JobResult),
}

impl From<KeptEarlier> for Earlier {
    fn from(kept: KeptEarlier) -> Earlier {
        match kept {
            KeptEarlier::Whole { result, ran_as } => Earlier { result, ran_as },
            KeptEarlier::Result(result) => Earlier { result, ran_as: None },
        }
    }
}

/// Why no plan can be made: what people read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecipeError(pub String);

impl Recipe {
    /// The plan of this attempt.
    ///
    /// # Errors
    /// A file can't be read as a workflow, or the calls don't fit.
    pub fn plan(
        &self,
        run: RunId,
        attempt: u32,
        trust: Trust,
        secrets: Secrets,
    ) -> Result<RunPlan, RecipeError> {
        let called: CalledWorkflows = self
            .called
            .iter()
            .map(|(key, file)| Ok((key.clone(), file.read()?)))
            .collect::<Result<_, RecipeError>>()?;
        let context = RunContext {
            run,
            attempt,
            github: self.github.clone(),
            vars: self.vars.clone(),
            inputs: self.inputs.clone(),
            secrets,
            trust,
            permissions: self.permissions,
            parallel: PARALLEL,
            only: Vec::new(),
            matrix: Vec::new(),
            commits: self.commits.clone(),
            first_job: first_job(run, attempt),
        };
        let plan = RunPlan::new(self.file.read()?, called, context).map_err(|problems| say(&problems))?;
        let earlier = self.earlier.iter().map(|(path, earlier)| (path.clone(), earlier.result.clone()));
        Ok(plan.after(earlier.collect()))
    }
}

impl File {
    /// The workflow that it is.
    ///
    /// # Errors
    /// It is none: all that is wrong with it.
    pub fn read(&self) -> Result<Arc<Workflow>, RecipeError> {
        match self.parse() {
            (Some(workflow), None) => Ok(Arc::new(workflow)),
            (_, problem) => Err(problem.unwrap_or_else(|| say(&[]))),
        }
    }

    /// As much of a workflow as it is, and all that is wrong with it.
    pub(crate) fn parse(&self) -> (Option<Workflow>, Option<RecipeError>) {
        let (workflow, problems) =
            workflow::schema::read_workflow(&self.path, &self.text, &Default::default());
        let errors: Vec<Diagnostic> = problems
            .into_iter()
            .filter(|problem| problem.severity == workflow::diagnostic::Severity::Error)
            .collect();
        let is_wrong = workflow.is_none() || !errors.is_empty();
        (workflow, is_wrong.then(|| say(&errors)))
    }
}

fn say(problems: &[Diagnostic]) -> RecipeError {
    RecipeError(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The id of an attempt's first job. No two attempts of a data folder share an id.
#[must_use]
pub fn first_job(run: RunId, attempt: u32) -> JobId {
    JobId((run.0 << (ATTEMPT_BITS + JOB_BITS)) | (u64::from(attempt & ATTEMPTS) << JOB_BITS))
}

/// The run that a job is of.
#[must_use]
pub fn run_of(job: JobId) -> RunId {
    RunId(job.0 >> (ATTEMPT_BITS + JOB_BITS))
}

/// Which jobs an attempt runs again; what needs them follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// All of them.
    All,
    /// Those that did not succeed and were not skipped.
    Failed,
    /// These, by their paths.
    Jobs(BTreeSet<String>),
}

/// The jobs of an attempt that count in the next one.
#[must_use]
pub fn earlier(jobs: &[Job], inputs: &[PlanInput], again: &Again) -> BTreeMap<JobPath, Earlier> {
    use model::Conclusion::{Skipped, Success};
    let is_left = |job: &&Job| match again {
        Again::All => false,
        Again::Failed => matches!(job.conclusion, Some(Success | Skipped)),
        Again::Jobs(paths) => !paths.contains(&job.path),
    };
    let once_more: Vec<&str> = jobs.iter().filter(|job| !is_left(job)).map(|job| &job.path[..]).collect();
    // Jobs of a called workflow run again with their call, and a call that ended by itself with any of its jobs.
    let counts = |job: &&Job| {
        is_left(job) && !once_more.iter().any(|path| is_below(path, &job.path) || is_below(&job.path, path))
    };
    let result = |job: &Job| {
        let told = inputs.iter().find_map(|input| match input {
            PlanInput::Ended { job: id, result } if *id == job.id => Some(result.clone()),
            _ => None,
        });
        told.or_else(|| job.conclusion.map(|conclusion| of_record(job, conclusion)))
    };
    let path = |job: &Job| serde_json::from_value(Json::String(job.path.clone())).ok();
    let earlier = |job: &Job| Some(Earlier { result: result(job)?, ran_as: ran_as(job) });
    jobs.iter().filter(counts).filter_map(|job| Some((path(job)?, earlier(job)?))).collect()
}

/// Whether one path is of a job that another one calls.
fn is_below(path: &str, caller: &str) -> bool {
    path.strip_prefix(caller).is_some_and(|rest| rest.starts_with('/'))
}

/// The job whose log tells of this one.
fn ran_as(job: &Job) -> Option<JobId> {
    job.taken_from.or_else(|| (job.tries > 0).then_some(job.id))
}

/// The result of a job that was taken over from an attempt before.
fn of_record(job: &Job, conclusion: model::Conclusion) -> JobResult {
    JobResult {
        conclusion,
        infrastructure_error: job.infrastructure_error.clone(),
        decided: None,
        outputs: job.outputs.clone(),
        environment_url: job.environment_url.clone(),
        steps: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_an_earlier_version_has_kept_is_made_again_after_an_update() {
        let result = serde_json::json!({
            "conclusion": "success", "infrastructure_error": null, "outputs": [["v", "1"]],
            "environment_url": null, "steps": [],
        });
        let kept = serde_json::json!({
            "file": {"path": "ci.yml", "text": "on: push\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n"},
            "called": {}, "commits": {}, "github": {}, "vars": {}, "inputs": null, "earlier": {"a": result},
        });
        let recipe: Recipe = serde_json::from_value(kept).expect("it can be read");
        let [earlier] = &recipe.earlier.values().collect::<Vec<_>>()[..] else { panic!("one job") };
        assert_eq!((&earlier.result.outputs[0].1[..], earlier.ran_as), ("1", None));
        let written = serde_json::to_value(&recipe).expect("it can be written");
        assert_eq!(serde_json::from_value::<Recipe>(written).expect("and read again"), recipe);
        recipe.plan(RunId(1), 2, Trust::Trusted, Secrets::new()).expect("a plan");
    }

    #[test]
    fn no_two_attempts_share_an_id_and_a_job_knows_its_run() {
        let last =
            |run, attempt| JobId(first_job(RunId(run), attempt).0 + model::limits::RUN_JOBS as u64 - 1);
        assert!(last(7, 1) < first_job(RunId(7), 2));
        assert!(last(7, ATTEMPTS) < first_job(RunId(8), 1));
        assert_eq!(run_of(last(7, ATTEMPTS)), RunId(7));
        assert!(last((1 << 31) - 1, ATTEMPTS).0 < 1 << 53, "JavaScript can't count further");
    }
}
