//! QEMU's command line.

use std::path::{Path, PathBuf};

/// How the guest's instructions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accel {
    /// By the processor.
    Kvm,
    /// By emulation; the guest can't measure its clock there, and is told.
    Tcg {
        /// What the processor's time stamp counter counts in a millisecond.
        tsc_khz: u64,
    },
}

/// What the guest's memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ram {
    /// This file, which we keep: it can be snapshotted.
    Shared(PathBuf),
    /// A copy of this file, made page by page as the guest writes.
    Private(PathBuf),
}

/// The wire to a machine's network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    /// Hardware address at the guest's end.
    pub(super) mac: [u8; 6],
    /// Socket of which each datagram is a frame.
    pub(super) frames: i32,
}

/// One machine.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub(super) accel: Accel,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u64,
    pub(super) ram: Ram,
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) root: PathBuf,
    /// The disk for writes; `None`: they go to the guest's memory.
    pub(super) scratch: Option<PathBuf>,
    /// What the image and the agent want on the kernel's command line.
    pub(super) command_line: String,
    /// Its network; `None`: there is no interface.
    pub(super) wire: Option<Wire>,
    /// Connected socket of the control channel.
    pub(super) qmp: i32,
    /// Listening socket of the agent's port.
    pub(super) agent: i32,
    /// Where the console goes.
    pub(super) console: String,
    /// Whether it waits for a frozen state.
    pub(super) incoming: bool,
}

/// What QEMU calls our end of the agent's port.
pub(super) const AGENT: &str = "agent";
/// The name of the agent's port in the guest.
pub(super) const PORT: &str = "agent";

impl Configuration {
    /// All arguments.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.board(&mut all);
        self.devices(&mut all);
        // Neither privileges nor programs: what breaks out of the guest finds little.
        add(&mut all, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
        if self.incoming {
            add(&mut all, "-incoming", "defer");
        }
        all
    }

    fn board(&self, all: &mut Vec<String>) {
        all.extend(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"].map(str::to_owned));
        add(all, "-M", "microvm,acpi=on,pit=off,pic=off,rtc=off,memory-backend=ram");
        let (accel, processor) = match self.accel {
            Accel::Kvm => ("kvm", "host"),
            Accel::Tcg { .. } => ("tcg,thread=multi", "qemu64"),
        };
        add(all, "-accel", accel);
        add(all, "-cpu", processor);
        add(all, "-smp", self.vcpus.to_string());
        add(all, "-m", self.memory_mib.to_string());
        let (path, share) = match &self.ram {
            Ram::Shared(path) => (path, "on"),
            Ram::Private(path) => (path, "off"),
        };
        let size = self.memory_mib;
        let object =
            format!("memory-backend-file,id=ram,size={size}M,mem-path={},share={share}", plain(path));
        add(all, "-object", object);
        self.kernel(all);
    }

    fn kernel(&self, all: &mut Vec<String>) {
        add(all, "-kernel", self.kernel.display().to_string());
        add(all, "-initrd", self.initrd.display().to_string());
        // `reboot=t` and `panic` make every end of the kernel an end of QEMU.
        let mut line = "console=ttyS0 quiet reboot=t panic=-1".to_owned();
        if let Accel::Tcg { tsc_khz } = self.accel {
            // Its counter is the host's, and may be relied on; without it the guest counts ticks of 4 ms.
            // Emulation is no wall for what these guard against, and they make it slower still.
            line += &format!(" nokaslr mitigations=off no_timer_check tsc=reliable tsc_early_khz={tsc_khz}");
            // Code at another address is translated anew: two thousand pieces for each start of `true`.
            line += " norandmaps";
        }
        add(all, "-append", format!("{line} {}", self.command_line));
    }

    fn devices(&self, all: &mut Vec<String>) {
        // Disks are named in this order: vda is the root, vdb is for writes.
        let root = plain(&self.root);
        add(
            all,
            "-drive",
            format!("if=none,id=root,file={root},format=raw,readonly=on,file.locking=off,rerror=stop"),
        );
        add(all, "-device", "virtio-blk-device,drive=root");
        if let Some(scratch) = &self.scratch {
            // What the host can't write or read ends the machine: see `trouble`.
            let errors = "werror=stop,rerror=stop,cache=unsafe,discard=unmap,detect-zeroes=unmap";
            add(all, "-drive", format!("if=none,id=scratch,file={},format=raw,{errors}", plain(scratch)));
            add(all, "-device", "virtio-blk-device,drive=scratch");
        }
        add(all, "-device", "virtio-serial-device");
        add(all, "-chardev", format!("socket,id={AGENT},fd={},server=on,wait=off", self.agent));
        add(all, "-device", format!("virtserialport,chardev={AGENT},name={PORT}"));
        add(all, "-object", "rng-random,id=entropy,filename=/dev/urandom");
        add(all, "-device", "virtio-rng-device,rng=entropy");
        if let Some(Wire { mac, frames }) = self.wire {
            let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
            add(all, "-netdev", format!("dgram,id=net,local.type=fd,local.str={frames}"));
            add(all, "-device", format!("virtio-net-device,netdev=net,mac={mac}"));
        }
        add(all, "-chardev", format!("file,id=console,path={}", self.console));
        add(all, "-serial", "chardev:console");
        add(all, "-chardev", format!("socket,id=qmp,fd={}", self.qmp));
        add(all, "-mon", "chardev=qmp,mode=control");
    }
}

fn add(all: &mut Vec<String>, name: &str, value: impl Into<String>) {
    all.push(name.to_owned());
    all.push(value.into());
}

/// A path as the value of an option, in which a comma would begin the next.
fn plain(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        Configuration {
            accel: Accel::Tcg { tsc_khz: 2_500_000 },
            vcpus: 2,
            memory_mib: 512,
            ram: Ram::Shared("/proc/self/fd/9".into()),
            kernel: "/i/kernel".into(),
            initrd: "/i/initrd".into(),
            root: "/a,b/root.sqfs".into(),
            scratch: Some("scratch".into()),
            command_line: "root=/dev/vda".to_owned(),
            wire: None,
            qmp: 7,
            agent: 8,
            console: "/proc/self/fd/6".to_owned(),
            incoming: false,
        }
    }

    fn line(configuration: &Configuration) -> String {
        configuration.arguments().join(" ")
    }

    #[test]
    fn the_disks_come_in_the_order_that_names_them() {
        let line = line(&configuration());
        let at = |needle: &str| line.find(needle).unwrap_or_else(|| panic!("no {needle} in {line}"));
        assert!(at("file=/a,,b/root.sqfs") < at("drive=root") && at("drive=root") < at("drive=scratch"));
        assert!(!line.contains("-netdev") && !line.contains("-incoming"));
    }

    #[test]
    fn an_emulated_guest_is_told_its_clock_and_another_is_not() {
        let emulated = line(&configuration());
        assert!(
            emulated.contains("tsc_early_khz=2500000") && emulated.contains(" norandmaps "),
            "{emulated}"
        );
        let line = line(&Configuration { accel: Accel::Kvm, ..configuration() });
        assert!(line.contains("-accel kvm -cpu host") && !line.contains("tsc_early_khz"), "{line}");
        assert!(!line.contains("norandmaps"), "{line}");
    }

    #[test]
    fn a_clone_copies_the_memory_that_it_writes() {
        let ram = Ram::Private("/s/ram".into());
        let line = line(&Configuration { ram, incoming: true, ..configuration() });
        assert!(line.contains("size=512M,mem-path=/s/ram,share=off"), "{line}");
        assert!(line.contains("memory-backend=ram") && line.ends_with("-incoming defer"), "{line}");
    }
}
