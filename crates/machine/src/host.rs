//! The `host` driver: no isolation at all. A job runs as the user who started Hearth, and sees
//! and changes everything that this user can; only its working folders are its own.

mod life;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guest::agent::MACHINE_VARIABLE;
use guest::client::{ExecEvent, ExecSpec, ExitStatus, Guest};
use model::MachineId;

use crate::network::Contacts;
use crate::own_name::own_name;
use crate::{
    AgentProgram, Capabilities, Driver, Finding, FindingLevel, Isolation, Layout, Machine, MachineError,
    MachineSpec, Network, Probe,
};
use life::HostMachine;

const NAME: &str = "host";

/// How long an agent may take to answer first: it takes milliseconds, a swapping host much longer.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// What is shown of an agent's last words.
const LAST_WORDS_BYTES: u64 = 4096;

/// Longest machine id: Linux's bound of a host name.
const ID_CHARS: usize = 64;

/// What the agent itself keeps of our environment; of a job's it decides nothing.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "HOME", "USER"];

/// Runs jobs on the host, each with folders of its own below `<data>/machines`.
#[derive(Clone, Debug)]
pub struct HostDriver {
    machines: PathBuf,
    agent: AgentProgram,
}

impl HostDriver {
    /// A driver that keeps its machines' folders in this data folder and starts agents by `agent`.
    pub fn new(data: impl Into<PathBuf>, agent: AgentProgram) -> Self {
        Self { machines: data.into().join("machines"), agent }
    }

    async fn bring_up(&self, spec: &MachineSpec) -> Result<Machine, Failure> {
        let begin = Instant::now();
        check(spec)?;
        let mut machine = HostMachine::make(&self.machines, &spec.id)?;
        let layout = lay_out(machine.folder(), spec)?;
        let folders = begin.elapsed();
        let stream = self.start_agent(&mut machine)?;
        let guest = connect(&machine, stream).await?;
        Ok(Machine {
            id: spec.id.clone(),
            guest,
            layout,
            driver: NAME,
            isolation: Isolation::Host,
            notes: notes(spec),
            boot: vec![("folders", folders), ("agent", begin.elapsed() - folders)],
            contacts: Contacts::default(),
            guard: Box::new(machine),
        })
    }

    /// Starts the agent. Nothing ties its life to ours but the stream, whose end it takes for
    /// its own, after it has ended its processes: a death signal would not leave it the time.
    fn start_agent(&self, machine: &mut HostMachine) -> Result<UnixStream, Failure> {
        let failed = |error: io::Error| {
            Failure::new("starting the agent", format!("{}: {error}", self.agent.program.display()))
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let log = File::create(machine.log()).map_err(failed)?;
        let mut command = Command::new(&self.agent.program);
        command.args(self.agent.arguments(0)).env_clear().current_dir("/").process_group(0);
        for name in KEPT_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env(MACHINE_VARIABLE, machine.folder());
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(log);
        machine.own(command.spawn().map_err(failed)?);
        Ok(ours)
    }

    async fn canary(&self) -> Result<(), String> {
        let id = MachineId(own_name("probe"));
        let spec = MachineSpec::new(id, Network::Host);
        let machine = self.start(spec).await.map_err(|error| error.to_string())?;
        let told = greet(&machine.guest).await;
        machine.destroy().await.map_err(|error| error.to_string())?;
        told
    }
}

/// Runs a command that every host has.
async fn greet(guest: &Guest) -> Result<(), String> {
    let spec =
        ExecSpec { argv: ["/bin/sh", "-c", "exit 0"].map(str::to_owned).to_vec(), ..ExecSpec::default() };
    let mut exec = guest.exec(spec).await.map_err(|error| error.to_string())?;
    loop {
        match exec.next().await.map_err(|error| error.to_string())? {
            Some(ExecEvent::Exited(ExitStatus::Code(0))) => return Ok(()),
            Some(ExecEvent::Exited(status)) => return Err(format!("/bin/sh ended with {status:?}")),
            Some(_) => {}
            None => return Err("/bin/sh told no end".to_owned()),
        }
    }
}

#[async_trait]
impl Driver for HostDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolation: Isolation::Host, snapshots: false }
    }

    async fn probe(&self) -> Probe {
        let canary = match self.canary().await {
            Ok(()) => Finding {
                level: FindingLevel::Good,
                subject: "canary".to_owned(),
                detail: "a machine started and ran a command".to_owned(),
                remedy: None,
            },
            Err(reason) => Finding {
                level: FindingLevel::Bad,
                subject: "canary".to_owned(),
                detail: reason,
                remedy: Some(format!("make sure that {} can be written", self.machines.display())),
            },
        };
        let isolation = Finding {
            level: FindingLevel::Degraded,
            subject: "isolation".to_owned(),
            detail: "none: a job can read and change everything that you can".to_owned(),
            remedy: Some("use the sandbox driver for workflows that you have not read".to_owned()),
        };
        Probe { usable: canary.level == FindingLevel::Good, findings: vec![canary, isolation] }
    }

    async fn start(&self, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.bring_up(&spec).await.map_err(|failure| failure.of(spec.id))
    }

    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        let machines = self.machines.clone();
        let reaped = tokio::task::spawn_blocking(move || life::reap(&machines)).await;
        let nobody = || MachineId("of an earlier life".to_owned());
        match reaped {
            Ok(Ok(removed)) => Ok(removed),
            Ok(Err(failure)) => Err(failure.of(nobody())),
            Err(error) => Err(Failure::new("removing", error.to_string()).of(nobody())),
        }
    }
}

/// What went wrong, before it is known with which machine.
#[derive(Debug)]
struct Failure {
    operation: &'static str,
    reason: String,
}

impl Failure {
    fn new(operation: &'static str, reason: impl Into<String>) -> Self {
        Self { operation, reason: reason.into() }
    }

    fn of(self, machine: MachineId) -> MachineError {
        let Failure { operation, reason } = self;
        MachineError { machine, driver: NAME, operation, reason, source: None }
    }
}

/// Refuses what this driver can't give and what must not be ignored.
fn check(spec: &MachineSpec) -> Result<(), Failure> {
    let id = &spec.id.0;
    let letters = id.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if id.is_empty() || id.len() > ID_CHARS || id.starts_with('.') || !letters {
        return Err(Failure::new("reading its id", format!("{id:?} can't be a host name")));
    }
    if spec.network != Network::Host {
        let reason = "jobs on the host have the host's network; use the sandbox driver to run without";
        return Err(Failure::new("taking the network away", reason));
    }
    spec.check_policy().map_err(|reason| Failure::new("limiting its network", reason))?;
    Ok(())
}

/// Makes the job's folders: those that were asked for, or below the machine's own.
fn lay_out(folder: &Path, spec: &MachineSpec) -> Result<Layout, Failure> {
    let layout = match &spec.layout {
        Some(layout) => layout.clone(),
        None => usual_layout(folder)?,
    };
    for path in [&layout.home, &layout.work, &layout.temp, &layout.tool_cache] {
        fs::create_dir_all(path)
            .map_err(|error| Failure::new("making its folders", format!("{path}: {error}")))?;
    }
    Ok(layout)
}

/// The home is the user's own: the tools that a job finds by it are why it runs on the host.
fn usual_layout(folder: &Path) -> Result<Layout, Failure> {
    let text = |path: PathBuf| {
        let unfit = |path: std::ffi::OsString| {
            Failure::new("naming its folders", format!("{} is not UTF-8", path.display()))
        };
        path.into_os_string().into_string().map_err(unfit)
    };
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    Ok(Layout {
        home: text(home.unwrap_or_else(|| folder.join("home")))?,
        work: text(folder.join("work"))?,
        temp: text(folder.join("temp"))?,
        tool_cache: text(folder.join("tools"))?,
    })
}

async fn connect(machine: &HostMachine, stream: UnixStream) -> Result<Guest, Failure> {
    let failed = |reason: String| Failure::new("reaching the agent", with_last_words(reason, &machine.log()));
    let stream = stream.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(stream));
    let stream = stream.map_err(|error| failed(error.to_string()))?;
    match tokio::time::timeout(START_DEADLINE, Guest::connect(stream)).await {
        Ok(Ok(guest)) => Ok(guest),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer after {} s", START_DEADLINE.as_secs()))),
    }
}

fn with_last_words(reason: String, log: &Path) -> String {
    let mut words = Vec::new();
    let read = File::open(log).and_then(|log| log.take(LAST_WORDS_BYTES).read_to_end(&mut words));
    match (read, String::from_utf8_lossy(&words).trim()) {
        (Ok(_), words) if !words.is_empty() => format!("{reason}; it said: {words}"),
        _ => reason,
    }
}

fn notes(spec: &MachineSpec) -> Vec<String> {
    let mut notes = vec!["no isolation: the job can read and change everything that you can".to_owned()];
    let bounds = [
        ("CPUs", spec.vcpus.is_some()),
        ("memory", spec.memory_mib.is_some()),
        ("disk", spec.disk_mib.is_some()),
        ("processes", spec.processes.is_some()),
    ];
    let ignored: Vec<&str> = bounds.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    if !ignored.is_empty() {
        notes.push(format!("not bounded on the host: {}", ignored.join(", ")));
    }
    notes
}
