//! The jail that Firecracker's `jailer` builds: a root folder of its own, a user of its own,
//! and control groups, all before Firecracker itself begins.
//!
//! What is here is pure: the command line, and where things are (docs/jailer.md of Firecracker).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Memory of Firecracker itself, beyond the guest's. It promises 5 MiB; what it reads of the
/// guest's disks stays in the group's page cache, and is given back under pressure.
const OWN_MEMORY_MIB: u64 = 64;
/// Processes and threads: three of Firecracker's own, one for each CPU of up to 32, the kernel's helpers.
const THREADS: u32 = 64;
/// What files may exceed the larger of memory and disk by: the state of a snapshot, the log.
const FILE_SLACK_MIB: u64 = 64;
/// Open files: each device has a few, and there are few devices.
const OPEN_FILES: u32 = 1024;
/// The period in which a share of processor time is counted, in microseconds (the kernel's default).
const CPU_PERIOD_US: u64 = 100_000;
/// The group above those of the VMs.
pub(super) const PARENT_GROUP: &str = "hearth-firecracker";

/// Which control groups the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CgroupVersion {
    /// One hierarchy for each controller.
    V1,
    /// The unified hierarchy.
    V2,
}

impl CgroupVersion {
    /// What is mounted at `mount` (`/sys/fs/cgroup`).
    pub(super) fn of(mount: &Path) -> Self {
        if mount.join("cgroup.controllers").exists() { CgroupVersion::V2 } else { CgroupVersion::V1 }
    }

    /// The groups that a jail makes, seen from the mount.
    pub(super) fn folders(self, mount: &Path, id: &str) -> Vec<PathBuf> {
        let group = Path::new(PARENT_GROUP).join(id);
        match self {
            CgroupVersion::V2 => vec![mount.join(group)],
            CgroupVersion::V1 => ["memory", "cpu", "pids"]
                .iter()
                .map(|controller| mount.join(controller).join(&group))
                .collect(),
        }
    }
}

/// One jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Jail {
    /// The `firecracker` binary.
    pub(super) firecracker: PathBuf,
    /// The VM's id, as Firecracker takes it.
    pub(super) id: String,
    /// User and group of this VM alone.
    pub(super) uid: u32,
    /// Below it the jail's root is made.
    pub(super) base: PathBuf,
    /// The host's control groups.
    pub(super) cgroups: CgroupVersion,
    /// The guest's CPUs.
    pub(super) vcpus: u32,
    /// The guest's memory.
    pub(super) memory_mib: u64,
    /// The guest's disk.
    pub(super) disk_mib: u64,
}

impl Jail {
    /// The folder that Firecracker takes for `/`.
    pub(super) fn root(&self) -> PathBuf {
        let name = self.firecracker.file_name().unwrap_or_default();
        self.base.join(name).join(&self.id).join("root")
    }

    /// The jailer's command line; `firecracker` are Firecracker's own arguments.
    pub(super) fn arguments(&self, firecracker: &[OsString]) -> Vec<OsString> {
        let id = self.uid.to_string();
        let mut arguments: Vec<OsString> = Vec::new();
        let mut option = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        option("--id", self.id.clone().into());
        option("--exec-file", self.firecracker.clone().into());
        option("--uid", id.clone().into());
        option("--gid", id.into());
        option("--chroot-base-dir", self.base.clone().into());
        option("--cgroup-version", if self.cgroups == CgroupVersion::V2 { "2" } else { "1" }.into());
        option("--parent-cgroup", PARENT_GROUP.into());
        for bound in self.group_bounds() {
            option("--cgroup", bound.into());
        }
        for bound in self.resource_bounds() {
            option("--resource-limit", bound.into());
        }
        arguments.push("--".into());
        arguments.extend_from_slice(firecracker);
        arguments
    }

    fn group_bounds(&self) -> Vec<String> {
        let memory = (self.memory_mib + OWN_MEMORY_MIB) << 20;
        // One more CPU than the guest's, for the devices.
        let quota = (u64::from(self.vcpus) + 1) * CPU_PERIOD_US;
        match self.cgroups {
            CgroupVersion::V2 => vec![
                format!("memory.max={memory}"),
                // Guests' memory must not get to a disk.
                "memory.swap.max=0".to_owned(),
                format!("cpu.max={quota} {CPU_PERIOD_US}"),
                format!("pids.max={THREADS}"),
            ],
            CgroupVersion::V1 => vec![
                format!("memory.limit_in_bytes={memory}"),
                format!("cpu.cfs_quota_us={quota}"),
                format!("pids.max={THREADS}"),
            ],
        }
    }

    fn resource_bounds(&self) -> [String; 2] {
        let file = (self.memory_mib.max(self.disk_mib) + FILE_SLACK_MIB) << 20;
        [format!("fsize={file}"), format!("no-file={OPEN_FILES}")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jail(cgroups: CgroupVersion) -> Jail {
        Jail {
            firecracker: "/opt/fc/firecracker-v1.16.1".into(),
            id: "job-1".to_owned(),
            uid: 1_879_048_192,
            base: "/data/vms/job-1/jail".into(),
            cgroups,
            vcpus: 2,
            memory_mib: 512,
            disk_mib: 4096,
        }
    }

    fn shown(jail: &Jail) -> String {
        let arguments = jail.arguments(&["--api-sock".into(), "api.sock".into()]);
        arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_vm_has_a_user_and_bounds_of_its_own() {
        assert_eq!(
            shown(&jail(CgroupVersion::V2)),
            "--id job-1 --exec-file /opt/fc/firecracker-v1.16.1 --uid 1879048192 --gid 1879048192 \
             --chroot-base-dir /data/vms/job-1/jail --cgroup-version 2 --parent-cgroup hearth-firecracker \
             --cgroup memory.max=603979776 --cgroup memory.swap.max=0 --cgroup cpu.max=300000 100000 \
             --cgroup pids.max=64 --resource-limit fsize=4362076160 --resource-limit no-file=1024 \
             -- --api-sock api.sock"
        );
        assert!(!shown(&jail(CgroupVersion::V2)).contains("seccomp"));
    }

    #[test]
    fn older_control_groups_are_bounded_by_their_own_files() {
        let shown = shown(&jail(CgroupVersion::V1));
        assert!(shown.contains("--cgroup-version 1 "), "{shown}");
        assert!(shown.contains("--cgroup memory.limit_in_bytes=603979776 --cgroup cpu.cfs_quota_us=300000 "));
        let folders = CgroupVersion::V1.folders(Path::new("/cg"), "job-1");
        assert_eq!(folders[0], Path::new("/cg/memory/hearth-firecracker/job-1"));
        assert_eq!(folders.len(), 3);
    }

    #[test]
    fn the_root_is_where_the_jailer_makes_it() {
        let jail = jail(CgroupVersion::V2);
        assert_eq!(jail.root(), Path::new("/data/vms/job-1/jail/firecracker-v1.16.1/job-1/root"));
    }
}
