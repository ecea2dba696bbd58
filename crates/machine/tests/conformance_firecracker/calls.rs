//! Every call that Hearth can make is one that Firecracker describes.

use machine::firecracker::api::*;
use serde_json::json;

use crate::strict::description::Description;

/// Each call, with everything set that can be set.
pub(crate) fn all() -> Vec<Call> {
    let limits = RateLimiter {
        bandwidth: Some(TokenBucket { one_time_burst: Some(1), ..TokenBucket::per_second(1 << 20) }),
        ops: Some(TokenBucket::per_second(100)),
    };
    let card = || "eth0".to_owned();
    vec![
        Call::Describe,
        Call::PutMachineConfig(MachineConfig {
            vcpu_count: 2,
            mem_size_mib: 512,
            smt: false,
            track_dirty_pages: false,
        }),
        Call::PutBootSource(BootSource {
            kernel_image_path: "kernel".to_owned(),
            initrd_path: Some("initrd".to_owned()),
            boot_args: Some("console=ttyS0".to_owned()),
        }),
        Call::PutDrive(Drive {
            drive_id: "root".to_owned(),
            path_on_host: "root.sqfs".to_owned(),
            is_root_device: false,
            is_read_only: true,
            cache_type: CacheType::Writeback,
            rate_limiter: Some(limits),
        }),
        Call::PutNetworkInterface(NetworkInterface {
            iface_id: card(),
            host_dev_name: "tap0".to_owned(),
            guest_mac: Some("06:00:00:00:00:01".to_owned()),
            rx_rate_limiter: Some(limits),
            tx_rate_limiter: Some(limits),
        }),
        Call::PutVsock(Vsock { guest_cid: 3, uds_path: "v.sock".to_owned() }),
        Call::PutEntropy(Entropy { rate_limiter: Some(limits) }),
        Call::PutBalloon(Balloon { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 0 }),
        Call::PutMetadataConfig(MetadataConfig {
            version: MetadataVersion::V2,
            network_interfaces: vec![card()],
        }),
        Call::PutMetadata(json!({"latest": {"meta-data": {}}})),
        Call::PutLogger(Logger { log_path: "log".to_owned(), level: LogLevel::Warning }),
        Call::Start,
        Call::PatchVm(RunState::Paused),
        Call::PatchVm(RunState::Resumed),
        Call::CreateSnapshot(create_snapshot()),
        Call::LoadSnapshot(load_snapshot(MemoryBackendType::File, true)),
        Call::LoadSnapshot(load_snapshot(MemoryBackendType::Uffd, false)),
        Call::PatchDrive(DriveChange {
            drive_id: "root".to_owned(),
            path_on_host: Some("root.sqfs".to_owned()),
            rate_limiter: Some(limits),
        }),
        Call::PatchNetworkInterface(NetworkInterfaceChange {
            iface_id: card(),
            rx_rate_limiter: Some(limits),
            tx_rate_limiter: Some(limits),
        }),
        Call::PatchBalloon(BalloonChange { amount_mib: 64 }),
    ]
}

pub(crate) fn create_snapshot() -> CreateSnapshot {
    CreateSnapshot {
        snapshot_type: SnapshotType::Full,
        snapshot_path: "state".to_owned(),
        mem_file_path: "memory".to_owned(),
    }
}

pub(crate) fn load_snapshot(backend_type: MemoryBackendType, resume_vm: bool) -> LoadSnapshot {
    LoadSnapshot {
        snapshot_path: "state".to_owned(),
        mem_backend: MemoryBackend { backend_type, backend_path: "memory".to_owned() },
        resume_vm,
        network_overrides: vec![NetworkOverride {
            iface_id: "eth0".to_owned(),
            host_dev_name: "tap1".to_owned(),
        }],
    }
}

#[test]
fn every_call_is_one_that_firecracker_describes() {
    let description = Description::read();
    for call in all() {
        let wire = call.wire().unwrap();
        let operation = description.operation(wire.method, &wire.path).unwrap();
        let problems = operation.problems(&description, wire.body.as_ref());
        assert!(problems.is_empty(), "{}: {problems:?}", call.name());
    }
}
