//! A bench for jobs: an agent in this process, a machine around it, and a sink that records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guest::client::Guest;
use machine::{Isolation, Layout, Machine, MachineError, MachineGuard};
use model::{
    ActionRef, Annotation, Conclusion, Contexts, EventSink, Job, JobEvent, JobId, JobResult, MachineId,
    ProcessStep, RunDefaults, RunId, Secret, Step, StepPhase, StepRef, StepWork, Template, Trust,
};
use runner::{ActionStore, ActionStoreError, Cancellation, FetchedAction, RunnerOptions, Services};
use serde_json::json;

/// Records every event.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<JobEvent>>);

impl EventSink for Recorder {
    fn emit(&self, event: JobEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// No action store at all. Whatever is of the owner `away` can't be reached.
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

#[async_trait]
impl ActionStore for Folder {
    async fn fetch(&self, action: &ActionRef) -> Result<FetchedAction, ActionStoreError> {
        let ActionRef::Repository { owner, repo, .. } = action else {
            unreachable!("local actions are not fetched")
        };
        let tree = self.0.join(owner).join(repo);
        if !tree.exists() {
            let may_pass = owner == "away";
            let reason = if may_pass { "Could not resolve host" } else { "repository not found" };
            return Err(ActionStoreError { action: action.to_string(), reason: reason.to_owned(), may_pass });
        }
        Ok(FetchedAction { tree, commit: "0123456789abcdef".to_owned() })
    }

    fn for_run(&self) -> Arc<dyn ActionStore> {
        Arc::new(Folder(self.0.clone()))
    }
}

struct NoGuard;

#[async_trait]
impl MachineGuard for NoGuard {
    async fn destroy(self: Box<Self>) -> Result<(), MachineError> {
        Ok(())
    }
}

/// A place to run jobs in.
pub(crate) struct Bench {
    pub(crate) root: tempfile::TempDir,
    pub(crate) cancel: Cancellation,
    pub(crate) sink: Arc<Recorder>,
    pub(crate) options: RunnerOptions,
    pub(crate) services: Services,
    /// Carries the stream to the agent; [`Bench::cut`] ends it.
    pub(crate) wire: Mutex<Option<tokio::task::JoinHandle<()>>>,
    pub(crate) agent_options: guest::agent::Options,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let root = tempfile::tempdir().unwrap();
        let actions = Arc::new(Folder(root.path().join("store")));
        Bench {
            cancel: Cancellation::new(),
            sink: Arc::new(Recorder::default()),
            options: RunnerOptions::default(),
            services: Services { actions, checkout: None, source: None, results: None },
            wire: Mutex::new(None),
            agent_options: guest::agent::Options::new(guest::agent::Scope::Library),
            root,
        }
    }

    pub(crate) fn path(&self, path: &str) -> String {
        self.root.path().join(path).to_str().unwrap().to_owned()
    }

    /// Writes a file on the host, with its folders.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) async fn machine(&self) -> Machine {
        let (host, mut outside) = tokio::io::duplex(1024 * 1024);
        let (mut inside, stream) = tokio::io::duplex(1024 * 1024);
        let options = self.agent_options.clone();
        tokio::spawn(async move {
            drop(guest::agent::serve_with(stream, options).await);
        });
        let wire = tokio::spawn(async move {
            drop(tokio::io::copy_bidirectional(&mut outside, &mut inside).await);
        });
        *self.wire.lock().unwrap() = Some(wire);
        Machine {
            id: MachineId("m-1".to_owned()),
            guest: Guest::connect(host).await.unwrap(),
            layout: Layout {
                home: self.path("home"),
                work: self.path("work"),
                temp: self.path("work/_temp"),
                tool_cache: self.path("tools"),
            },
            driver: "bench",
            isolation: Isolation::Host,
            notes: Vec::new(),
            boot: Vec::new(),
            contacts: machine::network::Contacts::default(),
            guard: Box::new(NoGuard),
        }
    }

    pub(crate) async fn run(&self, job: Job) -> Outcome {
        let machine = self.machine().await;
        let run = runner::run_job(
            job,
            &machine,
            self.services.clone(),
            self.sink.clone(),
            self.cancel.clone(),
            self.options.clone(),
        );
        let result = tokio::time::timeout(Duration::from_secs(120), run).await.expect("the job ends");
        Outcome { result, events: self.events() }
    }

    /// What jobs have told.
    pub(crate) fn events(&self) -> Vec<JobEvent> {
        self.sink.0.lock().unwrap().clone()
    }

    /// Begins a new record.
    pub(crate) fn forget_events(&self) {
        self.sink.0.lock().unwrap().clear();
    }

    /// Breaks the stream to the agent.
    pub(crate) fn cut(&self) {
        self.wire.lock().unwrap().take().expect("a machine was started").abort();
    }

    /// Waits until the log has this line.
    pub(crate) async fn wait_for(&self, text: &str) {
        let has = |event: &JobEvent| matches!(event, JobEvent::Log(line) if line.text == text);
        self.wait_until(&format!("the log says {text:?}"), has).await;
    }

    /// Waits until the main part of a step has ended.
    pub(crate) async fn has_ended(&self, index: usize) {
        let main = StepRef { index, phase: StepPhase::Main };
        let has = |event: &JobEvent| matches!(event, JobEvent::StepFinished { step, .. } if *step == main);
        self.wait_until(&format!("step {index} has ended"), has).await;
    }

    async fn wait_until(&self, what: &str, has: impl Fn(&JobEvent) -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !self.sink.0.lock().unwrap().iter().any(&has) {
            assert!(std::time::Instant::now() < deadline, "it never came that {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How a job ended, and what it told.
pub(crate) struct Outcome {
    pub(crate) result: JobResult,
    pub(crate) events: Vec<JobEvent>,
}

impl Outcome {
    /// The lines that a step of the job printed, set-up and completion left out.
    pub(crate) fn log(&self) -> Vec<&str> {
        self.lines(|phase| !matches!(phase, StepPhase::SetUp | StepPhase::Complete), false)
    }

    /// Standard output and error of processes, without the warnings that commands of theirs led to.
    pub(crate) fn output(&self) -> Vec<&str> {
        let lines = self.lines(|_| true, true).into_iter();
        lines.filter(|line| !line.starts_with("Warning: ")).collect()
    }

    /// Everything, as one text.
    pub(crate) fn all(&self) -> String {
        format!("{:#?}", self.events)
    }

    fn lines(&self, phase: impl Fn(StepPhase) -> bool, processes: bool) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                JobEvent::Log(line)
                    if phase(line.step.phase) && (!processes || line.stream != model::Stream::Hearth) =>
                {
                    Some(line.text.as_str())
                }
                _ => None,
            })
            .collect()
    }

    pub(crate) fn annotations(&self) -> Vec<&Annotation> {
        self.events
            .iter()
            .filter_map(|event| match event {
                JobEvent::Annotation { annotation, .. } => Some(annotation),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn messages(&self) -> Vec<&str> {
        self.annotations().into_iter().map(|annotation| annotation.message.as_str()).collect()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                JobEvent::StepStarted { name, .. } => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Conclusion of each step, one letter each: success, failure, cancelled, kipped (k).
    pub(crate) fn conclusions(&self) -> Vec<Conclusion> {
        self.result.steps.iter().map(|step| step.conclusion).collect()
    }

    pub(crate) fn outcomes(&self) -> Vec<Conclusion> {
        self.result.steps.iter().map(|step| step.outcome).collect()
    }

    pub(crate) fn output_of(&self, name: &str) -> Option<&str> {
        self.result.outputs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A job of these steps.
pub(crate) fn job(steps: Vec<Step>) -> Job {
    Job {
        id: JobId(1),
        run: RunId(7),
        attempt: 1,
        key: "build".to_owned(),
        name: "build".to_owned(),
        steps,
        contexts: Contexts {
            github: json!({"repository": "octo/app", "ref": "refs/heads/main", "sha": "abc", "event": {"n": 1},
                "server_url": "https://github.com", "event_name": "push", "workflow": "CI", "actor": "mona"}),
            ..Contexts::default()
        },
        env: Vec::new(),
        defaults: RunDefaults::default(),
        outputs: Vec::new(),
        environment_url: None,
        container: None,
        services: None,
        timeout: Duration::from_secs(100),
        cancel_timeout: Duration::from_secs(100),
        secrets: BTreeMap::new(),
        trust: Trust::Trusted,
        cache_mode: model::CacheMode::Write,
        permissions: Default::default(),
        token: Default::default(),
        environment: None,
    }
}

/// A job whose only output is `value`.
pub(crate) fn with_output(mut job: Job, name: &str, expression: &str) -> Job {
    job.outputs.push((name.to_owned(), Template::expression(expression)));
    job
}

pub(crate) fn with_secret(mut job: Job, name: &str, value: &str) -> Job {
    job.secrets.insert(name.to_owned(), Secret(value.to_owned()));
    job
}

/// A step that runs a script with the default shell.
pub(crate) fn run(script: &str) -> Step {
    Step {
        id: "__run".to_owned(),
        name: None,
        condition: "success()".to_owned(),
        env: None,
        continue_on_error: None,
        timeout_minutes: None,
        background: false,
        work: StepWork::Script(ProcessStep {
            script: Template::text(script),
            shell: None,
            working_directory: None,
        }),
    }
}

/// A step whose script is an expression.
pub(crate) fn run_expression(expression: &str) -> Step {
    let mut step = run("");
    let StepWork::Script(script) = &mut step.work else { unreachable!() };
    script.script = Template::expression(expression);
    step
}

/// A step that uses a local or remote action.
pub(crate) fn uses(reference: &str, with: &[(&str, &str)]) -> Step {
    let uses = match reference.strip_prefix("./") {
        Some(_) => ActionRef::Local(reference.to_owned()),
        None => {
            let (name, at) = reference.split_once('@').unwrap();
            let mut parts = name.splitn(3, '/');
            ActionRef::Repository {
                owner: parts.next().unwrap().to_owned(),
                repo: parts.next().unwrap().to_owned(),
                path: parts.next().unwrap_or_default().to_owned(),
                reference: at.to_owned(),
            }
        }
    };
    let with = with.iter().map(|(name, value)| (Template::text(*name), Template::text(*value)));
    Step { work: StepWork::Action { uses, with: Some(Template::Mapping(with.collect())) }, ..run("") }
}

/// Small changes to a step.
pub(crate) trait StepExt: Sized {
    fn id(self, id: &str) -> Self;
    fn named(self, name: &str) -> Self;
    fn when(self, condition: &str) -> Self;
    fn env(self, name: &str, value: &str) -> Self;
    fn shell(self, shell: &str) -> Self;
    fn in_folder(self, folder: &str) -> Self;
    fn continue_on_error(self) -> Self;
    fn timeout(self, minutes: f64) -> Self;
}

impl StepExt for Step {
    fn id(mut self, id: &str) -> Step {
        self.id = id.to_owned();
        self
    }
    fn named(mut self, name: &str) -> Step {
        self.name = Some(Template::text(name));
        self
    }
    fn when(mut self, condition: &str) -> Step {
        self.condition = condition.to_owned();
        self
    }
    fn env(mut self, name: &str, value: &str) -> Step {
        let pair = (Template::text(name), Template::text(value));
        match &mut self.env {
            Some(Template::Mapping(pairs)) => pairs.push(pair),
            env => *env = Some(Template::Mapping(vec![pair])),
        }
        self
    }
    fn shell(mut self, shell: &str) -> Step {
        if let StepWork::Script(script) = &mut self.work {
            script.shell = Some(Template::text(shell));
        }
        self
    }
    fn in_folder(mut self, folder: &str) -> Step {
        if let StepWork::Script(script) = &mut self.work {
            script.working_directory = Some(Template::text(folder));
        }
        self
    }
    fn continue_on_error(mut self) -> Step {
        self.continue_on_error = Some(Template::Bool(true));
        self
    }
    fn timeout(mut self, minutes: f64) -> Step {
        self.timeout_minutes = Some(Template::Number(minutes));
        self
    }
}
