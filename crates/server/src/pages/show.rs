//! Asks the store for what a page shows, and renders it.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use maud::Markup;
use model::{DeliveryId, JobId, JobState, RepositoryId, RunId, Timestamp};
use scheduler::decide::Wait;
use scheduler::environment;
use scheduler::queue::Subject;
use serde::Deserialize;
use store::log::{LogReader, Pattern};
use store::query::{ArtifactFilter, RunFilter};
use store::record::{Attempt, Job, Repository, Run, Scope, Step};

use super::asked::{Number, Path, Query};
use super::badge;
use super::error::PageError;
use super::job::Search;
use super::layout::{Page, document};
use super::log::line::{self, ERROR_PATTERN, Mark};
use super::log::range::{PAGE, Range};
use super::run::actions::{self, Deciders};
use super::run::attempts::BESIDE;
use super::run::failure::{self, Failure};
use super::run::needs::Needs;
use super::settings::SecretName;
use super::viewer::{Role, Viewer};
use super::{
    Pages, deliveries as deliveries_page, job as job_page, machines as machines_page, queue as queue_page,
};
use super::{
    repositories as repositories_page, run as run_page, runs as runs_page, settings as settings_page,
};
use crate::api::artifacts;
use crate::settings;

/// Runs of a repository's page.
const RUNS_OF_REPOSITORY: usize = 60;

/// Artifacts of a repository's page, the newest; the API has the rest.
const ARTIFACTS_OF_REPOSITORY: usize = 30;

/// Repositories whose latest run is looked up for the list of them.
const REPOSITORIES: usize = 300;

/// Jobs of a run whose steps its page shows; beyond them, each job's own page does.
const JOBS_WITH_STEPS: usize = 256;

/// Lines like errors that are looked at to find the first that is one; jobs that print more get their last lines shown.
const LIKE_ERRORS: usize = 500;

/// Matches that a page without a script shows.
const MATCHES: usize = 200;

/// Runs whose jobs at work are looked for.
const BUSY_RUNS: usize = 200;

fn page(part: &'static str, title: &str, live: Option<String>, body: Markup, viewer: &Viewer) -> Markup {
    let page = Page { title, part, state: None, live, has_log: false, body };
    document(&page, Some(viewer), Timestamp::now())
}

/// `GET /`
pub(super) async fn runs(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
    Query(query): Query<runs_page::Query>,
) -> Result<Markup, PageError> {
    let repositories = pages.store().repositories().await?;
    let runs = match query.filter(&repositories)? {
        Some(filter) => pages.store().runs(&filter, runs_page::SHOWN).await?,
        None => Vec::new(),
    };
    let view =
        runs_page::View { runs: &runs, repositories: &repositories, query: &query, now: Timestamp::now() };
    Ok(page("/", "Runs", Some("/live".to_owned()), runs_page::render(&view), &viewer))
}

/// What the address of a run asks for.
#[derive(Debug, Deserialize)]
pub(super) struct WhichAttempt {
    attempt: Option<u32>,
}

/// `GET /runs/{run}`
pub(super) async fn run(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
    Path(Number(run)): Path<Number>,
    Query(which): Query<WhichAttempt>,
) -> Result<Markup, PageError> {
    let store = pages.store();
    let run = store.run(RunId(run)).await?.ok_or(PageError::Missing("run"))?;
    let attempts = store.attempts(run.id).await?;
    let shown = which.attempt.unwrap_or(run.attempt);
    // The latest is there from the first moment, whatever is known of it.
    if shown != run.attempt && attempts.iter().all(|attempt| attempt.attempt != shown) {
        return Err(PageError::Missing("attempt of this run"));
    }
    let jobs = store.jobs(run.id, shown).await?;
    let mut steps = BTreeMap::new();
    for job in jobs.iter().take(JOBS_WITH_STEPS) {
        steps.insert(job.id, store.steps(job.ran_as()).await?);
    }
    let repository = store.repository(run.what.repository).await?;
    let failure = failure(&pages, &jobs, &steps).await?;
    let view = run_page::View {
        run: &run,
        repository: name(repository.as_ref()),
        forge: repository.as_ref().and_then(|one| repositories_page::page(&one.facts.clone_url)),
        needs: &attempts.iter().find(|one| one.attempt == shown).map(Needs::of).unwrap_or_default(),
        others: &others(&pages, &run, &attempts, shown).await?,
        waits: &waits_of(&pages, &run, &jobs).await,
        annotations: &store.annotations(run.id, shown).await?,
        // Attempts of a run share them, as on GitHub.
        artifacts: &artifacts::all_of(&*pages.parts.store, run.id).await?,
        attempts: &attempts,
        failure: failure.as_ref(),
        jobs: &jobs,
        steps: &steps,
        shown,
        deciders: &deciders(&pages, &viewer, &run, repository.as_ref(), &jobs).await?,
        viewer: &viewer,
        now: Timestamp::now(),
    };
    let title = format!("{} #{}", run.what.title, run.number);
    let live = Some(format!("/runs/{}/live", run.id));
    let state = Some(run_page::word(&view));
    let page = Page { title: &title, part: "/", state, live, has_log: false, body: run_page::render(&view) };
    Ok(document(&page, Some(&viewer), Timestamp::now()))
}

/// Who decides about those of these jobs that wait for somebody's word, if any does and the viewer may be asked.
async fn deciders(
    pages: &Pages,
    viewer: &Viewer,
    run: &Run,
    repository: Option<&Repository>,
    jobs: &[Job],
) -> Result<Deciders, PageError> {
    let Some(repository) = repository.filter(|_| viewer.may(Role::Operate)) else {
        return Ok(Deciders::default());
    };
    if !jobs.iter().any(actions::is_asked_for) {
        return Ok(Deciders::default());
    }
    // Rules that can't be read let nobody decide; the page is there all the same.
    let rules = environment::of_place(pages.store(), &repository.place).await.ok();
    Ok(Deciders { rules, attempts: pages.store().attempts(run.id).await? })
}

fn name(repository: Option<&Repository>) -> &str {
    repository.map_or("?", |repository| repository.facts.full_name.as_str())
}

/// The jobs of the other attempts that stand beside the one that is shown.
async fn others(
    pages: &Pages,
    run: &Run,
    attempts: &[Attempt],
    shown: u32,
) -> Result<BTreeMap<u32, Vec<Job>>, PageError> {
    let mut others = BTreeMap::new();
    for attempt in attempts.iter().rev().take(BESIDE).filter(|attempt| attempt.attempt != shown) {
        others.insert(attempt.attempt, pages.store().jobs(run.id, attempt.attempt).await?);
    }
    Ok(others)
}

/// The first error, with the lines around it.
async fn failure(
    pages: &Pages,
    jobs: &[Job],
    steps: &BTreeMap<JobId, Vec<Step>>,
) -> Result<Option<Failure>, PageError> {
    let Some((job, step)) = failure::first(jobs, steps) else { return Ok(None) };
    let mut failure = Failure { job: job.clone(), step: step.cloned(), lines: Vec::new(), error: None };
    let Some(step) = step else { return Ok(Some(failure)) };
    let log = pages.logs().read(job.ran_as());
    let of_job = steps.get(&job.id).map_or(&[][..], Vec::as_slice);
    let next = of_job.iter().map(|other| other.first_line).filter(|first| *first > step.first_line).min();
    let found = log.search(&Pattern::regex(ERROR_PATTERN, false)?, step.first_line, LIKE_ERRORS).await?;
    let error = found.lines.iter().find(|found| line::read(&found.line).0 == Mark::Error);
    let error = error.map(|line| line.number);
    failure.error = error.filter(|line| next.is_none_or(|next| *line < next));
    let end = match next {
        Some(next) => next,
        None => log.count().await?,
    };
    let (from, count) = failure::around(failure.error, step.first_line, end);
    failure.lines = log.lines(from, usize::try_from(count).unwrap_or(0)).await?;
    Ok(Some(failure))
}

/// Why a run and its jobs wait, each with its name. The engine's silence is no reason to show no page.
async fn waits_of(pages: &Pages, run: &Run, jobs: &[Job]) -> Vec<(String, String)> {
    let waits = pages.parts.control.waits().await.unwrap_or_default();
    let said = |wait: &Wait| {
        let who = match wait.subject {
            Subject::Run(id) if id == run.id => "This run".to_owned(),
            Subject::Job(id) => jobs.iter().find(|job| job.id == id)?.name.clone(),
            Subject::Run(_) => return None,
        };
        Some((who, in_words(wait)))
    };
    waits.iter().filter_map(said).collect()
}

fn in_words(wait: &Wait) -> String {
    match wait.place {
        Some(place) => format!("{} (place {place})", wait.reason),
        None => wait.reason.to_string(),
    }
}

/// What the address of a job asks for.
#[derive(Debug, Deserialize)]
pub(super) struct WhichLines {
    line: Option<u64>,
    #[serde(default)]
    q: String,
    #[serde(default)]
    from: u64,
}

/// `GET /runs/{run}/jobs/{job}`
pub(super) async fn job(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
    Path((Number(run), Number(job))): Path<(Number, Number)>,
    Query(which): Query<WhichLines>,
) -> Result<Markup, PageError> {
    let store = pages.store();
    let run = store.run(RunId(run)).await?.ok_or(PageError::Missing("run"))?;
    let job =
        store.job(JobId(job)).await?.filter(|job| job.run == run.id).ok_or(PageError::Missing("job"))?;
    let repository = store.repository(run.what.repository).await?;
    let ran = match job.taken_from {
        Some(ran) => store.job(ran).await?,
        None => None,
    };
    let steps = store.steps(job.ran_as()).await?;
    let annotations = store.annotations(run.id, job.attempt).await?;
    let log = pages.logs().read(job.ran_as());
    let range = Range::with(which.line, log.count().await?);
    let lines = log.lines(range.from, usize::try_from(PAGE).unwrap_or(0)).await?;
    let search = search(&log, &which).await;
    let waits = waits_of(&pages, &run, std::slice::from_ref(&job)).await;
    let wait = waits.iter().find(|(who, _)| *who == job.name).map(|(_, why)| why.as_str());
    let view = job_page::View {
        run: &run,
        repository: name(repository.as_ref()),
        job: &job,
        steps: &steps,
        ran: ran.as_ref(),
        annotations: &annotations.into_iter().filter(|of| of.job == job.id).collect::<Vec<_>>(),
        lines: &lines,
        range,
        search: search.as_ref(),
        wait,
        deciders: &deciders(&pages, &viewer, &run, repository.as_ref(), std::slice::from_ref(&job)).await?,
        viewer: &viewer,
        now: Timestamp::now(),
    };
    let title = format!("{} · {} #{}", job.name, run.what.title, run.number);
    let live = (job.state != JobState::Ended).then(|| format!("/runs/{}/live", run.id));
    let state = Some(badge::of_job(&job));
    let page = Page { title: &title, part: "/", state, live, has_log: true, body: job_page::render(&view) };
    Ok(document(&page, Some(&viewer), Timestamp::now()))
}

async fn search(log: &LogReader, which: &WhichLines) -> Option<Search> {
    let text = Some(which.q.trim()).filter(|text| !text.is_empty())?.to_owned();
    let found = match Pattern::text(&text, true) {
        Ok(pattern) => log.search(&pattern, which.from, MATCHES).await,
        Err(error) => Err(error),
    };
    Some(Search { text, found: found.map_err(|error| error.to_string()) })
}

/// `GET /repositories`
pub(super) async fn repositories(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Markup, PageError> {
    let repositories = pages.store().repositories().await?;
    let mut latest = BTreeMap::new();
    for repository in repositories.iter().take(REPOSITORIES) {
        let filter = RunFilter { repository: Some(repository.id), ..RunFilter::default() };
        latest.extend(pages.store().runs(&filter, 1).await?.pop().map(|run| (repository.id, run)));
    }
    let body = repositories_page::list(&repositories, &latest, Timestamp::now());
    Ok(page("/repositories", "Repositories", Some("/live".to_owned()), body, &viewer))
}

/// `GET /repositories/{owner}/{name}`
pub(super) async fn repository(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Markup, PageError> {
    let repositories = pages.store().repositories().await?;
    let found = runs_page::find(&repositories, &format!("{owner}/{name}"));
    let repository = found.ok_or(PageError::Missing("repository"))?;
    let filter = RunFilter { repository: Some(repository.id), ..RunFilter::default() };
    let runs = pages.store().runs(&filter, RUNS_OF_REPOSITORY).await?;
    let filter = ArtifactFilter { repository: Some(repository.id), ..ArtifactFilter::default() };
    let left = pages.store().artifacts(&filter, ARTIFACTS_OF_REPOSITORY).await?;
    let body = repositories_page::one(repository, &runs, &left, Timestamp::now());
    Ok(page("/repositories", &repository.facts.full_name, Some("/live".to_owned()), body, &viewer))
}

/// `GET /queue`
pub(super) async fn queue(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Markup, PageError> {
    let waits = pages.parts.control.waits().await?;
    let (mut runs, mut jobs) = (BTreeMap::new(), BTreeMap::new());
    for wait in waits.iter().take(queue_page::SHOWN) {
        let run = match wait.subject {
            Subject::Run(run) => Some(run),
            Subject::Job(job) => {
                let job = pages.store().job(job).await?;
                let run = job.as_ref().map(|job| job.run);
                jobs.extend(job.map(|job| (job.id, job)));
                run
            }
        };
        if let Some(run) = run.filter(|run| !runs.contains_key(run)) {
            runs.extend(pages.store().run(run).await?.map(|run| (run.id, run)));
        }
    }
    let names = names(&pages).await?;
    let of = |run: &Run| Some((run.id, names.get(&run.what.repository)?.clone()));
    let repositories = runs.values().filter_map(of).collect();
    let names = queue_page::Names { runs: &runs, jobs: &jobs, repositories: &repositories };
    let body = queue_page::render(&waits, &names, Timestamp::now());
    Ok(page("/queue", "Queue", Some("/live".to_owned()), body, &viewer))
}

async fn names(pages: &Pages) -> Result<BTreeMap<RepositoryId, String>, PageError> {
    let all = pages.store().repositories().await?;
    Ok(all.into_iter().map(|repository| (repository.id, repository.facts.full_name)).collect())
}

/// `GET /machines`
pub(super) async fn machines(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Markup, PageError> {
    let mut busy = Vec::new();
    for run in pages.store().unfinished_runs().await?.iter().take(BUSY_RUNS) {
        let jobs = pages.store().jobs(run.id, run.attempt).await?;
        busy.extend(
            jobs.into_iter().filter(|job| matches!(job.state, JobState::Leasing | JobState::Running)),
        );
    }
    let premises = &pages.parts.premises;
    let body = machines_page::render(&premises.profiles(), &premises.pool(), &busy, Timestamp::now());
    Ok(page("/machines", "Machines", Some("/live".to_owned()), body, &viewer))
}

/// Which deliveries.
#[derive(Debug, Deserialize)]
pub(super) struct Before {
    before: Option<u64>,
}

/// `GET /deliveries`
pub(super) async fn deliveries(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
    Query(which): Query<Before>,
) -> Result<Markup, PageError> {
    let all = pages.store().deliveries(which.before.map(DeliveryId), deliveries_page::SHOWN).await?;
    let body = deliveries_page::render(&all, &viewer, Timestamp::now());
    Ok(page("/deliveries", "Deliveries", Some("/live".to_owned()), body, &viewer))
}

/// `GET /deliveries/{delivery}`
pub(super) async fn delivery(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
    Path(Number(delivery)): Path<Number>,
) -> Result<Markup, PageError> {
    let id = DeliveryId(delivery);
    // Those up to it, newest first: without its body, which may have megabytes. The store counts to `i64::MAX`.
    let after = delivery.checked_add(1).filter(|after| i64::try_from(*after).is_ok());
    let after = DeliveryId(after.ok_or(PageError::Missing("delivery"))?);
    let found = pages.store().deliveries(Some(after), 1).await?.pop().filter(|found| found.id == id);
    let delivery = found.ok_or(PageError::Missing("delivery"))?;
    let filter = RunFilter { delivery: Some(id), ..RunFilter::default() };
    let runs = pages.store().runs(&filter, runs_page::SHOWN).await?;
    let view =
        deliveries_page::One { delivery: &delivery, runs: &runs, viewer: &viewer, now: Timestamp::now() };
    let body = deliveries_page::one(&view);
    Ok(page("/deliveries", &deliveries_page::title(&delivery), Some("/live".to_owned()), body, &viewer))
}

/// Whose secrets and variables.
#[derive(Debug, Deserialize)]
pub(super) struct WhichScope {
    #[serde(default)]
    scope: String,
}

/// `GET /settings`
pub(super) async fn settings(
    State(pages): State<Pages>,
    Extension(viewer): Extension<Viewer>,
    Query(which): Query<WhichScope>,
) -> Result<Markup, PageError> {
    let store = pages.store();
    let repositories = store.repositories().await?;
    let first = repositories.first().map(|one| Scope::Repository(one.facts.full_name.clone()));
    let scope = settings::scope(&which.scope).ok().or(first);
    let scope = scope.unwrap_or_else(|| Scope::Organisation("owner".to_owned()));
    let is_admin = viewer.role >= Role::Admin;
    let (mut secrets, mut variables, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
    let mut environments = Vec::new();
    if is_admin {
        // Nothing is kept under a name that is nobody's now; who sets something there is told so.
        let kept = store::place::of(store, &scope).await?.unwrap_or_else(|_| scope.clone());
        let sealed = store.secrets(&kept).await?.into_iter();
        secrets =
            sealed.map(|secret| SecretName { name: secret.name, updated_at: secret.updated_at }).collect();
        variables = store.variables(&kept).await?;
        if let Scope::Repository(place) | Scope::Environment(place, _) = &kept {
            environments = environment::of_place(store, place).await?;
        }
        tokens = store.tokens().await?;
    }
    let address = pages.parts.premises.address();
    let view = settings_page::View {
        tokens: &tokens,
        repositories: &repositories,
        scope: &scope,
        secrets: &secrets,
        variables: &variables,
        environments: &environments,
        address: address.as_deref(),
        viewer: &viewer,
        now: Timestamp::now(),
    };
    Ok(page("/settings", "Settings", None, settings_page::render(&view), &viewer))
}
