//! What a VM is made of, as calls. Pure.
//!
//! All paths are relative to Firecracker's working folder, which is the machine's own: so they
//! are the same in a jail and out of it, and a snapshot finds its files wherever it is restored.

use serde_json::Value;

use super::api::{
    Balloon, BootSource, CacheType, Call, CreateSnapshot, Drive, Entropy, LoadSnapshot, MachineConfig,
    MemoryBackend, MemoryBackendType, MetadataConfig, MetadataVersion, NetworkInterface, RateLimiter,
    SnapshotType, Vsock,
};

/// Where Firecracker listens.
pub(super) const API: &str = "api.sock";
/// Where the guest's vsock ports are.
pub(super) const VSOCK: &str = "v.sock";
/// The kernel.
pub(super) const KERNEL: &str = "kernel";
/// The initial RAM disk.
pub(super) const INITRD: &str = "initrd";
/// The read-only root.
pub(super) const ROOT: &str = "root";
/// The disk for what the job writes.
pub(super) const SCRATCH: &str = "scratch";
/// The state of processors and devices of a snapshot.
pub(super) const STATE: &str = "state";
/// The memory of a snapshot.
pub(super) const MEMORY: &str = "memory";
/// Where Firecracker writes the two. In a machine that came from a snapshot the names above are taken, by files that
/// others share.
pub(super) const NEW_STATE: &str = "state.new";
pub(super) const NEW_MEMORY: &str = "memory.new";

/// The scratch disk as the guest sees it: disks have letters in the order in which they are added.
pub(super) const SCRATCH_DEVICE: &str = "/dev/vdb";
/// The port on which the agent listens, in the guest.
pub(super) const AGENT_PORT: u32 = 1024;
/// Any address from 3 on will do: nothing is shared between VMs.
const GUEST_CID: u32 = 3;
/// The one network card.
const CARD: &str = "eth0";

/// What the kernel is told because of where it runs: a serial console, an end when it panics or
/// reboots, and not to look for what Firecracker does not have.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 8250.nr_uarts=1 quiet reboot=k panic=-1 pci=off \
                                i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd";

/// A network device of the host for a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// Its name, in Firecracker's network namespace.
    pub(super) name: String,
    /// The guest's hardware address (`06:00:...`).
    pub(super) mac: String,
}

/// A VM.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Processors.
    pub(super) vcpus: u32,
    /// Memory.
    pub(super) memory_mib: u64,
    /// What the image and the agent want on the kernel's command line.
    pub(super) kernel_arguments: String,
    /// Whether there is a disk for what the job writes.
    pub(super) scratch: bool,
    /// The network.
    pub(super) tap: Option<Tap>,
    /// Bounds of each disk.
    pub(super) disk_limit: Option<RateLimiter>,
    /// Bounds of the network, in each direction.
    pub(super) network_limit: Option<RateLimiter>,
    /// What the metadata service tells; `None`: there is none.
    pub(super) metadata: Option<Value>,
}

impl Plan {
    /// All that is configured before the start, in order.
    pub(super) fn calls(&self) -> Vec<Call> {
        let mut calls = vec![
            Call::PutMachineConfig(MachineConfig {
                vcpu_count: self.vcpus,
                mem_size_mib: self.memory_mib,
                smt: false,
                track_dirty_pages: false,
            }),
            Call::PutBootSource(BootSource {
                kernel_image_path: KERNEL.to_owned(),
                initrd_path: Some(INITRD.to_owned()),
                boot_args: Some(format!("{KERNEL_ARGUMENTS} {}", self.kernel_arguments)),
            }),
            Call::PutDrive(self.drive(ROOT, true)),
        ];
        if self.scratch {
            calls.push(Call::PutDrive(self.drive(SCRATCH, false)));
        }
        calls.extend([
            Call::PutVsock(Vsock { guest_cid: GUEST_CID, uds_path: VSOCK.to_owned() }),
            Call::PutEntropy(Entropy::default()),
            // Takes nothing; it is there so that memory can be taken later.
            Call::PutBalloon(Balloon { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 0 }),
        ]);
        if let Some(tap) = &self.tap {
            calls.push(Call::PutNetworkInterface(NetworkInterface {
                iface_id: CARD.to_owned(),
                host_dev_name: tap.name.clone(),
                guest_mac: Some(tap.mac.clone()),
                rx_rate_limiter: self.network_limit,
                tx_rate_limiter: self.network_limit,
            }));
        }
        if let (Some(metadata), Some(_)) = (&self.metadata, &self.tap) {
            calls.push(Call::PutMetadataConfig(MetadataConfig {
                version: MetadataVersion::V2,
                network_interfaces: vec![CARD.to_owned()],
            }));
            calls.push(Call::PutMetadata(metadata.clone()));
        }
        calls
    }

    fn drive(&self, name: &str, is_read_only: bool) -> Drive {
        Drive {
            drive_id: name.to_owned(),
            path_on_host: name.to_owned(),
            is_root_device: false,
            is_read_only,
            // The machine's disk dies with it: what the guest flushes need not reach the host's.
            cache_type: CacheType::Unsafe,
            rate_limiter: self.disk_limit,
        }
    }
}

/// Writes a snapshot into the machine's folder.
pub(super) fn create_snapshot() -> CreateSnapshot {
    CreateSnapshot {
        snapshot_type: SnapshotType::Full,
        snapshot_path: NEW_STATE.to_owned(),
        mem_file_path: NEW_MEMORY.to_owned(),
    }
}

/// Loads the snapshot in the machine's folder, and lets it run.
///
/// The memory is a private mapping of the file: pages come in when they are touched, and clones
/// share what none of them wrote. A process that serves page faults (`Uffd`) would pay where the
/// memory is not a local file; here it would only add a switch of processes to each fault.
///
/// Each machine's network is a namespace of its own, in which the device has the name that it had.
pub(super) fn load_snapshot() -> LoadSnapshot {
    LoadSnapshot {
        snapshot_path: STATE.to_owned(),
        mem_backend: MemoryBackend { backend_type: MemoryBackendType::File, backend_path: MEMORY.to_owned() },
        resume_vm: true,
        network_overrides: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            vcpus: 2,
            memory_mib: 512,
            kernel_arguments: "root=/dev/vda hearth.agent=vsock:1024".to_owned(),
            scratch: true,
            tap: None,
            disk_limit: None,
            network_limit: None,
            metadata: Some(Value::Null),
        }
    }

    fn names(plan: &Plan) -> Vec<String> {
        plan.calls().iter().map(Call::name).collect()
    }

    #[test]
    fn a_vm_without_network_has_no_card_and_no_metadata() {
        assert_eq!(
            names(&plan()),
            [
                "PUT /machine-config",
                "PUT /boot-source",
                "PUT /drives/root",
                "PUT /drives/scratch",
                "PUT /vsock",
                "PUT /entropy",
                "PUT /balloon"
            ]
        );
    }

    #[test]
    fn metadata_is_served_only_when_asked_for_and_never_in_version_1() {
        let tap = Some(Tap { name: "tap0".to_owned(), mac: "06:00:00:00:00:01".to_owned() });
        let limit = Some(RateLimiter::bytes_per_second(1 << 20));
        let networked = Plan { tap, network_limit: limit, ..plan() };
        assert!(names(&networked).ends_with(&["PUT /mmds/config".to_owned(), "PUT /mmds".to_owned()]));
        let config = networked.calls().into_iter().find_map(|call| match call {
            Call::PutMetadataConfig(config) => Some(config),
            _ => None,
        });
        assert_eq!(config.unwrap().version, MetadataVersion::V2);
        let without = Plan { metadata: None, ..networked };
        assert!(!names(&without).iter().any(|name| name.contains("mmds")));
        assert!(
            without
                .calls()
                .iter()
                .any(|call| matches!(call, Call::PutNetworkInterface(card) if card.rx_rate_limiter == limit))
        );
    }

    #[test]
    fn nothing_that_the_guest_writes_reaches_the_root() {
        for call in plan().calls() {
            if let Call::PutDrive(drive) = call {
                assert_eq!(drive.is_read_only, drive.drive_id == ROOT);
                assert_eq!(drive.path_on_host, drive.drive_id);
            }
        }
    }
}
