//! "Set up job": folders, contexts, the way to the results service, and all actions.

use std::collections::HashMap;
use std::sync::Arc;

use machine::Machine;
use model::{CacheMode, Conclusion, Job, TokenTerms};
use serde_json::Value as Json;
use workflow::expr::Value;

use super::{Fixed, JobRun, Progress, SET_UP, Task, WorkError};
use crate::action::{ActionInstance, Actions, FetchedWhen};
use crate::cancel::Cancellation;
use crate::checkpoint::Watch;
use crate::contexts::{Status, StepScope, json_object, text_object};
use crate::environment::{Variables, machine_variables};
use crate::evaluate::Evaluator;
use crate::log::JobLog;
use crate::matcher::Matchers;
use crate::place::{Place, Programs, UniqueNames, runner_context};
use crate::step::Frame;
use crate::{RunnerOptions, Services};

impl<'a> JobRun<'a> {
    /// Prepares the machine and everything that steps stand on.
    pub(super) async fn set_up(
        task: Task<'a>,
        machine: &'a Machine,
        log: &Arc<JobLog>,
        cancellation: Cancellation,
    ) -> Result<(JobRun<'a>, Frame), WorkError> {
        let Task { job, services, options, .. } = task;
        let guest = machine.guest.clone();
        let info = guest.info().await?;
        describe(log, machine, options);
        describe_token(log, &job.token);
        let github = job.contexts.github.as_object().cloned().unwrap_or_default();
        let repository = github.get("repository").and_then(Json::as_str).unwrap_or_default();
        let place = Place::new(&machine.layout, repository);
        log.note(SET_UP, "Prepare workflow directory");
        place.prepare(&guest, github.get("event").unwrap_or(&Json::Null)).await?;
        let debug = options.debug || debug_wanted(job);
        let (tunnel, service_variables) = results_service(&guest, services, job.cache_mode, log).await?;
        let id_token_variables = id_token_variables(services, tunnel.as_ref(), log);
        let fixed = Arc::new(Fixed {
            event: github.get("event").map_or(Value::Null, Value::from_json),
            github: job_github(github, job, &place, log),
            contexts: fixed_contexts(job),
            runner: runner_context(&place, &info, &options.runner_name, debug),
            machine_variables: {
                let mut variables = machine_variables(&info, &place.home);
                variables.extend(options.machine_env.iter().cloned());
                variables.extend(id_token_variables);
                variables
            },
            service_variables,
        });
        let evaluator =
            Evaluator { guest: guest.clone(), workspace: place.workspace.clone(), home: place.home.clone() };
        let progress = Progress {
            status: Conclusion::Success,
            has_failed: false,
            env: Variables::new(),
            paths: Vec::new(),
            matchers: Matchers::default(),
            instances: job.steps.iter().map(|_| ActionInstance::default()).collect(),
            posts: Vec::new(),
            results: Vec::new(),
            deferred: None,
        };
        let mut run = JobRun {
            job,
            guest,
            place,
            services,
            debug,
            log: log.clone(),
            cancellation,
            evaluator,
            fixed,
            progress,
            programs: Programs::default(),
            names: Arc::new(UniqueNames::default()),
            actions: Actions::default(),
            nodes: HashMap::new(),
            watch: Watch::default(),
            _tunnel: tunnel,
        };
        run.evaluate_job_env().await?;
        run.refuse_containers().await?;
        run.actions.keep(task.from.map_or(&[], |halted| halted.checkpoint.actions()));
        run.fetch_actions(&job.steps, FetchedWhen::SetUp).await?;
        let halts = options.halt_on_failure && !run.has_background_steps();
        if options.halt_on_failure && !halts {
            log.warning(SET_UP, "The job has background steps: its machine is not kept where a step fails.");
        }
        let mut frame = Frame { halts, ..Frame::of_job() };
        run.watch_from_here(halts);
        if let Some(halted) = task.from {
            frame.records = run.go_on_from(halted)?;
            let step = halted.checkpoint.title();
            log.note(SET_UP, &format!("Going on with {step}, in the machine as it left it"));
        }
        tell_cache_mode(job, services, log);
        log.note(SET_UP, &format!("Complete job name: {}", job.name));
        Ok((run, frame))
    }

    /// Containers need an engine, which no driver has yet. As on GitHub, one without an image is none.
    async fn refuse_containers(&self) -> Result<(), WorkError> {
        let mut scope = self.job_scope();
        let mut wanted = None;
        if let Some(template) = &self.job.container {
            let image = image(&self.evaluator.template(template, &mut scope).await?);
            wanted = Some(format!("the container {image}")).filter(|_| !image.is_empty());
        }
        if let Some(template) = &self.job.services
            && let Value::Object(services) = self.evaluator.template(template, &mut scope).await?
        {
            for (name, service) in services.iter() {
                if image(service).is_empty() {
                    self.log.note(SET_UP, &format!(
                        "The service '{name}' will not be started because the container definition has an empty image."
                    ));
                } else if wanted.is_none() {
                    wanted = Some(format!("the service container '{name}'"));
                }
            }
        }
        let Some(wanted) = wanted else { return Ok(()) };
        Err(WorkError::Step(format!(
            "The job '{}' wants {wanted}, which needs a machine with a container engine; none of Hearth's machines \
             has one yet. Remove `container`/`services`, or install what they provide in a step.",
            self.job.name
        )))
    }

    /// What the job sees before its first step.
    fn job_scope(&self) -> StepScope {
        let status = Status { job: Conclusion::Success, action: None };
        let mut scope = self.scope(&Frame::of_job(), status, "");
        scope.set_env(&self.progress.env);
        scope
    }

    fn has_background_steps(&self) -> bool {
        self.job.steps.iter().any(|step| step.background)
    }

    /// Lays the workflow's and the job's `env` over each other.
    async fn evaluate_job_env(&mut self) -> Result<(), WorkError> {
        for layer in &self.job.env {
            let mut scope = self.job_scope();
            for (name, value) in self.evaluator.pairs(Some(layer), "env", &mut scope).await? {
                self.progress.env.insert(name, value);
            }
        }
        Ok(())
    }
}

fn describe(log: &JobLog, machine: &Machine, options: &RunnerOptions) {
    log.note(SET_UP, &format!("Current runner version: 'hearth {}'", env!("CARGO_PKG_VERSION")));
    log.note(SET_UP, &format!("Runner name: '{}'", options.runner_name));
    log.note(SET_UP, &format!("Machine: {} ({})", machine.id, machine.driver));
    for note in &machine.notes {
        log.note(SET_UP, note);
    }
}

/// What the job's token may do, as GitHub shows it.
fn describe_token(log: &JobLog, terms: &TokenTerms) {
    match terms {
        TokenTerms::Unsaid => {}
        TokenTerms::Given(permissions) => {
            log.start_group(SET_UP, "GITHUB_TOKEN Permissions");
            for (name, access) in permissions {
                let words = name.split('_').map(|word| {
                    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
                    first.to_uppercase() + rest
                });
                log.note(SET_UP, &format!("{}: {access}", words.collect::<String>()));
            }
            log.end_group(SET_UP);
        }
        TokenTerms::Withheld(reason) => log.note(SET_UP, &format!("No GITHUB_TOKEN: {reason}")),
    }
}

/// The image that an evaluated `container` or service names; empty where it names none.
fn image(container: &Value) -> String {
    match container {
        Value::Object(container) => container.get("image").map_or(String::new(), Value::to_text),
        image => image.to_text(),
    }
}

/// `ACTIONS_STEP_DEBUG` as a secret or variable switches debugging on, as on GitHub.
fn debug_wanted(job: &Job) -> bool {
    let secret = job.secrets.get("ACTIONS_STEP_DEBUG").map(|secret| secret.0.as_str());
    let variable = job.contexts.vars.get("ACTIONS_STEP_DEBUG").and_then(Json::as_str);
    secret.or(variable).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
}

/// Opens the way to caches and artifacts.
async fn results_service(
    guest: &guest::client::Guest,
    services: &Services,
    cache_mode: CacheMode,
    log: &JobLog,
) -> Result<(Option<guest::client::Tunnel>, Variables), WorkError> {
    let mut variables = Variables::new();
    let Some(results) = &services.results else { return Ok((None, variables)) };
    log.masker.add(&results.token);
    let tunnel = guest.tunnel(0, results.address).await?;
    let url = format!("http://127.0.0.1:{}/", tunnel.guest_port);
    for (name, value) in [
        ("ACTIONS_RUNTIME_URL", url.as_str()),
        ("ACTIONS_RUNTIME_TOKEN", &results.token),
        ("ACTIONS_RESULTS_URL", &url),
        ("ACTIONS_CACHE_URL", &url),
        ("ACTIONS_CACHE_SERVICE_V2", "True"),
        ("ACTIONS_CACHE_MODE", cache_mode.as_str()),
    ] {
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok((Some(tunnel), variables))
}

/// The way to OIDC tokens, for every step of a job that may have them: scripts ask with curl.
fn id_token_variables(
    services: &Services,
    tunnel: Option<&guest::client::Tunnel>,
    log: &JobLog,
) -> Vec<(String, String)> {
    let id_token = services.results.as_ref().and_then(|results| results.id_token.as_ref());
    let (Some(id_token), Some(tunnel)) = (id_token, tunnel) else { return Vec::new() };
    log.masker.add(&id_token.token);
    // Clients add `&audience=...`.
    let url = format!("http://127.0.0.1:{}{}?api-version=2.0", tunnel.guest_port, id_token.path);
    vec![
        ("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned(), id_token.token.clone()),
    ]
}

/// Says what the job may do with caches, as GitHub does, which warns of a mode that lets runs that anybody can cause
/// write what other runs read.
fn tell_cache_mode(job: &Job, services: &Services, log: &JobLog) {
    if services.results.is_none() {
        return;
    }
    let mode = job.cache_mode;
    log.note(SET_UP, &format!("Cache mode: {}", mode.as_str()));
    if mode.writes() && !CacheMode::of_run(&job.contexts.github).writes() {
        let message = format!(
            "'cache-mode: {}' lets a run that people without write access can cause write caches that runs of the \
             default branch restore; without the key it could only read them.",
            mode.as_str()
        );
        log.warning(SET_UP, message);
    }
}

/// `github` with what belongs to the job.
fn job_github(
    mut github: serde_json::Map<String, Json>,
    job: &Job,
    place: &Place,
    log: &JobLog,
) -> serde_json::Map<String, Json> {
    github.remove("event");
    let token = job.secrets.iter().find(|(name, _)| name.eq_ignore_ascii_case("GITHUB_TOKEN"));
    if let Some((_, token)) = token {
        github.entry("token").or_insert_with(|| token.0.clone().into());
    }
    if let Some(token) = github.get("token").and_then(Json::as_str) {
        log.masker.add(token);
    }
    for (key, value) in
        [("job", job.key.clone()), ("run_id", job.run.to_string()), ("run_attempt", job.attempt.to_string())]
    {
        github.entry(key).or_insert_with(|| value.into());
    }
    github.insert("job".to_owned(), job.key.clone().into());
    github.insert("workspace".to_owned(), place.workspace.clone().into());
    github.insert("event_path".to_owned(), place.event.clone().into());
    github
}

fn fixed_contexts(job: &Job) -> Vec<(&'static str, Value)> {
    let contexts = &job.contexts;
    let secrets = job.secrets.iter().map(|(name, secret)| (name.as_str(), secret.0.as_str()));
    vec![
        ("vars", json_object(&contexts.vars)),
        ("needs", json_object(&contexts.needs)),
        ("strategy", json_object(&contexts.strategy)),
        // Null where there is no matrix, as on GitHub.
        ("matrix", Value::from_json(&contexts.matrix)),
        ("inputs", json_object(&contexts.inputs)),
        ("secrets", text_object(secrets)),
    ]
}
