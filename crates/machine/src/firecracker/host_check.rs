//! Firecracker's own list for hosts in production, held against this host
//! (docs/prod-host-setup.md and docs/kernel-policy.md of Firecracker).
//!
//! [`HostFacts`] are read from a root folder, so that tests have hosts of their own; what follows
//! from them is pure.

use std::fs;
use std::path::Path;

use crate::{Finding, FindingLevel};

/// The oldest kernel of a host that Firecracker is tested on.
const OLDEST_KERNEL: (u32, u32) = (5, 10);
/// From here on starting a VM waits for control groups, unless told otherwise.
const SLOW_CGROUPS_KERNEL: (u32, u32) = (6, 0);

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostFacts {
    /// `/proc/sys/kernel/osrelease`.
    pub(super) kernel: Option<String>,
    /// Flags of the first processor.
    pub(super) cpu_flags: Vec<String>,
    /// Whether `/dev/kvm` can be opened for reading and writing, or why not.
    pub(super) kvm: Option<Result<(), String>>,
    /// `/sys/devices/system/cpu/smt/active`.
    pub(super) smt_active: Option<String>,
    /// `/sys/kernel/mm/ksm/run`.
    pub(super) ksm_run: Option<String>,
    /// Swap devices and files of `/proc/swaps`.
    pub(super) swaps: Vec<String>,
    /// Files of `/sys/devices/system/cpu/vulnerabilities`, with what they say.
    pub(super) vulnerabilities: Vec<(String, String)>,
    /// Whether the unified hierarchy of control groups is mounted.
    pub(super) unified_cgroups: bool,
    /// Whether it is mounted with `favordynmods`.
    pub(super) favordynmods: bool,
    /// `/sys/module/kvm/parameters/nx_huge_pages`.
    pub(super) nx_huge_pages: Option<String>,
    /// `/sys/devices/system/clocksource/clocksource0/current_clocksource`.
    pub(super) clock_source: Option<String>,
    /// `/proc/cmdline`.
    pub(super) command_line: Option<String>,
}

impl HostFacts {
    /// Reads them from a host's files.
    pub(super) fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).ok().map(|text| text.trim().to_owned());
        let mounts = text("proc/mounts").unwrap_or_default();
        let unified = mounts.lines().find(|line| {
            let mut fields = line.split_whitespace();
            fields.nth(1) == Some("/sys/fs/cgroup") && fields.next() == Some("cgroup2")
        });
        Self {
            kernel: text("proc/sys/kernel/osrelease"),
            cpu_flags: text("proc/cpuinfo").map(|info| cpu_flags(&info)).unwrap_or_default(),
            kvm: open_kvm(&root.join("dev/kvm")),
            smt_active: text("sys/devices/system/cpu/smt/active"),
            ksm_run: text("sys/kernel/mm/ksm/run"),
            swaps: text("proc/swaps").map(|swaps| devices(&swaps)).unwrap_or_default(),
            vulnerabilities: vulnerabilities(&root.join("sys/devices/system/cpu/vulnerabilities")),
            unified_cgroups: unified.is_some(),
            favordynmods: unified.is_some_and(|line| line.contains("favordynmods")),
            nx_huge_pages: text("sys/module/kvm/parameters/nx_huge_pages"),
            clock_source: text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            command_line: text("proc/cmdline"),
        }
    }

    /// What Firecracker's list has to say of them, each with what to do.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.kvm_access(), self.processor(), self.kernel_version()];
        findings.extend([self.smt(), self.samepage_merging(), self.swap()]);
        findings.push(self.mitigations());
        findings.extend(self.half_mitigated());
        findings.push(self.control_groups());
        findings.extend(self.slow_start());
        findings.extend([self.clock(), self.console()]);
        findings
    }

    fn kvm_access(&self) -> Finding {
        match &self.kvm {
            Some(Ok(())) => good("/dev/kvm", "can be opened; the canary shows whether machines run on it"),
            Some(Err(reason)) => bad(
                "/dev/kvm",
                reason,
                "run Hearth as root, or add its user to the group that owns /dev/kvm (usually `kvm`)",
            ),
            None => bad(
                "/dev/kvm",
                "is not there",
                "load kvm_intel or kvm_amd (`modprobe kvm_amd`), and switch virtualization on in the firmware; \
                 on a virtual machine of a cloud, take one with nested virtualization, or a metal one",
            ),
        }
    }

    /// KVM without hardware virtualization exists, takes every call, and runs no guest.
    fn processor(&self) -> Finding {
        let virtualizes = self.cpu_flags.iter().find(|flag| ["vmx", "svm"].contains(&flag.as_str()));
        match virtualizes {
            Some(flag) => good("processor", &format!("virtualizes ({flag})")),
            None => bad(
                "processor",
                "shows neither vmx nor svm: a guest would start and never run",
                "use a host with hardware virtualization, or the qemu driver, which emulates",
            ),
        }
    }

    fn kernel_version(&self) -> Finding {
        let Some(kernel) = &self.kernel else {
            return degraded("host kernel", "is not known", "mount /proc");
        };
        if version(kernel).is_some_and(|version| version >= OLDEST_KERNEL) {
            return good("host kernel", kernel);
        }
        let (major, minor) = OLDEST_KERNEL;
        degraded(
            "host kernel",
            &format!("{kernel} is older than what Firecracker is tested on"),
            &format!("run Linux {major}.{minor} or newer, with current security updates"),
        )
    }

    fn smt(&self) -> Finding {
        let remedy = "boot with `nosmt`, or `echo off > /sys/devices/system/cpu/smt/control`; \
                      with one trusted tenant, SMT may stay on";
        match self.smt_active.as_deref() {
            Some("1") => degraded(
                "SMT",
                "is on: VMs on two threads of one core can read each other by side channels",
                remedy,
            ),
            _ => good("SMT", "is off"),
        }
    }

    fn samepage_merging(&self) -> Finding {
        match self.ksm_run.as_deref() {
            Some("1") => degraded(
                "kernel samepage merging",
                "is on: a guest can find out what is in others' memory",
                "echo 2 > /sys/kernel/mm/ksm/run",
            ),
            _ => good("kernel samepage merging", "is off"),
        }
    }

    fn swap(&self) -> Finding {
        if self.swaps.is_empty() {
            return good("swap", "is off");
        }
        degraded(
            "swap",
            &format!(
                "is on ({}): guests' memory, with their secrets, can get to a disk",
                self.swaps.join(", ")
            ),
            "swapoff --all, and take swap out of /etc/fstab; or encrypt it",
        )
    }

    fn mitigations(&self) -> Finding {
        let open: Vec<&str> = self
            .vulnerabilities
            .iter()
            // Parts of a line may be open although it begins with what is mitigated (`…; SMT vulnerable`).
            .filter(|(_, state)| state.to_ascii_lowercase().contains("vulnerable"))
            .map(|(name, _)| name.as_str())
            .collect();
        if self.vulnerabilities.is_empty() {
            return degraded("processor vulnerabilities", "are not known", "mount /sys");
        }
        if open.is_empty() {
            return good("processor vulnerabilities", "are mitigated");
        }
        degraded(
            "processor vulnerabilities",
            &format!("are open: {}", open.join(", ")),
            "install the current kernel and microcode, and do not boot with mitigations=off; \
             /sys/devices/system/cpu/vulnerabilities says more",
        )
    }

    /// What kernels mitigate by default less than the list asks for.
    fn half_mitigated(&self) -> Vec<Finding> {
        let state = |name: &str| {
            let found = self.vulnerabilities.iter().find(|(known, _)| known == name);
            found.map_or("", |(_, state)| state.as_str())
        };
        let mut findings = Vec::new();
        if state("l1tf").contains("conditional cache flushes") {
            findings.push(degraded(
                "L1 terminal fault",
                "the cache is not flushed before every entry into a guest, which can read what it left there",
                "boot with `l1tf=full,force`, which switches SMT off too",
            ));
        }
        let bypass = state("spec_store_bypass");
        // Since Linux 5.16 a filter of system calls does not switch it on by itself.
        if bypass.contains("via prctl") && !bypass.contains("seccomp") {
            findings.push(degraded(
                "speculative store bypass",
                "is disabled only in processes that ask for it, and Firecracker does not",
                "boot with `spec_store_bypass_disable=seccomp`",
            ));
        }
        findings
    }

    fn control_groups(&self) -> Finding {
        if self.unified_cgroups {
            return good("control groups", "are unified (v2)");
        }
        degraded(
            "control groups",
            "are of version 1: restoring snapshots is slow",
            "boot with `systemd.unified_cgroup_hierarchy=1`",
        )
    }

    /// Kernels from 6.0 on wait for control groups in KVM_CREATE_VM.
    fn slow_start(&self) -> Option<Finding> {
        let slow =
            self.kernel.as_deref().and_then(version).is_some_and(|version| version >= SLOW_CGROUPS_KERNEL);
        let never = self.nx_huge_pages.as_deref() == Some("never");
        if !slow || self.favordynmods || never {
            return None;
        }
        let multihit = self.vulnerabilities.iter().find(|(name, _)| name == "itlb_multihit");
        let remedy = if multihit.is_some_and(|(_, state)| state == "Not affected") {
            "load kvm with nx_huge_pages=never (`echo options kvm nx_huge_pages=never > /etc/modprobe.d/kvm.conf`)"
        } else {
            "mount -o remount,favordynmods /sys/fs/cgroup"
        };
        Some(degraded("start of a VM", "waits for control groups on kernels from 6.0 on", remedy))
    }

    fn clock(&self) -> Finding {
        match self.clock_source.as_deref() {
            Some("tsc") => good("clock source", "tsc"),
            other => degraded(
                "clock source",
                &format!(
                    "is {}, not the processor's own: guests' clocks are slow to read",
                    other.unwrap_or("unknown")
                ),
                "find out from `dmesg | grep -i tsc` why the kernel distrusts the TSC",
            ),
        }
    }

    fn console(&self) -> Finding {
        let line = self.command_line.as_deref().unwrap_or_default();
        let serial = line.split_whitespace().any(|word| word.starts_with("console=ttyS"));
        let quiet = line.split_whitespace().any(|word| word == "quiet" || word.starts_with("loglevel="));
        if serial && !quiet {
            return degraded(
                "host console",
                "is a serial line that shows every kernel message: each VM's start waits for it",
                "boot with `quiet loglevel=1`",
            );
        }
        good("host console", "does not slow VMs down")
    }
}

fn open_kvm(path: &Path) -> Option<Result<(), String>> {
    if !path.exists() {
        return None;
    }
    let opened = fs::File::options().read(true).write(true).open(path);
    Some(opened.map(drop).map_err(|error| format!("can't be opened: {error}")))
}

fn cpu_flags(info: &str) -> Vec<String> {
    let line = info.lines().find(|line| line.starts_with("flags"));
    let flags = line.and_then(|line| line.split_once(':')).map_or("", |(_, flags)| flags);
    flags.split_whitespace().map(str::to_owned).collect()
}

/// The first column of `/proc/swaps`, below its heading.
fn devices(swaps: &str) -> Vec<String> {
    swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn vulnerabilities(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let state = fs::read_to_string(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), state.trim().to_owned()))
        })
        .collect();
    found.sort();
    found
}

/// `6.1` of `6.1.0-56-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

pub(super) fn good(subject: &str, detail: &str) -> Finding {
    finding(FindingLevel::Good, subject, detail, None)
}

pub(super) fn degraded(subject: &str, detail: &str, remedy: &str) -> Finding {
    finding(FindingLevel::Degraded, subject, detail, Some(remedy))
}

pub(super) fn bad(subject: &str, detail: &str, remedy: &str) -> Finding {
    finding(FindingLevel::Bad, subject, detail, Some(remedy))
}

fn finding(level: FindingLevel, subject: &str, detail: &str, remedy: Option<&str>) -> Finding {
    Finding {
        level,
        subject: subject.to_owned(),
        detail: detail.to_owned(),
        remedy: remedy.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host as Firecracker wants it.
    const FINE: [(&str, &str); 14] = [
        ("proc/sys/kernel/osrelease", "6.1.0-56-amd64\n"),
        ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu svm lm\n"),
        ("proc/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,favordynmods 0 0\n"),
        ("proc/swaps", "Filename\t\t\t\tType\t\tSize\n"),
        ("proc/cmdline", "root=/dev/sda1 console=ttyS0 quiet loglevel=1\n"),
        ("dev/kvm", ""),
        ("sys/devices/system/cpu/smt/active", "0\n"),
        ("sys/kernel/mm/ksm/run", "0\n"),
        ("sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n"),
        (
            "sys/devices/system/cpu/vulnerabilities/l1tf",
            "Mitigation: PTE Inversion; VMX: cache flushes, SMT disabled\n",
        ),
        (
            "sys/devices/system/cpu/vulnerabilities/spec_store_bypass",
            "Mitigation: Speculative Store Bypass disabled via prctl and seccomp\n",
        ),
        ("sys/devices/system/cpu/vulnerabilities/itlb_multihit", "Not affected\n"),
        ("sys/module/kvm/parameters/nx_huge_pages", "Y\n"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
    ];

    fn host(files: &[(&str, &str)]) -> Vec<Finding> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        HostFacts::read(root.path()).findings()
    }

    /// The fine host, but for one file.
    fn with(path: &'static str, text: &'static str) -> Vec<Finding> {
        let mut files = FINE.to_vec();
        files.retain(|(name, _)| *name != path);
        files.push((path, text));
        host(&files)
    }

    #[test]
    fn a_host_as_it_should_be_has_nothing_to_mend() {
        let findings = host(&FINE);
        let level = |finding: &Finding| finding.level == FindingLevel::Good && finding.remedy.is_none();
        assert!(findings.iter().all(level), "{findings:#?}");
        assert_eq!(findings.len(), 10);
    }

    #[test]
    fn each_point_of_the_list_that_is_not_met_comes_with_a_remedy() {
        for (path, text, subject, remedy) in [
            ("proc/cpuinfo", "flags : fpu lm\n", "processor", "qemu driver"),
            ("proc/sys/kernel/osrelease", "5.4.0-1\n", "host kernel", "5.10 or newer"),
            ("sys/devices/system/cpu/smt/active", "1\n", "SMT", "nosmt"),
            ("sys/kernel/mm/ksm/run", "1\n", "kernel samepage merging", "echo 2"),
            ("proc/swaps", "Filename Type\n/dev/sda2 partition 1\n", "swap", "swapoff"),
            (
                "sys/devices/system/cpu/vulnerabilities/mds",
                "Vulnerable: no microcode\n",
                "processor vuln",
                "microcode",
            ),
            (
                "sys/devices/system/cpu/vulnerabilities/spectre_v2",
                "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; BHI: Vulnerable\n",
                "processor vuln",
                "microcode",
            ),
            (
                "sys/devices/system/cpu/vulnerabilities/mds",
                "Mitigation: Clear CPU buffers; SMT vulnerable\n",
                "processor vuln",
                "microcode",
            ),
            (
                "sys/devices/system/cpu/vulnerabilities/l1tf",
                "Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT disabled\n",
                "L1 terminal fault",
                "l1tf=full,force",
            ),
            (
                "sys/devices/system/cpu/vulnerabilities/spec_store_bypass",
                "Mitigation: Speculative Store Bypass disabled via prctl\n",
                "speculative store bypass",
                "=seccomp",
            ),
            ("proc/mounts", "cgroup /sys/fs/cgroup/memory cgroup rw 0 0\n", "control groups", "unified"),
            (
                "proc/mounts",
                "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
                "start of a VM",
                "nx_huge_pages=never",
            ),
            (
                "sys/devices/system/clocksource/clocksource0/current_clocksource",
                "hpet\n",
                "clock source",
                "TSC",
            ),
            ("proc/cmdline", "console=ttyS0\n", "host console", "quiet"),
        ] {
            let findings = with(path, text);
            let found = findings.iter().find(|finding| finding.subject.starts_with(subject)).unwrap();
            assert_ne!(found.level, FindingLevel::Good, "{path}: {found:?}");
            assert!(found.remedy.as_ref().unwrap().contains(remedy), "{path}: {found:?}");
        }
    }

    #[test]
    fn without_kvm_there_is_no_driver() {
        let files: Vec<_> = FINE.into_iter().filter(|(path, _)| *path != "dev/kvm").collect();
        let findings = host(&files);
        assert_eq!(findings[0].level, FindingLevel::Bad);
        assert!(findings[0].remedy.as_ref().unwrap().contains("modprobe"));
    }
}
