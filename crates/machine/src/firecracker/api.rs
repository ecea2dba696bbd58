//! What can be asked of Firecracker: one value for each call that Hearth makes, with the path,
//! the method, and the body that it has.
//!
//! Only what Hearth uses is here. The bodies follow Firecracker's own description of its API
//! (`src/firecracker/swagger/firecracker.yaml` in its repository); tests hold them to it.

use serde::Serialize;
use serde_json::Value;

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// What the VM is, and how it stands.
    Describe,
    /// CPUs and memory.
    PutMachineConfig(MachineConfig),
    /// Kernel, initrd, and command line.
    PutBootSource(BootSource),
    /// A disk.
    PutDrive(Drive),
    /// A network card.
    PutNetworkInterface(NetworkInterface),
    /// The channel to the agent.
    PutVsock(Vsock),
    /// A source of entropy.
    PutEntropy(Entropy),
    /// A balloon, by which memory is taken back from the guest.
    PutBalloon(Balloon),
    /// Which cards reach the metadata service. Never called unless metadata was asked for.
    PutMetadataConfig(MetadataConfig),
    /// What the metadata service tells.
    PutMetadata(Value),
    /// Where Firecracker's own words go.
    PutLogger(Logger),
    /// Starts the guest.
    Start,
    /// Pauses or resumes the guest.
    PatchVm(RunState),
    /// Writes the paused guest to files.
    CreateSnapshot(CreateSnapshot),
    /// Reads a guest from files, in a fresh process.
    LoadSnapshot(LoadSnapshot),
    /// Changes a disk's limits, or tells that its file has another size.
    PatchDrive(DriveChange),
    /// Changes a network card's limits.
    PatchNetworkInterface(NetworkInterfaceChange),
    /// Takes memory from the guest, or gives it back.
    PatchBalloon(BalloonChange),
}

/// A call as it goes over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Wire {
    /// `GET`, `PUT`, or `PATCH`.
    pub method: &'static str,
    /// The path, identifiers included.
    pub path: String,
    /// The body, if there is one.
    pub body: Option<Value>,
}

impl Call {
    /// Method, path, and body.
    pub fn wire(&self) -> Result<Wire, serde_json::Error> {
        let (method, path, body) = match self {
            Call::Describe => ("GET", "/".to_owned(), None),
            Call::PutMachineConfig(body) => ("PUT", "/machine-config".to_owned(), Some(json(body)?)),
            Call::PutBootSource(body) => ("PUT", "/boot-source".to_owned(), Some(json(body)?)),
            Call::PutDrive(body) => ("PUT", format!("/drives/{}", body.drive_id), Some(json(body)?)),
            Call::PutNetworkInterface(body) => {
                ("PUT", format!("/network-interfaces/{}", body.iface_id), Some(json(body)?))
            }
            Call::PutVsock(body) => ("PUT", "/vsock".to_owned(), Some(json(body)?)),
            Call::PutEntropy(body) => ("PUT", "/entropy".to_owned(), Some(json(body)?)),
            Call::PutBalloon(body) => ("PUT", "/balloon".to_owned(), Some(json(body)?)),
            Call::PutMetadataConfig(body) => ("PUT", "/mmds/config".to_owned(), Some(json(body)?)),
            Call::PutMetadata(body) => ("PUT", "/mmds".to_owned(), Some(body.clone())),
            Call::PutLogger(body) => ("PUT", "/logger".to_owned(), Some(json(body)?)),
            Call::Start => ("PUT", "/actions".to_owned(), Some(json(&Action::InstanceStart)?)),
            Call::PatchVm(state) => ("PATCH", "/vm".to_owned(), Some(json(&VmState { state: *state })?)),
            Call::CreateSnapshot(body) => ("PUT", "/snapshot/create".to_owned(), Some(json(body)?)),
            Call::LoadSnapshot(body) => ("PUT", "/snapshot/load".to_owned(), Some(json(body)?)),
            Call::PatchDrive(body) => ("PATCH", format!("/drives/{}", body.drive_id), Some(json(body)?)),
            Call::PatchNetworkInterface(body) => {
                ("PATCH", format!("/network-interfaces/{}", body.iface_id), Some(json(body)?))
            }
            Call::PatchBalloon(body) => ("PATCH", "/balloon".to_owned(), Some(json(body)?)),
        };
        Ok(Wire { method, path, body })
    }

    /// The call as errors name it: `PUT /drives/root`.
    #[must_use]
    pub fn name(&self) -> String {
        match self.wire() {
            Ok(wire) => format!("{} {}", wire.method, wire.path),
            Err(error) => format!("a call that can't be written as JSON ({error})"),
        }
    }
}

fn json(body: &impl Serialize) -> Result<Value, serde_json::Error> {
    serde_json::to_value(body)
}

/// CPUs and memory of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MachineConfig {
    /// 1 to 32.
    pub vcpu_count: u32,
    /// Memory in MiB.
    pub mem_size_mib: u64,
    /// Whether the guest sees its CPUs as threads of a core.
    pub smt: bool,
    /// Whether the guest's writes are tracked, for snapshots of the difference.
    pub track_dirty_pages: bool,
}

/// What the guest boots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootSource {
    /// An uncompressed ELF kernel.
    pub kernel_image_path: String,
    /// The initial RAM file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd_path: Option<String>,
    /// The kernel's command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_args: Option<String>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drive {
    /// Its name; letters, digits, and `_`.
    pub drive_id: String,
    /// The file behind it.
    pub path_on_host: String,
    /// Whether Firecracker itself makes it the kernel's root. Hearth's initrd mounts the root instead.
    pub is_root_device: bool,
    /// Whether the guest can only read.
    pub is_read_only: bool,
    /// Whether what the guest flushes is flushed to the host's disk.
    pub cache_type: CacheType,
    /// How much the guest may read and write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<RateLimiter>,
}

/// What a guest's flush does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum CacheType {
    /// Nothing: the disk dies with the machine.
    Unsafe,
    /// Flushes to the host's disk.
    Writeback,
}

/// A change of a disk of a running VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriveChange {
    /// Which disk.
    pub drive_id: String,
    /// The file behind it, read anew: its size may have changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_on_host: Option<String>,
    /// Its new limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<RateLimiter>,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkInterface {
    /// Its name; letters, digits, and `_`.
    pub iface_id: String,
    /// The tap device on the host, in Firecracker's network namespace.
    pub host_dev_name: String,
    /// The guest's hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_mac: Option<String>,
    /// What the guest may receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_rate_limiter: Option<RateLimiter>,
    /// What the guest may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_rate_limiter: Option<RateLimiter>,
}

/// A change of a network card of a running VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkInterfaceChange {
    /// Which card.
    pub iface_id: String,
    /// What the guest may receive from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_rate_limiter: Option<RateLimiter>,
    /// What the guest may send from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_rate_limiter: Option<RateLimiter>,
}

/// Bounds of bytes and of operations. None of both: unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RateLimiter {
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<TokenBucket>,
    /// Operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops: Option<TokenBucket>,
}

impl RateLimiter {
    /// At most so many bytes a second, and as many at once.
    #[must_use]
    pub fn bytes_per_second(bytes: u64) -> Self {
        Self { bandwidth: Some(TokenBucket::per_second(bytes)), ops: None }
    }
}

/// `size` tokens, refilled evenly over `refill_time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TokenBucket {
    /// How many tokens it holds.
    pub size: u64,
    /// Tokens beyond `size` that are given once, at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_time_burst: Option<u64>,
    /// Milliseconds from empty to full.
    pub refill_time: u64,
}

impl TokenBucket {
    /// So many tokens a second.
    #[must_use]
    pub fn per_second(tokens: u64) -> Self {
        Self { size: tokens, one_time_burst: None, refill_time: 1000 }
    }
}

/// The channel to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vsock {
    /// The guest's address; from 3 on.
    pub guest_cid: u32,
    /// The Unix socket on the host.
    pub uds_path: String,
}

/// A source of entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entropy {
    /// How much of it the guest may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<RateLimiter>,
}

/// A balloon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Balloon {
    /// How much memory it takes from the guest.
    pub amount_mib: u64,
    /// Whether it gives memory back to a guest that has none left.
    pub deflate_on_oom: bool,
    /// Seconds between statistics; 0: none.
    pub stats_polling_interval_s: u32,
}

/// Another size of the balloon of a running VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BalloonChange {
    /// How much memory it takes from the guest.
    pub amount_mib: u64,
}

/// Which cards reach the metadata service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MetadataConfig {
    /// The service's protocol.
    pub version: MetadataVersion,
    /// The cards.
    pub network_interfaces: Vec<String>,
}

/// The metadata service's protocol. Version 1 answers requests without a token: it can't be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MetadataVersion {
    /// With session tokens.
    V2,
}

/// Where Firecracker's own words go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Logger {
    /// A file or a named pipe.
    pub log_path: String,
    /// What is worth a word.
    pub level: LogLevel,
}

/// What is worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may fail.
    Warning,
    /// What happens.
    Info,
}

/// Whether the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RunState {
    /// Its CPUs stand still.
    Paused,
    /// They run.
    Resumed,
}

/// Where a snapshot is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CreateSnapshot {
    /// All of the memory, or what has changed.
    pub snapshot_type: SnapshotType,
    /// The file for the state of CPUs and devices.
    pub snapshot_path: String,
    /// The file for the memory.
    pub mem_file_path: String,
}

/// How much a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SnapshotType {
    /// All of the memory.
    Full,
}

/// From where a snapshot is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadSnapshot {
    /// The file with the state of CPUs and devices.
    pub snapshot_path: String,
    /// Where the memory comes from.
    pub mem_backend: MemoryBackend,
    /// Whether the guest runs at once.
    pub resume_vm: bool,
    /// Tap devices that differ from those of the machine that was snapshotted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_overrides: Vec<NetworkOverride>,
}

/// Where the memory of a restored guest comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryBackend {
    /// A file, or a process.
    pub backend_type: MemoryBackendType,
    /// The file, or the process's socket.
    pub backend_path: String,
}

/// Who serves the page faults of a restored guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MemoryBackendType {
    /// The kernel, from a private mapping of the file.
    File,
    /// A process that listens on a socket.
    Uffd,
}

/// Another tap device for a card of a restored guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkOverride {
    /// Which card.
    pub iface_id: String,
    /// Its tap device.
    pub host_dev_name: String,
}

#[derive(Serialize)]
#[serde(tag = "action_type")]
enum Action {
    InstanceStart,
}

#[derive(Serialize)]
struct VmState {
    state: RunState,
}
