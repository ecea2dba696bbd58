//! The `qemu` driver: a machine with a kernel of its own, in a QEMU process of its own.
//!
//! Machines are of QEMU's `microvm` type. With hardware help they run at full speed; without,
//! QEMU emulates the processor, which is several times slower and works everywhere.
//!
//! ```text
//! image ──▶ booting ──agent answers──▶ renewed ──▶ ready ──destroy──▶ gone
//!             │                                     │
//!             └─panic, end of QEMU, deadline─▶ gone └─snapshot──▶ frozen ──restore──▶ renewed
//! ```

mod accel;
mod arguments;
mod kernel_head;
mod life;
mod meeting;
mod probe;
mod qmp;
mod snapshots;
mod trouble;

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::image::{DEFAULT_NAME, Image};
use crate::network::user::{self, UserNetwork};
use crate::vm::folder::{self, Folder};
use crate::vm::guest_side::{self, Scratch};
use crate::vm::renewal::{fresh_mac, renewal};
use crate::vm::spawn::{Spawner, as_path};
use crate::vm::{self, Doing, Failure, check_sizes, scratch_disk};
use crate::{
    Capabilities, Driver, Isolation, Machine, MachineError, MachineSpec, Network, Probe, Snapshot,
    SnapshotId, programs,
};
use accel::Choice;
use arguments::{Accel, Configuration, PORT, Ram, Wire};
use life::{Facts, QemuMachine};
use meeting::Door;
use qmp::Qmp;

const NAME: &str = "qemu";

/// The program, looked up on this host.
const PROGRAM: &str = "qemu-system-x86_64";

/// How long a machine may take until its agent has answered: emulated, on a host that is busy
/// with as many others as it has processors, it takes half a minute.
const BOOT_DEADLINE: Duration = Duration::from_secs(180);

/// Sizes of a machine whose spec names none: what common jobs need, on any host.
const DEFAULT_MEMORY_MIB: u64 = 2048;
const DEFAULT_DISK_MIB: u64 = 10 * 1024;
const MOST_DEFAULT_VCPUS: usize = 4;

/// Bounds of what may be asked for: below, no kernel boots; above, `microvm` has no place.
const LEAST_MEMORY_MIB: u64 = 128;
const MOST_VCPUS: u32 = 64;

/// What is said of a machine without a disk.
const NO_DISK: &str = "it writes to its memory: this host can't make file systems (install e2fsprogs)";

/// Starts machines in QEMU processes, from images of `<data>/images`, with folders in `<data>/vms`.
#[derive(Debug)]
pub struct QemuDriver {
    data: PathBuf,
    program: PathBuf,
    deadline: Duration,
    accel: OnceCell<Choice>,
    tsc_khz: OnceCell<u64>,
    spawner: std::sync::OnceLock<Spawner>,
    name_servers: Option<Vec<SocketAddr>>,
}

impl QemuDriver {
    /// A driver on this data folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            program: PROGRAM.into(),
            deadline: BOOT_DEADLINE,
            accel: OnceCell::new(),
            tsc_khz: OnceCell::new(),
            spawner: std::sync::OnceLock::new(),
            name_servers: None,
        }
    }

    /// The same, with this QEMU instead of the one in `PATH`.
    #[must_use]
    pub fn with_program(self, program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..self }
    }

    /// The same, with other servers for names than this host's.
    #[must_use]
    pub fn with_name_servers(self, servers: Vec<SocketAddr>) -> Self {
        Self { name_servers: Some(servers), ..self }
    }

    /// The same, with another bound of the time until a machine's agent has answered.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Where the program is now; only its name where there is none.
    fn program(&self) -> PathBuf {
        programs::find(&self.program).unwrap_or_else(|| self.program.clone())
    }

    /// How machines of this image run here; found out once, if it holds for all.
    async fn choice(&self, image: Option<&str>) -> Choice {
        match self.accel.get_or_try_init(|| accel::choose(self, image)).await {
            Ok(choice) => choice.clone(),
            Err(for_now) => for_now,
        }
    }

    fn name_servers(&self) -> Vec<SocketAddr> {
        self.name_servers.clone().unwrap_or_else(user::name_servers)
    }

    fn spawner(&self) -> Result<Spawner, Failure> {
        if let Some(spawner) = self.spawner.get() {
            return Ok(spawner.clone());
        }
        let spawner = Spawner::new().doing("starting a thread")?;
        Ok(self.spawner.get_or_init(|| spawner).clone())
    }

    async fn image(&self, name: Option<&str>) -> Result<Image, Failure> {
        vm::image(&self.data, name.unwrap_or(DEFAULT_NAME)).await
    }

    async fn bring_up(&self, spec: &MachineSpec) -> Result<Machine, Failure> {
        let choice = self.choice(spec.image.as_deref()).await;
        let begin = Instant::now();
        let (process, mut notes) = self.boot(spec, choice.accel).await?;
        notes.extend(choice.note);
        self.meet(process, spec, notes, begin, self.deadline).await
    }

    /// Starts QEMU with what a machine boots from. Beside it, what users should know of the machine.
    async fn boot(&self, spec: &MachineSpec, accel: Accel) -> Result<(QemuMachine, Vec<String>), Failure> {
        check(spec)?;
        let image = self.image(spec.image.as_deref()).await?;
        let facts = Facts::of(spec, &image);
        let folder = Folder::make(&self.data, &spec.id.0).doing("making its folder")?;
        folder.note_image(&facts.image).doing("noting its image")?;
        let mut notes = Vec::new();
        let scratch = self.scratch(&folder, &facts, &mut notes).await?;
        let ram = memory(facts.memory_mib).doing("reserving its memory")?;
        let handed_over = OwnedFd::from(ram.try_clone().doing("reserving its memory")?);
        let (disk, writes) = match scratch {
            Some(disk) => (Some(disk), Scratch::Disk("/dev/vdb")),
            None => (None, Scratch::Memory { mib: facts.disk_mib.min(facts.memory_mib) }),
        };
        let told = guest_side::agent_arguments(&facts.layout, &writes, &format!("port:{PORT}"));
        let told = told.doing("reading the layout")?;
        let parts = Parts {
            accel,
            ram: Ram::Shared(as_path(&handed_over).into()),
            command_line: format!("{} {told}", image.manifest.cmdline),
            kernel: image.kernel(),
            image,
            disk,
            handed_over: vec![handed_over],
            incoming: false,
        };
        Ok((self.process(folder, facts, parts, Some(ram)).await?, notes))
    }

    /// The disk for writes, where the host can make one.
    async fn scratch(
        &self,
        folder: &Folder,
        facts: &Facts,
        notes: &mut Vec<String>,
    ) -> Result<Option<PathBuf>, Failure> {
        let path = folder.path().join(life::SCRATCH);
        let made = scratch_disk::make(&path, facts.disk_mib).await.doing("making its disk")?;
        if made.is_none() {
            notes.push(NO_DISK.to_owned());
        }
        Ok(made.map(|()| life::SCRATCH.into()))
    }

    /// Starts QEMU, and waits until it can be told what to do.
    async fn process(
        &self,
        folder: Folder,
        facts: Facts,
        parts: Parts,
        ram: Option<File>,
    ) -> Result<QemuMachine, Failure> {
        const START: &str = "starting QEMU";
        let door = Door::open(folder.path()).doing("opening the agent's socket")?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().doing(START)?;
        ours.set_nonblocking(true).doing(START)?;
        let listener = door.listener().try_clone().doing(START)?;
        let network = match facts.network {
            Network::User => Some(
                UserNetwork::open(facts.policy.clone(), self.name_servers()).doing("opening its network")?,
            ),
            _ => None,
        };
        let wire = match &network {
            Some((_, wire)) => Some(Wire { mac: fresh_mac().doing(START)?, frames: wire.as_raw_fd() }),
            None => None,
        };
        let configuration = Configuration {
            accel: parts.accel,
            vcpus: facts.vcpus,
            memory_mib: facts.memory_mib,
            ram: parts.ram,
            kernel: parts.kernel,
            initrd: parts.image.initrd(),
            root: parts.image.root(),
            scratch: parts.disk,
            command_line: parts.command_line,
            wire,
            qmp: theirs.as_raw_fd(),
            agent: listener.as_raw_fd(),
            console: "/proc/self/fd/1".to_owned(),
            incoming: parts.incoming,
        };
        let mut inherited: Vec<OwnedFd> = vec![theirs.into(), listener.into()];
        // Their numbers are in the configuration: they must be these very descriptors.
        inherited.extend(parts.handed_over);
        let network = network.map(|(network, wire)| {
            inherited.push(wire);
            network
        });
        let mut command = Command::new(self.program());
        command.args(configuration.arguments()).current_dir(folder.path()).env_clear().process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begin = Instant::now();
        let child = self.spawner()?.spawn(command, inherited, None).await.map_err(|error| {
            let install = "install QEMU (Debian: qemu-system-x86)";
            Failure::new(START, format!("{}: {error}; {install}", self.program.display()))
        })?;
        let qmp = UnixStream::from_std(ours).doing(START)?;
        let spawner = self.spawner()?;
        let mut process = QemuMachine::new(child, folder, facts, configuration, door, ram, spawner);
        process.network = network;
        process.note().doing("noting its process")?;
        let watch = process.watch().doing(START)?;
        match Qmp::open(qmp, watch).await {
            Ok(qmp) => process.qmp = Some(qmp),
            Err(error) => return Err(Failure::new(START, error).with(&process.last_words_now().await)),
        }
        process.boot.push(("vmm", begin.elapsed()));
        Ok(process)
    }

    /// Meets the agent, and makes the machine unique.
    async fn meet(
        &self,
        mut process: QemuMachine,
        spec: &MachineSpec,
        notes: Vec<String>,
        begin: Instant,
        deadline: Duration,
    ) -> Result<Machine, Failure> {
        let before = begin.elapsed();
        let guest = process.meet_agent(deadline).await?;
        let met = begin.elapsed() - before;
        let interface = (process.facts.network == Network::User).then(user::interface);
        let renewal = renewal(&spec.id.0, interface).doing("finding random numbers")?;
        let renewed = guest.renew(&renewal).await;
        if let Err(error) = renewed {
            let words = process.last_words_now().await;
            return Err(Failure::new("making it unique", error).with(&words));
        }
        let mut boot = process.boot.clone();
        let mut known = before;
        if !process.restored {
            let init = guest.info().await.map(|info| info.init).unwrap_or_default();
            boot.extend([("kernel", met.saturating_sub(init)), ("init", init)]);
            known += met;
        }
        let whole = begin.elapsed();
        boot.extend([("agent", whole.saturating_sub(known)), ("whole", whole)]);
        Ok(Machine {
            id: spec.id.clone(),
            guest,
            layout: process.facts.layout.clone(),
            driver: NAME,
            isolation: Isolation::VirtualMachine,
            notes,
            boot,
            contacts: process.network.as_ref().map(|network| network.contacts().clone()).unwrap_or_default(),
            guard: Box::new(process),
        })
    }
}

/// What a QEMU is made of beside its sizes.
struct Parts {
    accel: Accel,
    ram: Ram,
    image: Image,
    kernel: PathBuf,
    disk: Option<PathBuf>,
    command_line: String,
    /// Descriptors that the others name by their numbers.
    handed_over: Vec<OwnedFd>,
    /// Whether it goes on from a frozen state.
    incoming: bool,
}

/// Memory that this process holds too, and that is gone with the last who does.
fn memory(mib: u64) -> std::io::Result<File> {
    let memory = File::from(memfd_create("hearth-vm", MemfdFlags::CLOEXEC)?);
    memory.set_len(mib.saturating_mul(1024 * 1024))?;
    Ok(memory)
}

/// Refuses what this driver can't give and what must not be ignored.
fn check(spec: &MachineSpec) -> Result<(), Failure> {
    if spec.network == Network::Host {
        let reason = "a virtual machine has a network of its own; use --network user, or none";
        return Err(Failure::new("giving it the host's network", reason));
    }
    spec.check_policy().doing("limiting its network")?;
    if let Some(folder) = spec.expose.first() {
        let reason =
            format!("{}: a virtual machine has a disk of its own; put it into the image", folder.display());
        return Err(Failure::new("exposing host folders", reason));
    }
    check_sizes(spec, LEAST_MEMORY_MIB, MOST_VCPUS)
}

#[async_trait]
impl Driver for QemuDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { isolation: Isolation::VirtualMachine, snapshots: true }
    }

    async fn probe(&self) -> Probe {
        probe::probe(self).await
    }

    fn check(&self, spec: &MachineSpec) -> Result<(), MachineError> {
        check(spec).map_err(|failure| failure.of(spec.id.clone(), NAME))
    }

    async fn start(&self, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.bring_up(&spec).await.map_err(|failure| failure.of(spec.id, NAME))
    }

    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        let data = self.data.clone();
        let reaped = tokio::task::spawn_blocking(move || folder::reap(&data)).await;
        let nobody = || model::MachineId("of an earlier life".to_owned());
        let reaped = reaped.doing("removing").and_then(|reaped| reaped.doing("removing"));
        reaped.map_err(|failure| failure.of(nobody(), NAME))
    }

    async fn snapshot(&self, machine: Machine, id: &SnapshotId) -> Result<Snapshot, MachineError> {
        let name = machine.id.clone();
        snapshots::take(self, machine, id).await.map_err(|failure| failure.of(name, NAME))
    }

    async fn restore(&self, snapshot: &Snapshot, spec: MachineSpec) -> Result<Machine, MachineError> {
        snapshots::restore(self, snapshot, &spec).await.map_err(|failure| failure.of(spec.id, NAME))
    }

    async fn recipe(&self, spec: &MachineSpec) -> Result<String, MachineError> {
        snapshots::recipe(self, spec).await.map_err(|failure| failure.of(spec.id.clone(), NAME))
    }
}
