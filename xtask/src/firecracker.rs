//! `cargo xtask test-firecracker`: the Firecracker driver with a real Firecracker, in a host that
//! QEMU emulates together with its virtualization (SVM). Such a host is slow, and needs nothing of
//! the one that it runs on: no KVM, no root.
//!
//! The host is a disk with the test program, the programs that it needs, and a data folder with an
//! image; it boots Debian's cloud kernel, which brings `kvm_amd`.

mod archive;
mod host;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{cargo, check, output, program, root, shown};
use host::{Host, Tested};

/// Memory of the emulated host: its own, a disk cache, and three guests of 256 MiB.
const MEMORY_MIB: u32 = 2500;
/// A host that hangs is given up. The suite takes a quarter of an hour, on a busy machine several times that.
const DEADLINE_SECONDS: u32 = 3600;
/// Where things are kept between runs.
const FOLDER: &str = "target/firecracker-host";
/// The line by which the host tells how the suite ended.
const RESULT: &str = "HEARTH-SUITE-ENDED ";

/// What is tested.
pub(crate) struct What {
    /// The `firecracker` binary, with its `jailer` beside it.
    pub(crate) binary: PathBuf,
    /// A data folder with an image named `default`; one is built if there is none.
    pub(crate) data: Option<PathBuf>,
    /// Only tests whose names contain this.
    pub(crate) only: Option<String>,
}

/// Makes the host, boots it, and shows what it prints.
pub(crate) fn run(what: &What) -> Result<()> {
    let folder = root().join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let version = output(Command::new(&what.binary).arg("--version"))?;
    println!("{} on an emulated host", version.lines().next().unwrap_or_default());
    let data = data_folder(what, &folder)?;
    let tested = build()?;
    let host = Host::fetch(&folder)?;
    let disk = host.disk(&tested, &what.binary, &data, what.only.as_deref())?;
    let initrd = host.initrd()?;
    boot(&host, &disk, &initrd)
}

/// The given folder, or one of our own with a small image.
fn data_folder(what: &What, folder: &Path) -> Result<PathBuf> {
    if let Some(data) = &what.data {
        return data.canonicalize().with_context(|| data.display().to_string());
    }
    let data = folder.join("data");
    if !data.join("images/names/default").exists() {
        println!("building an image: some minutes, once");
        let mut build = cargo(["run", "-p", "hearth", "--", "image", "build", "--bare", "--data"]);
        check(build.arg(&data))?;
    }
    Ok(data)
}

/// Builds what is tested and its tests, and finds the programs.
fn build() -> Result<Tested> {
    let mut build = cargo(["test", "--no-run", "-p", "hearth-machine", "-p", "hearth"]);
    build.args([
        "--test",
        "firecracker_real",
        "--test",
        "vm_debug",
        "--message-format=json-render-diagnostics",
    ]);
    let messages = output(build.stderr(Stdio::inherit()))?;
    let built = |name: &str| {
        let program = messages.lines().rev().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            (message["target"]["name"] == name).then_some(())?;
            message["executable"].as_str().map(PathBuf::from)
        });
        program.with_context(|| format!("cargo names no program {name}"))
    };
    Ok(Tested { driver: built("firecracker_real")?, debug: built("vm_debug")?, hearth: built("hearth")? })
}

fn boot(host: &Host, disk: &Path, initrd: &Path) -> Result<()> {
    let drive = format!("if=none,id=root,file={},format=raw", disk.display());
    let mut qemu = program(
        "timeout",
        [&DEADLINE_SECONDS.to_string(), "qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi"],
    );
    qemu.args(["-cpu", "EPYC,+svm", "-smp", "2", "-m", &MEMORY_MIB.to_string()]);
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    qemu.args(["-append", "console=ttyS0 quiet mitigations=off nokaslr"]).arg("-kernel").arg(&host.kernel);
    qemu.arg("-initrd").arg(initrd).args(["-drive", &drive, "-device", "virtio-blk-pci,drive=root"]);
    // QEMU warns of every feature of the processor that it does not emulate.
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = qemu.spawn().with_context(|| format!("can't run {}", shown(&qemu)))?;
    let printed = child.stdout.take().context("no pipe from QEMU")?;
    let mut result = None;
    for line in std::io::BufRead::lines(std::io::BufReader::new(printed)) {
        let line = line?;
        match line.trim().strip_prefix(RESULT) {
            Some(code) => result = Some(code.to_owned()),
            None => println!("{}", line.trim_end()),
        }
    }
    let status = child.wait()?;
    println!("the host ran {:.0} s", began.elapsed().as_secs_f64());
    match result.as_deref() {
        Some("0") => Ok(()),
        Some(code) => bail!("the suite ended with {code}"),
        None => {
            ensure!(status.code() != Some(124), "the host hung: ended after {DEADLINE_SECONDS} s");
            bail!("the host ended ({status}) before the suite")
        }
    }
}
