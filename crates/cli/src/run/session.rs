//! What all workflows of one `hearth run` share: the event, the repository, machines, services.

mod asked;
mod record;
mod together;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use machine::MachineSpec;
use machine::sandbox::Exposures;
use model::{MachineId, Secrets, Template, Trust};
use runner::action_store::{ActionStoreConfig, GitActionStore, MirrorTemplate, MirrorTemplateError};
use runner::results::{CacheScope, Grant, ResultsConfig, ResultsService};
use runner::source::{FirstOf, RemoteRepositories, WorkTree};
use runner::{Services, SourceProvider};
use serde_json::{Value as Json, json};
use workflow::diagnostic::Diagnostic;
use workflow::plan::{CalledWorkflows, RunContext, RunPlan, select};
use workflow::syntax::Workflow;

use super::changed::ChangedFiles;
use super::drive::{Screen, drive};
use super::event::{LocalEvent, RunIdentity, github_context, read_payload};
use super::facts::Facts;
use super::interrupt::Interrupts;
use super::job::{JobRunner, ServicesOf};
use super::output::{RunEnd, RunStart};
use super::reach::Reach;
use super::supply::Supply;
use super::workflows::{Sources, WorkflowFile};
use super::{Task, called, given, machines, show_diagnostics};
use crate::args::{DriverName, NetworkName, RunArgs};
use crate::config::Config;
use crate::data::DataFolder;
use crate::exit;
use crate::kept::{Keeper, RunFacts, RunLog, prune};

/// One `hearth run`.
pub(crate) struct Session {
    /// The command line.
    pub(crate) args: RunArgs,
    /// The repository's folder.
    root: PathBuf,
    data: DataFolder,
    supply: Arc<Supply>,
    reach: Reach,
    toolchains: Exposures,
    config: Config,
    facts: Facts,
    secrets: Secrets,
    vars: Json,
    env: Option<Template>,
    actions: Arc<GitActionStore>,
    remotes: Arc<RemoteRepositories>,
    results: Arc<ResultsService>,
}

/// Takes warnings that have no job to belong to.
pub(crate) type Warn = Arc<dyn Fn(String) + Send + Sync>;

/// A workflow that will run, with the event that starts it.
pub(crate) struct Chosen {
    /// Its file.
    pub(crate) file: WorkflowFile,
    /// What it says.
    pub(crate) workflow: Arc<Workflow>,
    /// The event.
    pub(crate) event: LocalEvent,
    /// `inputs`.
    pub(crate) inputs: Json,
    /// The jobs asked for, if any were.
    jobs: Vec<String>,
    /// Id of its first job; no two workflows of one command share an id.
    first_job: model::JobId,
}

/// A run that begins or goes on.
pub(crate) struct Going {
    /// Which.
    pub(crate) run: model::RunId,
    /// What it is called, and whose caches it uses.
    pub(crate) facts: RunFacts,
    /// What it is called besides.
    pub(crate) name: String,
    /// Environment of every step, outside of the workflow's own.
    pub(crate) env: Option<Template>,
    /// Where what comes of it is written.
    pub(crate) log: Option<RunLog>,
}

/// All that a plan is made of.
pub(crate) struct Prepared {
    /// The workflow, with the jobs asked for.
    pub(crate) workflow: Arc<Workflow>,
    /// What it calls.
    pub(crate) called: CalledWorkflows,
    /// What is known of the run.
    pub(crate) context: RunContext,
    /// Texts that problems may point into.
    pub(crate) sources: Sources,
}

impl Session {
    /// Gathers everything that does not depend on a workflow.
    ///
    /// If workflows are to be run, the first machine starts meanwhile.
    pub(crate) async fn open(
        root: PathBuf,
        args: RunArgs,
        config: Config,
        task: Task,
        warn: Warn,
    ) -> Result<Session> {
        let data = DataFolder::open(args.places.data.clone().or_else(|| config.data.clone()))?;
        let name = driver_name(&args, &config);
        let toolchains = machines::toolchains(name);
        check_memory(&args, &config)?;
        let spec = machine_spec(&args, &config, &toolchains);
        let reach = Reach::new(&args.machine.allow_hosts, &config)?;
        let (driver, note) = machines::best(name, &spec, &data, &config).await?;
        if let Some(note) = note.filter(|_| task != Task::Plan) {
            warn(note);
        }
        let cold_boot = args.machine.cold_boot || config.cold_boot;
        let driver = if cold_boot { driver } else { machines::from_templates(driver, &data) };
        let supply = Supply::new(driver, spec);
        if args.debug_on_failure
            && let Some(reason) = machines::cannot_keep(supply.driver())
        {
            bail!(reason);
        }
        if task != Task::Plan {
            supply.driver().reap().await.context("can't clean up what an earlier run left")?;
        }
        if task == Task::Run {
            // What holds secrets goes in time, whether or not anybody asks for it again.
            if let Err(error) = prune(&data) {
                warn(format!("machines that were kept long enough can't be removed: {error:#}"));
            }
            supply.prepare(reach.otherwise());
        }
        let actions = Arc::new(open_actions(&data, &args, &config, warn)?);
        let remotes = Arc::new(open_remotes(&data, &args, &config)?);
        let results = open_results(&data, &args).await?;
        let facts = Facts::of(&root).await?;
        let secrets = given::secrets(&args.secrets, args.secret_file.as_deref())?;
        let vars = json!(given::pairs("--var", &args.vars)?);
        let env = given::pairs("--env", &args.env)?;
        let env = (!env.is_empty()).then(|| {
            Template::Mapping(env.into_iter().map(|(k, v)| (Template::text(k), Template::text(v))).collect())
        });
        Ok(Session {
            args,
            root,
            data,
            supply,
            reach,
            toolchains,
            config,
            facts,
            secrets,
            vars,
            env,
            actions,
            remotes,
            results,
        })
    }

    /// Which of these workflows run, by which event. A workflow that the user has named runs even if
    /// the event would not start it, unless the event was named as well.
    pub(crate) async fn choose(&self, files: Vec<WorkflowFile>) -> Result<Vec<Chosen>> {
        let named = !self.args.workflows.is_empty();
        let given_inputs = given::pairs("--input", &self.args.inputs)?;
        let payload = self.args.event_file.as_deref().map(read_payload).transpose()?;
        let (mut chosen, mut reasons) = (Vec::new(), Vec::new());
        let mut changed = ChangedFiles::new(&self.root, &self.facts);
        for file in files {
            let Some(workflow) = file.workflow.clone() else { continue };
            let event_name = self.event_name(&workflow, named);
            let mut event = LocalEvent::new(&event_name, payload.as_ref(), &self.facts, &workflow, named);
            let changed_files = match asks_for_paths(&file) {
                true => changed.of(&event).await?,
                false => None,
            };
            match self.refusal(&workflow, &event, changed_files) {
                Some(reason) if !named || self.args.event.is_some() => {
                    reasons.push(format!("{}: {reason}", file.path));
                    continue;
                }
                _ => {}
            }
            let inputs = match event_name.as_str() {
                "workflow_dispatch" => self.inputs(&file, &workflow, &mut event, &given_inputs)?,
                _ => Json::Null,
            };
            let before = u64::try_from(chosen.len() * model::limits::RUN_JOBS).unwrap_or(u64::MAX);
            let first_job = model::JobId(before.saturating_add(1));
            chosen.push(Chosen { file, workflow, event, inputs, jobs: Vec::new(), first_job });
        }
        asked::share_jobs(&mut chosen, &self.args.jobs);
        if chosen.is_empty() {
            bail!("nothing to run; no workflow is started:\n  {}", reasons.join("\n  "));
        }
        if !given_inputs.is_empty() && !chosen.iter().any(|one| one.event.name == "workflow_dispatch") {
            bail!(
                "--input is for workflow_dispatch, and no chosen workflow runs by it; add --event workflow_dispatch"
            );
        }
        asked::check_matrix(&chosen, &self.args.matrix)?;
        Ok(chosen)
    }

    /// The event named, or `push`; for a workflow that was named, what it has.
    fn event_name(&self, workflow: &Workflow, named: bool) -> String {
        if let Some(event) = &self.args.event {
            return event.clone();
        }
        if !named {
            // Inputs are for manual starts: nothing else shall run because of them.
            return if self.args.inputs.is_empty() { "push" } else { "workflow_dispatch" }.to_owned();
        }
        let has = |name: &str| workflow.on.iter().any(|trigger| trigger.event.value == name);
        let mut preferred = vec!["push", "pull_request", "workflow_dispatch"];
        if !self.args.inputs.is_empty() {
            preferred.rotate_right(1);
        }
        match preferred.into_iter().find(|name| has(name)) {
            Some(name) => name.to_owned(),
            None => workflow.on.first().map_or("push".to_owned(), |trigger| trigger.event.value.clone()),
        }
    }

    /// The inputs of a manual start, also put into its event: those of `--input` go before those of a payload.
    fn inputs(
        &self,
        file: &WorkflowFile,
        workflow: &Workflow,
        event: &mut LocalEvent,
        given: &BTreeMap<String, String>,
    ) -> Result<Json> {
        let of_payload =
            event.given_inputs().filter(|(name, _)| !given.keys().any(|key| key.eq_ignore_ascii_case(name)));
        let all = of_payload.chain(given.clone()).collect();
        let inputs = workflow::trigger::resolve_inputs(workflow, all).map_err(|problems| {
            let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("the inputs of {} are wrong:\n  {}", file.path, all.join("\n  "))
        })?;
        event.set_inputs(&inputs);
        Ok(inputs)
    }

    /// Why the event does not start the workflow, if it does not.
    fn refusal(
        &self,
        workflow: &Workflow,
        event: &LocalEvent,
        changed_files: Option<Vec<String>>,
    ) -> Option<String> {
        use workflow::trigger::{Decision, Event, decide};
        let event = Event {
            name: event.name.clone(),
            payload: event.payload.clone().into(),
            changed_files,
            head_commit_message: Some(self.facts.message.clone()),
        };
        let decision = decide(workflow, &event);
        (decision != Decision::Run).then(|| decision.to_string())
    }
}

impl Session {
    /// Carries a plan out to the end of its run. Returns the exit code.
    pub(crate) async fn conduct(
        &self,
        plan: RunPlan,
        going: Going,
        screen: &Screen,
        interrupts: &mut Interrupts,
    ) -> Result<u8> {
        let Going { run, facts, name, env, log } = going;
        screen.lock().run_started(&RunStart {
            run,
            path: &facts.workflow_path,
            workflow: &facts.workflow,
            name: &name,
            what: &facts.what,
            driver: self.supply.driver().name(),
            logs: &self.data.logs(run),
        });
        let jobs = Arc::new(self.job_runner(run, &facts, env, log));
        let outcome = drive(plan, Arc::clone(&jobs), screen.clone(), interrupts).await;
        self.supply.settle().await;

        self.finish_results(screen).await;
        let artifacts = artifacts(&self.data, self.args.artifacts.as_deref(), run);
        screen
            .lock()
            .run_finished(&RunEnd { conclusion: outcome.conclusion, artifacts: artifacts.as_deref() });
        if let Some(log) = Arc::into_inner(jobs).and_then(|jobs| jobs.log) {
            log.end(outcome.conclusion)?;
        }
        Ok(exit::of_run(outcome.conclusion, outcome.infrastructure_failed))
    }

    /// Jobs at once.
    pub(crate) fn parallel(&self) -> usize {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        self.args.parallel.or(self.config.jobs).map_or(cpus, usize::from)
    }

    /// Lets caches and artifacts come to their end, and tells what went wrong with them.
    pub(crate) async fn finish_results(&self, screen: &Screen) {
        for warning in self.results.finish().await {
            screen.lock().note(&warning);
        }
    }

    /// Where machines come from.
    pub(crate) fn supply(&self) -> &Arc<Supply> {
        &self.supply
    }

    /// Where things are kept.
    pub(crate) fn data(&self) -> &DataFolder {
        &self.data
    }

    /// What runs the jobs of a run.
    fn job_runner(
        &self,
        run: model::RunId,
        facts: &RunFacts,
        env: Option<Template>,
        log: Option<RunLog>,
    ) -> JobRunner {
        JobRunner {
            supply: Arc::clone(&self.supply),
            reach: self.reach.of_workflow(&facts.workflow_path, &facts.workflow),
            accepted_labels: self.args.machine.accept_labels.clone(),
            env,
            services: self.services(facts.caches()),
            keep: self.args.keep.then(|| self.data.run(run).join("kept")),
            options: runner::RunnerOptions {
                debug: self.args.debug,
                machine_env: self.toolchains.env.clone(),
                halt_on_failure: self.args.debug_on_failure,
                ..Default::default()
            },
            data: self.data.clone(),
            keeper: self.args.debug_on_failure.then(|| Keeper { data: self.data.clone() }),
            log,
        }
    }

    /// What of a run its jobs need, should they go on another day.
    fn run_facts(&self, one: &Chosen, what: &str) -> RunFacts {
        let default = format!("refs/heads/{}", self.facts.default_branch);
        let (_, base) = forge::github::refs::head_and_base(&one.event.name, &one.event.payload);
        let base = (!base.is_empty()).then(|| forge::github::refs::branch(&base));
        RunFacts {
            workflow: one.file.title().to_owned(),
            workflow_path: one.file.path.clone(),
            root: self.root.clone(),
            what: what.to_owned(),
            repository: self.facts.repository.clone(),
            own_ref: one.event.reference(&self.facts),
            read_refs: base.into_iter().chain([default]).collect(),
        }
    }

    /// The `github` context of a run.
    pub(crate) fn github(&self, one: &Chosen, run: model::RunId, number: u64) -> Json {
        let server = self.args.server_url.clone().or_else(|| self.config.server_url.clone());
        let identity = RunIdentity {
            run,
            number,
            workflow: one.file.title(),
            workflow_path: &one.file.path,
            actor: &self.facts.actor(),
            token: self.secrets.get("GITHUB_TOKEN").map_or("", |secret| &secret.0),
            server: &server.unwrap_or_default(),
        };
        github_context(&one.event, &self.facts, &identity)
    }

    /// The workflow cut to the jobs asked for, what these call, and what is known of the run;
    /// `None` after problems were shown.
    pub(crate) async fn prepare(
        &self,
        one: &Chosen,
        run: model::RunId,
        github: Json,
    ) -> Result<Option<Prepared>> {
        let mut sources = Sources::default();
        sources.add(&one.file);
        let workflow = match select(&one.workflow, &one.jobs) {
            Ok(workflow) => workflow,
            Err(problems) => return Ok(self.refuse(&problems, &sources)),
        };
        let called = match called::load(&self.root, &workflow, &*self.actions, &mut sources).await {
            Ok(called) => called,
            Err(called::LoadError::Wrong(problems)) => return Ok(self.refuse(&problems, &sources)),
            Err(called::LoadError::Unreachable(error)) => return Err(error),
        };
        let context = RunContext {
            run,
            attempt: 1,
            github,
            vars: self.vars.clone(),
            inputs: one.inputs.clone(),
            secrets: self.secrets.clone(),
            trust: Trust::Trusted,
            permissions: Default::default(),
            parallel: self.parallel(),
            only: one.jobs.clone(),
            matrix: given::all_pairs("--matrix", &self.args.matrix)?,
            commits: called.commits,
            first_job: one.first_job,
        };
        Ok(Some(Prepared { workflow, called: called.workflows, context, sources }))
    }

    /// Shows problems; there is no value then.
    pub(crate) fn refuse<T>(&self, problems: &[Diagnostic], sources: &Sources) -> Option<T> {
        show_diagnostics(problems, sources, self.args.format);
        None
    }

    /// What each job of a run may ask of the host.
    fn services(&self, caches: CacheScope) -> ServicesOf {
        let actions = Arc::clone(&self.actions);
        let tree = Arc::new(WorkTree::new(&self.root));
        let sources: Arc<dyn SourceProvider> = Arc::new(FirstOf(vec![tree, self.remotes.clone()]));
        let checkout = (!self.args.real_checkout).then(|| Arc::clone(&sources));
        let results = self.results.clone();
        Box::new(move |job| {
            let grant =
                Grant { run: job.run, job: job.id, cache_mode: job.cache_mode, caches: caches.clone() };
            Services {
                actions: actions.clone(),
                checkout: checkout.clone(),
                source: Some(Arc::clone(&sources)),
                results: Some(results.endpoint(&grant, None)),
            }
        })
    }
}

/// What the machines of this command are like.
fn machine_spec(args: &RunArgs, config: &Config, toolchains: &Exposures) -> MachineSpec {
    let network = network(args, config).into();
    let own = config.expose.iter().chain(&args.machine.expose);
    MachineSpec {
        image: args.machine.image.clone().or_else(|| config.image.clone()),
        memory_mib: args.machine.memory.or(config.memory),
        expose: toolchains.paths.iter().chain(own).cloned().collect(),
        ..MachineSpec::new(MachineId(String::new()), network)
    }
}

/// Memory that a machine may be given, in MiB: at least what Hearth's own part takes, at most what no host has.
const MEMORY_MIB: std::ops::RangeInclusive<u64> = 16..=16 * 1024 * 1024;

/// Refuses a bound of memory that no machine can have.
fn check_memory(args: &RunArgs, config: &Config) -> Result<()> {
    match args.machine.memory.or(config.memory).filter(|mib| !MEMORY_MIB.contains(mib)) {
        Some(mib) => {
            bail!("memory of {mib} MiB: a machine has {} to {} MiB", MEMORY_MIB.start(), MEMORY_MIB.end())
        }
        None => Ok(()),
    }
}

/// Whether a filter of the workflow needs to know which files have changed.
fn asks_for_paths(file: &WorkflowFile) -> bool {
    let triggers = file.workflow.iter().flat_map(|workflow| &workflow.on);
    triggers.into_iter().any(|trigger| trigger.paths.is_some() || trigger.paths_ignore.is_some())
}

/// The service for caches and artifacts, on a loopback port of this process.
async fn open_results(data: &DataFolder, args: &RunArgs) -> Result<Arc<ResultsService>> {
    let caches = data.root().join("caches");
    let (for_runs, given) = (data.clone(), args.artifacts.clone());
    let folder = move |run| artifacts_folder(&for_runs, given.as_deref(), run);
    let service = ResultsService::start(ResultsConfig::new(&caches, folder)).await;
    let service = service.with_context(|| format!("can't serve caches from {}", caches.display()))?;
    Ok(Arc::new(service))
}

/// Where the artifacts of a run are.
fn artifacts_folder(data: &DataFolder, given: Option<&Path>, run: model::RunId) -> PathBuf {
    given.map_or_else(|| data.run(run).join("artifacts"), Path::to_owned)
}

/// The artifacts of a run, if there are any.
pub(crate) fn artifacts(data: &DataFolder, given: Option<&Path>, run: model::RunId) -> Option<PathBuf> {
    let folder = artifacts_folder(data, given, run);
    let any = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    any.then_some(folder)
}

/// The network that jobs get.
fn network(args: &RunArgs, config: &Config) -> NetworkName {
    let chosen = args.machine.network.or(config.network);
    chosen.unwrap_or_else(|| driver_name(args, config).usual_network())
}

/// The driver of the machines.
fn driver_name(args: &RunArgs, config: &Config) -> DriverName {
    args.machine.driver.or(config.machine).unwrap_or(DriverName::Sandbox)
}

/// Mirrors of the command line go before those of the configuration.
fn mirrors(args: &RunArgs, config: &Config) -> Result<Vec<MirrorTemplate>> {
    let templates = args.actions_mirrors.iter().chain(&config.actions_mirrors);
    Ok(templates.map(|template| template.parse()).collect::<Result<_, MirrorTemplateError>>()?)
}

/// Unlike that of an action, the name of a repository to check out can be made up by a job as it runs: one
/// that may not use the network must not use it this way either.
fn open_remotes(data: &DataFolder, args: &RunArgs, config: &Config) -> Result<RemoteRepositories> {
    let folder = data.root().join("checkouts");
    let offline = args.offline || network(args, config) == NetworkName::None;
    let remotes = RemoteRepositories::open(&folder, mirrors(args, config)?, offline)
        .with_context(|| format!("can't use the folder for checkouts {}", folder.display()))?;
    Ok(remotes.with_ssh_command(std::env::var("GIT_SSH_COMMAND").ok()))
}

fn open_actions(data: &DataFolder, args: &RunArgs, config: &Config, warn: Warn) -> Result<GitActionStore> {
    let folder = data.root().join("actions");
    let config = ActionStoreConfig {
        mirrors: mirrors(args, config)?,
        offline: args.offline,
        warn,
        ..ActionStoreConfig::new(&folder)
    };
    GitActionStore::open(config)
        .with_context(|| format!("can't open the cache of actions {}", folder.display()))
}
