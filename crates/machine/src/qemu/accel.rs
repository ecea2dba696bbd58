//! Whether the processor helps.
//!
//! That `/dev/kvm` is there proves nothing: some hosts have one that starts machines which never
//! run. Only a canary that has answered does; what it has shown is kept for as long as the host is up.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::QemuDriver;
use super::arguments::Accel;
use crate::image::ImageStore;
use crate::own_name::own_name;
use crate::vm::trial_image::trial_image;
use crate::vm::{Failure, host_life};
use crate::{MachineSpec, Network};

const DEVICE: &str = "/dev/kvm";

/// How long a canary has with the processor's help: it takes a second then.
const CANARY_DEADLINE: Duration = Duration::from_secs(30);

/// How long the time stamp counter is watched: long enough that what the clock is off does not show.
const WATCH: Duration = Duration::from_millis(50);

/// How machines run here.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) accel: Accel,
    /// What users should know of it.
    pub(super) note: Option<String>,
}

/// What canaries have found on this host with a program, since the host was started.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Found {
    boot_id: String,
    program: PathBuf,
    /// A machine has answered.
    helps: bool,
    /// Why none did, by the id of its image: another image's machine may.
    refusals: BTreeMap<String, String>,
}

impl Found {
    /// Whether the processor helps machines of this image, as far as it is known.
    fn of(&self, image: &str) -> Option<Result<(), String>> {
        let refused = || self.refusals.get(image).map(|reason| Err(reason.clone()));
        if self.helps { Some(Ok(())) } else { refused() }
    }
}

/// The file of what was found. It is locked while a canary is asked: who comes second reads what the first was told.
struct Memo {
    file: File,
    found: Found,
}

impl Memo {
    async fn open(driver: &QemuDriver) -> io::Result<Memo> {
        let (path, program) = (driver.data.join("qemu-canary.json"), driver.program());
        let opened = tokio::task::spawn_blocking(move || {
            let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
            file.lock()?;
            let boot_id = host_life()?;
            let found = serde_json::from_reader(&file).ok();
            let found = found.filter(|found: &Found| found.boot_id == boot_id && found.program == program);
            Ok(Memo { file, found: found.unwrap_or_else(|| Found { boot_id, program, ..Found::default() }) })
        });
        opened.await.map_err(io::Error::other)?
    }

    fn keep(mut self, image: String, found: &Result<(), String>) -> io::Result<()> {
        match found {
            Ok(()) => self.found.helps = true,
            Err(reason) => drop(self.found.refusals.insert(image, reason.clone())),
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&serde_json::to_vec(&self.found)?)
    }
}

/// Finds out how machines of this image run here. `Err`: at another time, or with another image, it may be otherwise.
pub(super) async fn choose(driver: &QemuDriver, image: Option<&str>) -> Result<Choice, Choice> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if let Some(reason) = plain_refusal(&cpu, File::options().read(true).write(true).open(DEVICE)) {
        return Ok(emulated(driver, &reason).await);
    }
    match canary(driver, image).await {
        Ok(()) => Ok(Choice { accel: Accel::Kvm, note: None }),
        Err(reason) => Err(emulated(driver, &reason).await),
    }
}

async fn emulated(driver: &QemuDriver, reason: &str) -> Choice {
    let accel = Accel::Tcg { tsc_khz: *driver.tsc_khz.get_or_init(tsc_khz).await };
    Choice { accel, note: Some(format!("its processor is emulated, which is slow: {reason}")) }
}

/// Why no canary has to be asked.
fn plain_refusal(cpuinfo: &str, device: io::Result<File>) -> Option<String> {
    if let Err(error) = device {
        return Some(format!("{DEVICE}: {error}"));
    }
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let helps = flags.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    (!helps).then(|| "the processor offers no virtualisation (no vmx or svm in /proc/cpuinfo)".to_owned())
}

/// Whether a machine answers with the processor's help; why not otherwise. Only what a machine that ran has shown is
/// remembered: a full disk, too little memory, or a device that others use may be mended soon.
async fn canary(driver: &QemuDriver, image: Option<&str>) -> Result<(), String> {
    let unknown = |failure: &dyn fmt::Display| {
        format!("whether {DEVICE} starts machines can't be found out now: {failure}")
    };
    let name = image.map_or_else(|| trial_image(&driver.data), |name| Ok(name.to_owned()));
    let name = name.map_err(|error| unknown(&error))?;
    let known = ImageStore::open(&driver.data).and_then(|store| store.get(&name));
    let known = known.map_err(|error| unknown(&error))?;
    let memo = Memo::open(driver).await.map_err(|error| unknown(&error))?;
    if let Some(found) = memo.found.of(known.id.as_str()) {
        return found;
    }
    let (image, found) = ask(driver, name).await.map_err(|failure| unknown(&failure))?;
    // What can't be kept is found out again.
    let _ = memo.keep(image, &found);
    found
}

/// Starts a machine of this image with the processor's help. Its image's id, and whether it has answered; why not
/// otherwise.
async fn ask(driver: &QemuDriver, image: String) -> Result<(String, Result<(), String>), Failure> {
    let id = model::MachineId(own_name("kvm-canary"));
    let begin = Instant::now();
    let spec = MachineSpec {
        image: Some(image),
        memory_mib: Some(256),
        disk_mib: Some(64),
        ..MachineSpec::new(id, Network::None)
    };
    let (process, notes) = Box::pin(driver.boot(&spec, Accel::Kvm)).await?;
    let image = process.facts.image.clone();
    let deadline = CANARY_DEADLINE.min(driver.deadline);
    let found = match Box::pin(driver.meet(process, &spec, notes, begin, deadline)).await {
        Ok(machine) => {
            // It has answered, however it ends.
            let _ = machine.destroy().await;
            Ok(())
        }
        Err(failure) => Err(format!("a machine with {DEVICE} does not run: {failure}")),
    };
    Ok((image, found))
}

/// What the processor's time stamp counter counts in a millisecond.
async fn tsc_khz() -> u64 {
    let (begin, first) = (Instant::now(), counter());
    tokio::time::sleep(WATCH).await;
    let (counted, took) = (counter().saturating_sub(first), begin.elapsed());
    let khz = u128::from(counted) * 1_000_000 / took.as_nanos().max(1);
    u64::try_from(khz).unwrap_or(0).max(1)
}

#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    #[expect(unsafe_code, reason = "there is no safe way to read the counter")]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::vm::trial_image::tests::put;

    /// What a QEMU says on its control channel before anything else goes wrong.
    const GREETS: &str = r#"
        for word; do case $word in socket,id=qmp,fd=*) fd=${word##*=};; esac; done
        printf '{"QMP": {}}\n' >&$fd; read -r asked <&$fd; printf '{"return": {}}\n' >&$fd"#;

    /// A data folder with images, and a program in place of QEMU.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new(script: &str) -> Host {
            let host = Host(tempfile::tempdir().unwrap());
            let store = ImageStore::open(host.data()).unwrap();
            for name in ["default", "other"] {
                store.name(name, &put(host.data(), name, 1)).unwrap();
            }
            let noted = host.data().join("asked");
            let script = format!("#!/bin/bash\necho \"$*\" >> '{}'\n{script}\n", noted.display());
            let program = host.program();
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            host
        }

        fn data(&self) -> &Path {
            self.0.path()
        }

        fn program(&self) -> PathBuf {
            self.data().join("qemu")
        }

        /// As another profile of the server, or another process, has it.
        fn driver(&self) -> QemuDriver {
            QemuDriver::new(self.data()).with_program(self.program()).with_deadline(Duration::from_secs(1))
        }

        async fn canary(&self, image: Option<&str>) -> Result<(), String> {
            canary(&self.driver(), image).await
        }

        /// The arguments of each QEMU that was started.
        fn asked(&self) -> Vec<String> {
            let noted = fs::read_to_string(self.data().join("asked")).unwrap_or_default();
            noted.lines().map(str::to_owned).collect()
        }
    }

    #[tokio::test]
    async fn what_fails_before_a_machine_runs_is_told_and_not_remembered() {
        let host = Host::new("echo 'failed to initialize kvm: Device or resource busy' >&2; exit 1");
        // As on a full disk.
        let vms = host.data().join("vms");
        fs::write(&vms, "in the way").unwrap();
        let told = host.canary(None).await.unwrap_err();
        assert!(told.contains("can't be found out now: making its folder"), "{told}");
        fs::remove_file(vms).unwrap();
        for count in 1..=2 {
            let told = host.canary(None).await.unwrap_err();
            assert!(told.contains("now: starting QEMU") && told.contains("resource busy"), "{told}");
            assert_eq!(host.asked().len(), count, "it is asked again");
        }
    }

    #[tokio::test]
    async fn a_machine_that_has_not_answered_is_remembered_for_its_image() {
        for (end, words) in [("exit 1", "QEMU has ended"), ("read -r never <&$fd", "no answer after 1s")] {
            let host = Host::new(&format!("{GREETS}\n{end}"));
            for _ in 0..2 {
                let told = host.canary(None).await.unwrap_err();
                assert!(told.contains("/dev/kvm does not run") && told.contains(words), "{told}");
                assert_eq!(host.asked().len(), 1);
            }
            // The image may be the one that is broken.
            host.canary(Some("other")).await.unwrap_err();
            assert_eq!(host.asked().len(), 2);
            host.canary(Some("default")).await.unwrap_err();
            assert_eq!(host.asked().len(), 2);
        }
    }

    #[tokio::test]
    async fn a_machine_that_has_answered_is_enough_for_all_images_until_the_host_or_its_qemu_is_another() {
        let host = Host::new("exit 1");
        Memo::open(&host.driver()).await.unwrap().keep("an image".to_owned(), &Ok(())).unwrap();
        assert_eq!(host.canary(None).await, Ok(()));
        assert_eq!(host.canary(Some("other")).await, Ok(()));
        let elsewhere = host.driver().with_program(host.data().join("another"));
        canary(&elsewhere, None).await.unwrap_err();
        let memo = host.data().join("qemu-canary.json");
        let earlier = fs::read_to_string(&memo).unwrap().replace(&host_life().unwrap(), "before");
        fs::write(&memo, earlier).unwrap();
        host.canary(None).await.unwrap_err();
    }

    #[tokio::test]
    async fn of_two_who_ask_at_once_one_starts_a_canary_and_the_other_hears_of_it() {
        let host = Host::new(&format!("{GREETS}\nread -r -t 0.3 never <&$fd; exit 1"));
        let (one, two) = tokio::join!(host.canary(None), host.canary(None));
        assert!(one.is_err() && one == two, "{one:?} {two:?}");
        assert_eq!(host.asked().len(), 1);
    }

    #[tokio::test]
    async fn the_canary_has_the_image_of_the_machine_and_else_any_that_there_is() {
        let host = Host::new("exit 1");
        let store = ImageStore::open(host.data()).unwrap();
        let of = |name: &str| store.get(name).unwrap().kernel().display().to_string();
        host.canary(Some("other")).await.unwrap_err();
        host.canary(None).await.unwrap_err();
        let (other, default) = (of("other"), of("default"));
        store.remove("default").unwrap();
        host.canary(None).await.unwrap_err();
        let asked = host.asked();
        for (asked, kernel) in asked.iter().zip([&other, &default, &other]) {
            assert!(asked.contains(kernel.as_str()), "{kernel}: {asked}");
        }
        assert_eq!(asked.len(), 3);
    }

    #[test]
    fn a_processor_without_virtualisation_is_not_tried_whatever_devices_there_are() {
        let device = || Ok(tempfile::tempfile().unwrap());
        let cpu = |flags: &str| format!("processor : 0\nflags\t\t: fpu {flags} sse2\n");
        assert!(plain_refusal(&cpu("vmx"), device()).is_none());
        assert!(plain_refusal(&cpu("svm"), device()).is_none());
        assert!(plain_refusal(&cpu("vmxnet"), device()).unwrap().contains("no virtualisation"));
        let missing = Err(std::io::ErrorKind::NotFound.into());
        assert!(plain_refusal(&cpu("vmx"), missing).unwrap().contains("/dev/kvm"));
    }

    #[tokio::test]
    async fn the_counter_is_that_of_a_processor() {
        assert!((100_000..20_000_000).contains(&tsc_khz().await));
    }
}
