//! The `sandbox` driver: a machine made of Linux namespaces.
//!
//! The job sees the host's `/usr`, `/etc` and `/opt` under overlays that die with it, and
//! nothing else of the host: own homes, `/tmp`, `/proc`, `/dev`, processes and users. It
//! has no privilege over the kernel, and system calls that manage the host are refused.
//! `docs/reference/sandbox.md` says what is isolated from what, and from what not.
//!
//! Who does what: this driver has a [keeper](keep) forked for each machine (`zygote`) and talks
//! to the agent; the keeper (`keeper`) gives the machine ids, bounds and a file tree
//! (`tree`, `shown`), and outlives it; the inside (`inside`) makes the namespaces, seals
//! itself in, and becomes the agent.

mod cgroup;
mod exposures;
mod ids;
mod inside;
mod keeper;
mod mounted;
mod mounts;
mod probe;
mod remains;
mod seal;
mod seccomp;
mod shown;
mod skeleton;
mod switches;
mod together;
mod tree;
mod visible;
mod wire;
mod zygote;

use std::ffi::OsString;
use std::io::PipeReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guest::client::Guest;
use model::MachineId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

pub use exposures::{Exposures, default_exposures};
pub use keeper::keep;
pub use wire::Without;

use crate::network::Contacts;
use crate::{
    Capabilities, Driver, Isolation, Layout, Machine, MachineError, MachineGuard, MachineSpec, Network, Probe,
};
use wire::{Failure, Report, StageConfig, StageLayout, StageLimits};
use zygote::{Hatched, Zygote};

/// Takes ids on the host that no other machine has, whichever driver it is of: the first of them,
/// and what marks them as taken for as long as it lives.
pub(crate) fn lease_ids(seed: u32) -> Result<(u32, std::os::unix::net::UnixListener), String> {
    ids::lease_range(seed).map_err(|failure| format!("{}: {}", failure.operation, failure.reason))
}

/// What the driver is called.
const NAME: &str = "sandbox";
/// The hidden first argument by which a program is asked to be the zygote of keepers.
pub const KEEPER_ARGUMENT: &str = "__sandbox";
/// Longest start: a hundred times the usual, for a machine that is busy with everything else.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Longest end: processes that hang in a dead disk are not waited for for ever, and large trees take a while.
const END_DEADLINE: Duration = Duration::from_secs(60);
/// Processes of a machine whose spec names no bound: enough for a parallel build, too few to starve a host.
const DEFAULT_PROCESSES: u32 = 4096;
/// Longest machine id: a host name's limit.
const MAX_ID: usize = 64;
/// What is read of a dead keeper's last words.
const MAX_LAST_WORDS: u64 = 4096;

/// A program of which keepers are forked (by [`run_if_asked`]) when it is started with these
/// arguments and [`KEEPER_ARGUMENT`].
#[derive(Clone, Debug)]
pub struct KeeperProgram {
    /// The program; usually this one itself.
    pub program: PathBuf,
    /// Arguments before the hidden one.
    pub args: Vec<OsString>,
}

impl KeeperProgram {
    /// This binary, even when its file was replaced or removed since it was started.
    #[must_use]
    pub fn current_exe() -> Self {
        Self::at("/proc/self/exe")
    }

    /// A binary whose `main` begins with [`run_if_asked`].
    pub fn at(program: impl Into<PathBuf>) -> Self {
        KeeperProgram { program: program.into(), args: Vec::new() }
    }
}

/// Becomes the zygote, keepers, and the agents inside, if the arguments of this process say so.
/// To be called first in `main`, before there is a second thread.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    (std::env::args_os().nth(1)? == KEEPER_ARGUMENT).then(|| keep(become_agent))
}

/// Starts sandboxes.
#[derive(Clone, Debug)]
pub struct SandboxDriver {
    data_dir: PathBuf,
    zygote: Arc<Zygote>,
    without: Without,
}

impl SandboxDriver {
    /// A driver that keeps its machines' folders in `data_dir` (absolute) and starts keepers by `keeper`.
    pub fn new(data_dir: PathBuf, keeper: KeeperProgram) -> Self {
        SandboxDriver { data_dir, zygote: Arc::new(Zygote::new(keeper)), without: Without::default() }
    }

    /// The same, but doing without parts of the wall: for tests of what then happens.
    #[must_use]
    pub fn without(mut self, without: Without) -> Self {
        self.without = without;
        self
    }

    fn config(&self, spec: &MachineSpec, layout: &Layout) -> Result<StageConfig, Failure> {
        check_id(&spec.id.0)?;
        let folders = [&layout.home, &layout.work, &layout.temp, &layout.tool_cache].map(String::as_str);
        if let Some(bad) = folders.iter().find(|folder| !is_layout_folder(folder)) {
            return Err(Failure::new(
                "reading the layout",
                format!("{bad:?} is not an absolute path of the machine's own"),
            ));
        }
        for path in &spec.expose {
            if let Some(refusal) = exposures::refusal(path, &folders, &self.data_dir) {
                return Err(Failure::new("exposing host folders", refusal));
            }
        }
        if spec.network == Network::User {
            let reason = "sandboxes see the host's network or none; use qemu or firecracker";
            return Err(Failure::new("giving it a network of its own", reason));
        }
        spec.check_policy().map_err(|reason| Failure::new("limiting its network", reason))?;
        if !self.data_dir.is_absolute() {
            return Err(Failure::new(
                "finding the data folder",
                format!("{} is not absolute", self.data_dir.display()),
            ));
        }
        Ok(StageConfig {
            id: spec.id.0.clone(),
            data_dir: self.data_dir.clone(),
            layout: StageLayout {
                home: layout.home.clone(),
                work: layout.work.clone(),
                temp: layout.temp.clone(),
                tool_cache: layout.tool_cache.clone(),
                command_files: layout.command_files(),
            },
            host_network: spec.network == Network::Host,
            expose: spec.expose.clone(),
            limits: StageLimits {
                vcpus: spec.vcpus,
                memory_mib: spec.memory_mib,
                disk_mib: spec.disk_mib,
                processes: spec.processes.unwrap_or(DEFAULT_PROCESSES),
            },
            without: self.without,
        })
    }

    async fn bring_up(&self, spec: MachineSpec) -> Result<Machine, Failure> {
        let begin = Instant::now();
        let layout = spec.layout.clone().unwrap_or_else(default_layout);
        let config = self.config(&spec, &layout)?;
        let failed = |error| {
            Failure::new("starting the keeper", format!("{}: {error}", self.zygote.program().display()))
        };
        let Hatched { control, agent, last_words } = self.zygote.hatch().map_err(failed)?;
        let (mut control, agent) = (to_async(control).map_err(failed)?, to_async(agent).map_err(failed)?);
        let report = tokio::time::timeout(START_DEADLINE, converse(&mut control, &config, last_words)).await;
        let started = match report {
            Ok(Ok(Report::Ready(started))) => started,
            Ok(Ok(Report::Failed(failure)) | Err(failure)) => return Err(failure),
            Ok(Ok(Report::Gone)) => return Err(Failure::new("starting the machine", "it was ended")),
            Err(_) => {
                return Err(Failure::new("starting the machine", format!("not up after {START_DEADLINE:?}")));
            }
        };
        let guard = SandboxGuard { id: spec.id.clone(), control };
        let guest = tokio::time::timeout(START_DEADLINE, Guest::connect(agent)).await;
        let guest = guest
            .map_err(|_| Failure::new("reaching the agent", format!("no answer after {START_DEADLINE:?}")))?
            .map_err(|error| Failure::new("reaching the agent", error))?;
        let mut boot: Vec<_> = started
            .boot
            .iter()
            .map(|(part, micros)| (part_name(part), Duration::from_micros(*micros)))
            .collect();
        boot.push(("whole", begin.elapsed()));
        Ok(Machine {
            id: spec.id,
            guest,
            layout,
            driver: NAME,
            isolation: Isolation::Namespaces,
            notes: started.notes,
            boot,
            contacts: Contacts::default(),
            guard: Box::new(guard),
        })
    }
}

#[async_trait]
impl Driver for SandboxDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolation: Isolation::Namespaces, snapshots: false }
    }

    async fn probe(&self) -> Probe {
        probe::probe(self).await
    }

    async fn start(&self, spec: MachineSpec) -> Result<Machine, MachineError> {
        let id = spec.id.clone();
        self.bring_up(spec).await.map_err(|failure| error(id, "starting", failure))
    }

    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        let data = self.data_dir.clone();
        let reaped = tokio::task::spawn_blocking(move || remains::reap(&data)).await;
        let reaped = reaped.map_err(std::io::Error::other).and_then(|reaped| reaped);
        reaped.map_err(|cause| {
            let failure =
                Failure::new(format!("removing dead machines from {}", self.data_dir.display()), cause);
            error(MachineId("*".to_owned()), "reaping", failure)
        })
    }
}

fn to_async(stream: std::os::unix::net::UnixStream) -> std::io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Sends the configuration and hears what became of it.
async fn converse(
    control: &mut UnixStream,
    config: &StageConfig,
    words: PipeReader,
) -> Result<Report, Failure> {
    let talk = async {
        control.write_all(&wire::pack(config)?).await?;
        hear(control).await
    };
    match talk.await {
        Ok(report) => Ok(report),
        Err(error) => Err(Failure::new("starting the keeper", last_words(words, &error).await)),
    }
}

/// What the keeper says next.
async fn hear(control: &mut UnixStream) -> std::io::Result<Report> {
    let mut size = [0; 4];
    control.read_exact(&mut size).await?;
    let mut report = vec![0; wire::length(size)?];
    control.read_exact(&mut report).await?;
    serde_json::from_slice(&report).map_err(std::io::Error::from)
}

/// Why a keeper died without a report.
async fn last_words(words: PipeReader, error: &std::io::Error) -> String {
    let mut said = Vec::new();
    if let Ok(words) = pipe::Receiver::from_owned_fd(words.into()) {
        // There may be none.
        let _ =
            tokio::time::timeout(Duration::from_secs(1), words.take(MAX_LAST_WORDS).read_to_end(&mut said))
                .await;
    }
    format!("it died ({error}). {}", String::from_utf8_lossy(&said).trim())
}

/// Ends the machine when it goes: the keeper takes the end of the control stream for an order.
struct SandboxGuard {
    id: MachineId,
    control: UnixStream,
}

impl SandboxGuard {
    /// Gives the order, and hears what became of it.
    async fn end(&mut self) -> std::io::Result<Report> {
        self.control.shutdown().await?;
        hear(&mut self.control).await
    }
}

#[async_trait]
impl MachineGuard for SandboxGuard {
    async fn destroy(mut self: Box<Self>) -> Result<(), MachineError> {
        let failure = match tokio::time::timeout(END_DEADLINE, self.end()).await {
            Ok(Ok(Report::Gone)) => return Ok(()),
            Ok(Ok(Report::Failed(failure))) => failure,
            Ok(Ok(Report::Ready(_))) => {
                Failure::new("waiting for the keeper", "it says that the machine is up")
            }
            Ok(Err(error)) => {
                let reason = format!("it died ({error}); the next start removes what is left");
                Failure::new("waiting for the keeper", reason)
            }
            Err(_) => {
                let reason = format!("not gone after {END_DEADLINE:?}; the next start removes what is left");
                Failure::new("waiting for the keeper", reason)
            }
        };
        Err(error(self.id.clone(), "ending", failure))
    }
}

/// In the machine: serves the agent's stream until it ends.
fn become_agent(stream: std::os::unix::net::UnixStream) -> ExitCode {
    use std::os::fd::IntoRawFd;
    guest::agent::main_from_fd(stream.into_raw_fd())
}

/// The folders of a machine whose spec names none: those of GitHub's own runners.
fn default_layout() -> Layout {
    Layout {
        home: "/home/runner".to_owned(),
        work: "/home/runner/work".to_owned(),
        temp: "/home/runner/work/_temp".to_owned(),
        tool_cache: "/opt/hostedtoolcache".to_owned(),
    }
}

/// An id becomes a folder's name, a host name, and part of a control group's name.
fn check_id(id: &str) -> Result<(), Failure> {
    let plain =
        id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.');
    let named = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) && !id.ends_with(".lock");
    if plain && named && id.len() <= MAX_ID {
        return Ok(());
    }
    Err(Failure::new(
        "reading the machine's id",
        format!(
            "{id:?} is not 1 to {MAX_ID} letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
        ),
    ))
}

fn is_layout_folder(folder: &str) -> bool {
    let kernels = ["/proc", "/sys", "/dev"];
    folder.len() > 1
        && folder.starts_with('/')
        && !folder.split('/').any(|part| part == "..")
        && !kernels.iter().any(|kernel| PathBuf::from(folder).starts_with(kernel))
}

/// Boot parts as the keeper names them, for ever.
fn part_name(part: &str) -> &'static str {
    match part {
        "keeper" => "keeper",
        "ids" => "ids",
        "namespaces" => "namespaces",
        "tree and seals" => "tree and seals",
        _ => "other",
    }
}

fn error(machine: MachineId, operation: &'static str, failure: Failure) -> MachineError {
    MachineError { machine, driver: NAME, operation, reason: failure.to_string(), source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_no_plain_name_is_refused() {
        for id in ["", ".", "..", "a/b", "-a", "ä", "a b", "one.lock", &"x".repeat(65)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        assert!(check_id("job-1.build_2").is_ok());
    }

    #[test]
    fn a_layout_cannot_climb_or_cover_the_kernel() {
        for folder in ["", "/", "home", "/home/../root", "/proc/x", "/dev"] {
            assert!(!is_layout_folder(folder), "{folder:?}");
        }
        assert!(is_layout_folder("/home/runner"));
    }
}
