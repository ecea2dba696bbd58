//! The `firecracker` driver: a machine with a kernel of its own, in a Firecracker process of its own.
//!
//! As root, each Firecracker is put in a jail by its `jailer`: a root folder, a user, control
//! groups of its own. Its system calls are filtered by itself; Hearth never switches that off.
//!
//! ```text
//! image ──▶ configured ──start──▶ booting ──agent answers──▶ renewed ──▶ ready ──destroy──▶ gone
//!               │                    │                        ▲            │
//!               └──refusal, its end, deadline──▶ gone         └──restore── frozen ◀──snapshot
//! ```
//!
//! [`life`] is the state machine of the process behind it, [`client`] speaks its API, [`plan`]
//! says what a VM is made of, [`jail`] where it is kept, [`vmm`] runs it.

pub mod api;
pub mod client;
pub mod life;
pub mod version;
pub mod vsock;

mod files;
mod frozen;
mod host_check;
mod installation;
mod jail;
pub(crate) mod kernel;
mod machine;
mod network;
mod plan;
mod probe;
mod socket;
mod vmm;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::image::{DEFAULT_NAME, Image};
use crate::network::{NetworkPolicy, user};
use crate::vm::folder::{self, Folder};
use crate::vm::guest_side::{self, Scratch};
use crate::vm::renewal::renewal;
use crate::vm::spawn::Spawner;
use crate::vm::{self, Doing, Failure, check_sizes, host_life, scratch_disk};
use crate::{
    Capabilities, Driver, Isolation, Layout, Machine, MachineError, MachineSpec, Network, Probe, Snapshot,
    SnapshotId,
};
use api::{Call, RateLimiter};
use installation::Installation;
use jail::{CgroupVersion, Jail, PARENT_GROUP};
use machine::FirecrackerMachine;
use network::Wiring;
use plan::{AGENT_PORT, INITRD, KERNEL, Plan, ROOT, SCRATCH, SCRATCH_DEVICE};
use vmm::{Bars, Vmm};

const NAME: &str = "firecracker";

/// Where Firecracker is to be had; ends errors that ask for another version.
const FOUND_IN: &str = "releases are at https://github.com/firecracker-microvm/firecracker/releases";

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Sizes of a machine whose spec names none: what common jobs need, on any host.
const DEFAULT_MEMORY_MIB: u64 = 2048;
const DEFAULT_DISK_MIB: u64 = 10 * 1024;
const MOST_DEFAULT_VCPUS: u32 = 4;

/// Bounds of what may be asked for: below, no kernel boots; Firecracker takes no more processors.
const LEAST_MEMORY_MIB: u64 = 128;
const MOST_VCPUS: u32 = 32;

/// What can be said about machines beyond their specs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The binary; `None`: `firecracker` in `PATH`.
    pub firecracker: Option<PathBuf>,
    /// The jailer; `None`: the one beside the binary, or in `PATH`.
    pub jailer: Option<PathBuf>,
    /// Bounds of each of a machine's disks.
    pub disk_limit: Option<RateLimiter>,
    /// Bounds of a machine's network, in each direction.
    pub network_limit: Option<RateLimiter>,
    /// What Firecracker's metadata service (version 2) tells guests; `None`: there is no such service.
    pub metadata: Option<Value>,
    /// More for the guests' kernels, after everything else. For hosts that are emulated themselves.
    pub kernel_arguments: String,
}

/// Starts machines in Firecracker processes, from images of `<data>/images`, with folders in `<data>/vms`.
#[derive(Debug)]
pub struct FirecrackerDriver {
    data: PathBuf,
    options: Options,
    installation: OnceCell<Installation>,
    spawner: std::sync::OnceLock<Spawner>,
    name_servers: Option<Vec<SocketAddr>>,
}

/// What of a machine outlives its spec: it goes into snapshots.
#[derive(Clone, Debug)]
struct Facts {
    image: String,
    vcpus: u32,
    memory_mib: u64,
    disk_mib: u64,
    layout: Layout,
    network: Network,
    policy: NetworkPolicy,
}

impl FirecrackerDriver {
    /// A driver on this data folder.
    pub fn new(data: impl Into<PathBuf>, options: Options) -> Self {
        Self {
            data: data.into(),
            options,
            installation: OnceCell::new(),
            spawner: std::sync::OnceLock::new(),
            name_servers: None,
        }
    }

    /// The same, with other servers for names than this host's.
    #[must_use]
    pub fn with_name_servers(self, servers: Vec<SocketAddr>) -> Self {
        Self { name_servers: Some(servers), ..self }
    }

    /// How it runs machines.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether it can be expected to run such a machine: what is installed, the host with this root folder, and
    /// the image are right. Nothing is started; [`Driver::probe`] does that. Says which Firecracker it is.
    ///
    /// # Errors
    /// The first obstacle.
    pub async fn expect_to_run(&self, spec: &MachineSpec, host: &Path) -> Result<String, String> {
        probe::expect_to_run(self, spec, host).await
    }

    /// What is installed; found out once it is there.
    async fn find_installation(&self) -> Result<&Installation, String> {
        let Options { firecracker, jailer, .. } = &self.options;
        let find = || Installation::find(firecracker.as_deref(), jailer.as_deref());
        self.installation.get_or_try_init(find).await
    }

    async fn installation(&self) -> Result<&Installation, Failure> {
        self.find_installation().await.doing("looking for Firecracker")
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

    /// Starts a machine from its image.
    async fn boot(&self, spec: &MachineSpec) -> Result<Machine, Failure> {
        let begin = Instant::now();
        check(spec)?;
        let image = self.image(spec.image.as_deref()).await?;
        let facts = facts(spec, &image);
        let place = self.place(spec, &facts).await?;
        let mut notes = place.notes.clone();
        let kernel = kernel::kept(&self.data, &image).await?;
        for (from, name) in [(kernel, KERNEL), (image.initrd(), INITRD), (image.root(), ROOT)] {
            place.bring(&from, name)?;
        }
        let scratch = place.root.join(SCRATCH);
        let scratch = scratch_disk::make(&scratch, facts.disk_mib).await.doing("making its disk")?;
        match scratch {
            Some(()) => place.give(SCRATCH)?,
            None => notes.push(
                "it writes to its memory: this host can't make file systems (install e2fsprogs)".to_owned(),
            ),
        }
        let wiring = self.wiring(&facts, &place).await?;
        let plan = self.plan(&facts, &image, scratch.is_some(), wiring.as_ref())?;
        let files = begin.elapsed();
        let (network, namespace) = network::parted(wiring);
        let mut vmm = place.start(self.spawner()?, spec, namespace).await?;
        vmm.network = network;
        let started = begin.elapsed();
        let mut boot = vec![("files", files), ("vmm", started - files)];
        for call in plan.calls().iter().chain([&Call::Start]) {
            vmm.call("configuring the VM", call).await?;
        }
        let before = begin.elapsed();
        let guest = vmm.meet_agent().await?;
        let init = guest.info().await.map(|info| info.init).unwrap_or_default();
        let booted = begin.elapsed() - before;
        boot.extend([
            ("configuration", before - started),
            ("kernel", booted.saturating_sub(init)),
            ("init", init),
        ]);
        self.hand_over(spec, facts, vmm, guest, notes, boot, begin).await
    }

    /// Starts a machine from a snapshot.
    async fn thaw(&self, snapshot: &Snapshot, spec: &MachineSpec) -> Result<Machine, Failure> {
        let begin = Instant::now();
        check(spec)?;
        frozen::verify(snapshot, &self.version().await?).await?;
        let image = self.image(Some(&snapshot.image)).await?;
        let facts = Facts {
            image: snapshot.image.clone(),
            vcpus: snapshot.vcpus,
            memory_mib: snapshot.memory_mib,
            disk_mib: snapshot.disk_mib,
            layout: snapshot.layout.clone(),
            network: snapshot.network,
            policy: snapshot.policy.clone(),
        };
        let place = self.place(spec, &facts).await?;
        let notes = place.notes.clone();
        place.bring(&image.root(), ROOT)?;
        frozen::unpack(snapshot, &place).await?;
        let files = begin.elapsed();
        let (network, namespace) = network::parted(self.wiring(&facts, &place).await?);
        let mut vmm = place.start(self.spawner()?, spec, namespace).await?;
        vmm.network = network;
        let started = begin.elapsed();
        let mut boot = vec![("files", files), ("vmm", started - files)];
        vmm.call("loading its snapshot", &Call::LoadSnapshot(plan::load_snapshot())).await?;
        if let Some(metadata) = self.options.metadata.as_ref().filter(|_| facts.network == Network::User) {
            // A snapshot holds the service, and not what it tells.
            vmm.call("telling its metadata", &Call::PutMetadata(metadata.clone())).await?;
        }
        boot.push(("load", begin.elapsed() - started));
        let guest = vmm.meet_agent().await?;
        self.hand_over(spec, facts, vmm, guest, notes, boot, begin).await
    }

    #[expect(clippy::too_many_arguments, reason = "both ways to a machine end here with all that they know")]
    async fn hand_over(
        &self,
        spec: &MachineSpec,
        facts: Facts,
        mut vmm: Vmm,
        guest: guest::client::Guest,
        notes: Vec<String>,
        mut boot: Vec<(&'static str, Duration)>,
        begin: Instant,
    ) -> Result<Machine, Failure> {
        let interface = (facts.network == Network::User).then(user::interface);
        let renewal = renewal(&spec.id.0, interface).doing("finding random numbers")?;
        if let Err(error) = guest.renew(&renewal).await {
            return Err(vmm.explain(Failure::new("making it unique", error)).await);
        }
        let known: Duration = boot.iter().map(|(_, took)| *took).sum();
        let whole = begin.elapsed();
        boot.extend([("agent", whole.saturating_sub(known)), ("whole", whole)]);
        Ok(Machine {
            id: spec.id.clone(),
            guest,
            layout: facts.layout.clone(),
            driver: NAME,
            isolation: Isolation::VirtualMachine,
            notes,
            boot,
            contacts: vmm.network.as_ref().map(|network| network.contacts().clone()).unwrap_or_default(),
            guard: Box::new(FirecrackerMachine::new(spec.id.clone(), facts, vmm)),
        })
    }

    /// The machine's folder, with bars around it where that is possible.
    async fn place(&self, spec: &MachineSpec, facts: &Facts) -> Result<files::Place, Failure> {
        let installation = self.installation().await?.clone();
        let folder = Folder::make(&self.data, &spec.id.0).doing("making its folder")?;
        folder.note_image(&facts.image).doing("noting its image")?;
        let jailer = match (&installation.jailer, rustix::process::geteuid().is_root()) {
            (Ok(jailer), true) => Ok(jailer.clone()),
            (Ok(_), false) => Err("Hearth does not run as root".to_owned()),
            (Err(reason), _) => Err(reason.clone()),
        };
        match jailer {
            Err(reason) => {
                let note = format!("Firecracker is not jailed: {reason}");
                Ok(files::Place::open(folder, installation.firecracker, vec![note]))
            }
            Ok(jailer) => {
                let bars = self.bars(&folder, spec, facts, installation.firecracker.clone(), jailer)?;
                files::Place::barred(folder, installation.firecracker, bars)
            }
        }
    }

    fn bars(
        &self,
        folder: &Folder,
        spec: &MachineSpec,
        facts: &Facts,
        firecracker: PathBuf,
        jailer: PathBuf,
    ) -> Result<Bars, Failure> {
        let seed =
            spec.id.0.bytes().fold(0_u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let leased = crate::sandbox::lease_ids(seed);
        let (uid, lease) = leased.map_err(|reason| Failure::new("taking a user for its jail", reason))?;
        let id = vmm::vm_id(&spec.id);
        let cgroups = CgroupVersion::of(Path::new(CGROUPS));
        let groups = cgroups.folders(Path::new(CGROUPS), &id);
        let jail = Jail {
            firecracker,
            id,
            uid,
            base: folder.path().join("jail"),
            cgroups,
            vcpus: facts.vcpus,
            memory_mib: facts.memory_mib,
            disk_mib: facts.disk_mib,
        };
        Ok(Bars { jail, jailer, lease, groups })
    }

    fn plan(
        &self,
        facts: &Facts,
        image: &Image,
        scratch: bool,
        wiring: Option<&Wiring>,
    ) -> Result<Plan, Failure> {
        let writes = if scratch {
            Scratch::Disk(SCRATCH_DEVICE)
        } else {
            Scratch::Memory { mib: facts.disk_mib.min(facts.memory_mib) }
        };
        let told = guest_side::agent_arguments(&facts.layout, &writes, &format!("vsock:{AGENT_PORT}"));
        let told = told.doing("reading the layout")?;
        Ok(Plan {
            vcpus: facts.vcpus,
            memory_mib: facts.memory_mib,
            kernel_arguments: format!("{} {told} {}", image.manifest.cmdline, self.options.kernel_arguments),
            scratch,
            tap: wiring.map(|wiring| wiring.tap.clone()),
            disk_limit: self.options.disk_limit,
            network_limit: self.options.network_limit,
            metadata: self.options.metadata.clone(),
        })
    }

    /// What a snapshot must have been made by to be restored here.
    async fn version(&self) -> Result<String, Failure> {
        let installation = self.installation().await?;
        Ok(format!("Firecracker {}, format {}", installation.version, frozen::FORMAT))
    }
}

/// What is wanted, with everything named.
fn facts(spec: &MachineSpec, image: &Image) -> Facts {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let usual = u32::try_from(processors).unwrap_or(1).min(MOST_DEFAULT_VCPUS);
    Facts {
        image: image.id.to_string(),
        vcpus: spec.vcpus.unwrap_or(usual),
        memory_mib: spec.memory_mib.unwrap_or(DEFAULT_MEMORY_MIB),
        disk_mib: spec.disk_mib.unwrap_or(DEFAULT_DISK_MIB),
        layout: spec.layout.clone().unwrap_or_else(guest_side::usual_layout),
        network: spec.network,
        policy: spec.policy.clone(),
    }
}

/// Refuses what this driver can't give and what must not be ignored.
fn check(spec: &MachineSpec) -> Result<(), Failure> {
    if !spec.expose.is_empty() {
        let reason = "a machine with a kernel of its own sees no folders of the host: put what the job needs into its image";
        return Err(Failure::new("exposing folders", reason));
    }
    if spec.network == Network::Host {
        let reason = "a virtual machine has a network of its own; use --network user, or none";
        return Err(Failure::new("giving it the host's network", reason));
    }
    spec.check_policy().doing("limiting its network")?;
    check_sizes(spec, LEAST_MEMORY_MIB, MOST_VCPUS)
}

#[async_trait]
impl Driver for FirecrackerDriver {
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
        self.boot(&spec).await.map_err(|failure| failure.of(spec.id, NAME))
    }

    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        let data = self.data.clone();
        let reaped = tokio::task::spawn_blocking(move || {
            let removed = folder::reap(&data)?;
            remove_empty_groups(Path::new(CGROUPS));
            Ok::<_, std::io::Error>(removed)
        });
        let reaped = reaped.await.doing("removing").and_then(|reaped| reaped.doing("looking for remains"));
        reaped.map_err(|failure| failure.of(model::MachineId("of an earlier life".to_owned()), NAME))
    }

    async fn snapshot(&self, machine: Machine, id: &SnapshotId) -> Result<Snapshot, MachineError> {
        let name = machine.id.clone();
        let frozen = async {
            let version = self.version().await?;
            frozen::freeze(&self.data, machine, id, version).await
        };
        frozen.await.map_err(|failure| failure.of(name, NAME))
    }

    async fn restore(&self, snapshot: &Snapshot, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.thaw(snapshot, &spec).await.map_err(|failure| failure.of(spec.id, NAME))
    }

    async fn recipe(&self, spec: &MachineSpec) -> Result<String, MachineError> {
        let recipe = async {
            check(spec)?;
            let image = self.image(spec.image.as_deref()).await?;
            let version = self.version().await?;
            // The processor may be another once the host has been started anew.
            let life = host_life().doing("looking at what it is made of")?;
            let facts = facts(spec, &image);
            let Facts { image, vcpus, memory_mib, disk_mib, layout, network, policy: _ } = facts;
            let sizes = (vcpus, memory_mib, disk_mib);
            let Options { disk_limit, network_limit, metadata, kernel_arguments, .. } = &self.options;
            // Devices are as they were when a snapshot was taken.
            let devices = (disk_limit, network_limit, metadata.is_some(), kernel_arguments);
            let recipe = serde_json::json!([NAME, version, life, image, sizes, layout, network, devices]);
            Ok::<_, Failure>(recipe.to_string())
        };
        recipe.await.map_err(|failure| failure.of(spec.id.clone(), NAME))
    }
}

/// Removes the groups that jailers made for machines that are gone; the kernel keeps those that are in use.
fn remove_empty_groups(mount: &Path) {
    let parents = CgroupVersion::of(mount).folders(mount, "");
    for parent in parents.iter().filter(|parent| parent.ends_with(PARENT_GROUP)) {
        let groups = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let groups: Vec<PathBuf> = groups.map(|group| group.path()).filter(|path| path.is_dir()).collect();
        vmm::remove_groups(&groups);
    }
}
