//! Where tests of virtual machines live: a data folder that borrows the image of `HEARTH_VM_DATA`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use guest::client::{ExecEvent, ExecSpec, ExitStatus, Guest};
use machine::image::ImageStore;
use machine::qemu::QemuDriver;
use machine::{Driver, Machine, MachineSpec, Network};
use model::MachineId;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::lent::borrow;

/// A data folder of its own, gone with the test.
pub(crate) struct House {
    pub(crate) data: tempfile::TempDir,
}

impl House {
    /// A house with an image, where the tests of virtual machines were asked for.
    pub(crate) fn open() -> Option<House> {
        let Some(lender) = std::env::var_os("HEARTH_VM_DATA").map(PathBuf::from) else {
            println!(
                "SKIPPED: HEARTH_VM_DATA names no data folder with an image; use cargo xtask test --only vm"
            );
            return None;
        };
        let data = tempfile::tempdir().expect("a folder");
        borrow(&lender.join("images"), &data.path().join("images"));
        Some(House { data })
    }

    pub(crate) fn driver(&self) -> QemuDriver {
        QemuDriver::new(self.data.path())
    }

    /// Names in the folder of machines.
    pub(crate) fn left(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.data.path().join("vms")) else { return Vec::new() };
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    /// The folder of the image called `default`.
    pub(crate) fn image(&self) -> PathBuf {
        let images = self.data.path().join("images");
        let id = std::fs::read_to_string(images.join("names/default")).expect("an image called default");
        images.join(id.trim())
    }
}

impl House {
    /// Puts an image into the store that is the default one with an init of its own. Its name.
    pub(crate) fn with_init(&self, name: &str, init: &str) -> String {
        let (real, folder) = (self.image(), self.data.path().join(name));
        std::fs::create_dir(&folder).expect("a folder");
        for file in ["kernel", "initrd", "root.sqfs"] {
            std::fs::copy(real.join(file), folder.join(file)).expect("a copy");
        }
        let mut manifest: serde_json::Value =
            serde_json::from_slice(&read(&real.join("manifest.json"))).expect("a manifest");
        manifest["cmdline"] =
            format!("{} hearth.init={init}", manifest["cmdline"].as_str().expect("text")).into();
        self.put(name, &folder, manifest)
    }

    /// Puts an image into the store that boots the default one's kernel, and whose other files are
    /// nonsense: its root always, its initial RAM disk if it is to be. Its name.
    pub(crate) fn nonsense(&self, name: &str, initrd_too: bool) -> String {
        let (real, folder) = (self.image(), self.data.path().join(name));
        std::fs::create_dir(&folder).expect("a folder");
        let initrd = if initrd_too { b"nonsense".to_vec() } else { read(&real.join("initrd")) };
        let files =
            [("kernel", read(&real.join("kernel"))), ("initrd", initrd), ("root.sqfs", b"no".to_vec())];
        let record = |bytes: &[u8]| json!({ "sha256": sha256(bytes), "bytes": bytes.len() });
        let mut manifest: serde_json::Value =
            serde_json::from_slice(&read(&real.join("manifest.json"))).expect("a manifest");
        for (file, bytes) in files {
            std::fs::write(folder.join(file), &bytes).expect("a file");
            manifest["files"][file.trim_end_matches(".sqfs")] = record(&bytes);
        }
        self.put(name, &folder, manifest)
    }

    /// Puts the files of a folder into the store, with a manifest whose id is not yet right.
    fn put(&self, name: &str, folder: &Path, mut manifest: serde_json::Value) -> String {
        // The id is the hash of the rest, in its order (docs/reference/image-format.md).
        let fields = manifest.as_object_mut().expect("an object");
        fields.shift_remove("id");
        let made = fields.shift_remove("made_unix_ms");
        manifest["id"] = sha256(manifest.to_string().as_bytes()).into();
        manifest["made_unix_ms"] = made.into();
        std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("a manifest");
        let store = ImageStore::open(self.data.path()).expect("a store");
        let image = store.put(folder).expect("an image");
        store.name(name, &image.id).expect("a name");
        name.to_owned()
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Size of a disk that a machine of [`spec`] fills: its own and its memory have no place on it.
const SMALL_DISK: &str = "size=24m,mode=700";

/// Puts a small disk at each of these places, for this thread and all that it starts. False: it may not.
pub(crate) fn small_disks(places: &[&Path]) -> bool {
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        println!("SKIPPED: only root may mount");
        return false;
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .expect("mounts of its own");
    for place in places {
        std::fs::create_dir_all(place).expect("a folder");
        mount(Some("small"), *place, Some("tmpfs"), MsFlags::empty(), Some(SMALL_DISK)).expect("a disk");
    }
    true
}

/// A small machine with a name.
pub(crate) fn spec(name: &str) -> MachineSpec {
    let id = MachineId(format!("{name}-{}", std::process::id()));
    MachineSpec {
        vcpus: Some(1),
        memory_mib: Some(256),
        disk_mib: Some(64),
        ..MachineSpec::new(id, Network::None)
    }
}

pub(crate) async fn start(driver: &QemuDriver, spec: MachineSpec) -> Machine {
    driver.start(spec).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a script; its output, both in one, and how it ended.
pub(crate) async fn run(guest: &Guest, script: &str) -> (String, ExitStatus) {
    let spec = ExecSpec {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())],
        timeout: Some(Duration::from_secs(120)),
        ..ExecSpec::default()
    };
    let mut exec = guest.exec(spec).await.unwrap_or_else(|error| panic!("{script}: {error}"));
    let mut output = Vec::new();
    loop {
        match exec.next().await.unwrap_or_else(|error| panic!("{script}: {error}")) {
            Some(ExecEvent::Stdout(data) | ExecEvent::Stderr(data)) => output.extend_from_slice(&data),
            Some(ExecEvent::Exited(status)) => {
                return (String::from_utf8_lossy(&output).into_owned(), status);
            }
            None => panic!("{script}: told no end"),
        }
    }
}

/// The output of a script that must succeed.
pub(crate) async fn told(guest: &Guest, script: &str) -> String {
    let (output, status) = run(guest, script).await;
    assert_eq!(status, ExitStatus::Code(0), "{script}: {output}");
    output.trim().to_owned()
}
