//! How a run stands, as people should see it at the forge.

use std::collections::BTreeMap;

use forge::github::report::{JobView, RunView, State, Times};
use forge::repository::RepositoryNameError;
use model::{Conclusion, JobId, JobState, RunState, Timestamp};
use store::record::{AnnotationOf, Job, Repository, Run};

use super::Reporter;

impl Reporter {
    pub(super) async fn view(&self, repository: &Repository, run: &Run) -> Result<RunView, String> {
        let say = |error: store::StoreError| error.to_string();
        let jobs = self.store.jobs(run.id, run.attempt).await.map_err(say)?;
        let annotations = self.store.annotations(run.id, run.attempt).await.map_err(say)?;
        let mut by_job: BTreeMap<JobId, Vec<AnnotationOf>> = BTreeMap::new();
        for one in annotations {
            by_job.entry(one.job).or_default().push(one);
        }
        let url = format!("{}/runs/{}", self.url, run.id);
        let mut views = Vec::new();
        for job in &jobs {
            let annotations = by_job.remove(&job.id).unwrap_or_default();
            views.push(self.job(job, annotations, &url).await?);
        }
        Ok(RunView {
            repository: repository.facts.full_name.parse().map_err(no_name)?,
            sha: run.what.head_sha.clone(),
            run: run.id,
            workflow: run.what.workflow_name.clone(),
            event: run.what.event.clone(),
            state: state_of_run(run, &jobs),
            times: times(run.started_at, run.ended_at),
            jobs: views,
            url,
        })
    }

    async fn job(&self, job: &Job, annotations: Vec<AnnotationOf>, run_url: &str) -> Result<JobView, String> {
        let steps = self.store.steps(job.ran_as()).await.map_err(|error| error.to_string())?;
        let summaries = steps.iter().filter_map(|step| step.summary.as_deref());
        let error = match job.conclusion {
            Some(Conclusion::Failure) => self.first_error(job, &steps, &annotations).await,
            _ => None,
        };
        Ok(JobView {
            id: job.id,
            name: job.name.clone(),
            url: format!("{run_url}/jobs/{}", job.id),
            state: state_of_job(job),
            times: times(job.clock.started_at, job.clock.ended_at),
            summary: summaries.collect::<Vec<_>>().join("\n"),
            annotations: annotations.into_iter().map(|one| one.annotation).collect(),
            error,
        })
    }
}

pub(super) fn no_name(error: RepositoryNameError) -> String {
    error.to_string()
}

fn state_of_run(run: &Run, jobs: &[Job]) -> State {
    match (run.what.state, run.conclusion) {
        (RunState::Ended, Some(conclusion)) => State::Ended(conclusion),
        (RunState::Ended, None) => State::Ended(Conclusion::Failure),
        (RunState::Waiting, _) if run.needs_approval() || jobs.iter().any(needs_approval) => approval(),
        (RunState::Waiting, _) => time(),
        (RunState::Queued, _) => State::Queued,
        (RunState::Running, _) => State::Running,
    }
}

fn state_of_job(job: &Job) -> State {
    match (job.state, job.conclusion) {
        (JobState::Ended, Some(conclusion)) => State::Ended(conclusion),
        (JobState::Ended, None) => State::Ended(Conclusion::Failure),
        (JobState::Waiting, _) if needs_approval(job) => approval(),
        (JobState::Waiting, _) => time(),
        (JobState::Queued, _) => State::Queued,
        (JobState::Leasing | JobState::Running, _) => State::Running,
    }
}

fn needs_approval(job: &Job) -> bool {
    job.state == JobState::Waiting && job.waits_until.is_none()
}

fn approval() -> State {
    State::Waiting("approval".to_owned())
}

fn time() -> State {
    State::Waiting("its environment's time".to_owned())
}

fn times(started: Option<Timestamp>, ended: Option<Timestamp>) -> Times {
    let seconds = |time: Timestamp| time.0 / 1000;
    Times { started: started.map(seconds), ended: ended.map(seconds) }
}
