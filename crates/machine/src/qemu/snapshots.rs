//! Freezing a machine, and going on from there as often as wanted.
//!
//! The guest's memory is a file that QEMU need not write out: we copy what was ever touched of
//! it, and every clone maps the copy privately, so that it costs only what the clone changes.
//! Where a clone is frozen in its turn, QEMU writes its memory out with the state.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::arguments::Accel;
use super::arguments::Ram;
use super::life::{Facts, QemuMachine, SCRATCH};
use super::{NAME, Parts, QemuDriver, kernel_head, probe};
use crate::image::ImageId;
use crate::vm::folder::Folder;
use crate::vm::spawn::as_path;
use crate::vm::{Doing, Failure, host_life, sparse};
use crate::{Machine, MachineSpec, Snapshot, SnapshotId, Staging};

/// State of the devices, and the memory where `RAM` is not there.
const STATE: &str = "state";
/// The memory.
const RAM: &str = "ram";
/// The head of the kernel, in a machine's folder.
const KERNEL: &str = "kernel";
/// What belongs together; counts up when a snapshot of before can't be restored.
const FORMAT: u32 = 1;

/// How long the guest's agent has to come to rest.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// How long QEMU may take to write or read a state: with all memory, on a slow disk.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(300);

/// Freezes a machine, which ends.
pub(super) async fn take(
    driver: &QemuDriver,
    machine: Machine,
    id: &SnapshotId,
) -> Result<Snapshot, Failure> {
    let Machine { guest, guard, .. } = machine;
    let guard: Box<dyn std::any::Any> = guard;
    let not_ours = |_| Failure::new("snapshotting", "it is no machine of this driver");
    let mut process = *guard.downcast::<QemuMachine>().map_err(not_ours)?;
    let staging = Staging::begin(&driver.data, id).doing("making a snapshot")?;
    // Half an answer on the port would be there again after each restore.
    drop(guest);
    let settled = tokio::time::timeout(SETTLE_DEADLINE, process.settle()).await;
    let settled = settled.map_err(|_| "its agent does not come to rest; close all that uses the machine");
    let port = settled.doing("leaving the agent")?.doing("leaving the agent")?;
    process.stop().await?;
    write_state(&mut process, staging.folder()).await?;
    process.end().await?;
    drop(port);
    let (version, id) = (version(driver, process.configuration.accel).await?, id.clone());
    let staged = tokio::task::spawn_blocking(move || {
        keep_files(&process, staging.folder())?;
        let snapshot = describe(&process, &id, version);
        staging.publish(snapshot).doing("keeping the snapshot")
    });
    staged.await.doing("keeping the snapshot")?
}

/// Has QEMU write what it knows, less the memory that we hold.
async fn write_state(process: &mut QemuMachine, folder: &Path) -> Result<(), Failure> {
    const WRITE: &str = "writing the machine's state";
    let shared = process.ram.is_some();
    let state = File::create_new(folder.join(STATE)).doing(WRITE)?;
    let qmp = process.qmp.as_mut().ok_or("no control channel").doing(WRITE)?;
    qmp.execute("migrate-set-capabilities", capabilities(shared)).await.doing(WRITE)?;
    qmp.execute("migrate-set-parameters", json!({ "max-bandwidth": u32::MAX })).await.doing(WRITE)?;
    qmp.give(STATE, state.as_fd()).await.doing(WRITE)?;
    qmp.execute("migrate", json!({ "uri": format!("fd:{STATE}") })).await.doing(WRITE)?;
    migrated(qmp).await.doing(WRITE)
}

fn capabilities(shared: bool) -> Value {
    json!({ "capabilities": [
        { "capability": "x-ignore-shared", "state": shared },
        { "capability": "events", "state": true },
    ]})
}

/// Waits until QEMU has written, or read, a state.
async fn migrated(qmp: &mut super::qmp::Qmp) -> Result<(), String> {
    let ended = qmp.event(|event| {
        if event["event"] != "MIGRATION" {
            return None;
        }
        match event["data"]["status"].as_str() {
            Some("completed") => Some(true),
            Some("failed" | "cancelled") => Some(false),
            _ => None,
        }
    });
    match tokio::time::timeout(MIGRATION_DEADLINE, ended).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(why_not(qmp).await),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("not done after {MIGRATION_DEADLINE:?}")),
    }
}

/// Why QEMU gave up.
async fn why_not(qmp: &mut super::qmp::Qmp) -> String {
    let asked = qmp.execute("query-migrate", json!({})).await.unwrap_or_default();
    let reason = asked["error-desc"].as_str().unwrap_or("it does not say why");
    format!("QEMU gave up: {reason}")
}

/// Puts memory and disk of a machine that has ended into the snapshot.
fn keep_files(process: &QemuMachine, folder: &Path) -> Result<(), Failure> {
    const KEEP: &str = "keeping its memory and disk";
    if let Some(ram) = &process.ram {
        let kept = File::create_new(folder.join(RAM)).doing(KEEP)?;
        sparse::copy(ram, &kept).doing(KEEP)?;
    }
    if process.configuration.scratch.is_some() {
        std::fs::rename(process.path(SCRATCH), folder.join(SCRATCH)).doing(KEEP)?;
    }
    Ok(())
}

fn describe(process: &QemuMachine, id: &SnapshotId, version: String) -> Snapshot {
    let facts = &process.facts;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Snapshot {
        id: id.clone(),
        driver: NAME.to_owned(),
        image: facts.image.clone(),
        vcpus: facts.vcpus,
        memory_mib: facts.memory_mib,
        disk_mib: facts.disk_mib,
        layout: facts.layout.clone(),
        network: facts.network,
        policy: facts.policy.clone(),
        made_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        version,
        files: BTreeMap::new(),
        folder: Default::default(),
    }
}

/// What must be the same for a state to be read: QEMU, how it runs the guest, and what we make of both.
async fn version(driver: &QemuDriver, accel: Accel) -> Result<String, Failure> {
    let program = probe::version(driver).await.doing("asking QEMU's version")?;
    let accel = match accel {
        Accel::Kvm => "kvm",
        Accel::Tcg { .. } => "tcg",
    };
    Ok(format!("{program}, {accel}, format {FORMAT}"))
}

/// All that a fresh machine is made of. The processor may be another once the host has been started anew.
pub(super) async fn recipe(driver: &QemuDriver, spec: &MachineSpec) -> Result<String, Failure> {
    const ASK: &str = "looking at what it is made of";
    super::check(spec)?;
    let image = driver.image(spec.image.as_deref()).await?;
    let accel = driver.choice(spec.image.as_deref()).await.accel;
    let (version, life) = (version(driver, accel).await?, host_life().doing(ASK)?);
    let Facts { id: _, image, vcpus, memory_mib, disk_mib, layout, network, policy: _ } =
        Facts::of(spec, &image);
    let recipe = json!([NAME, version, life, image, vcpus, memory_mib, disk_mib, layout, network]);
    Ok(recipe.to_string())
}

/// Goes on from a snapshot, in a machine of this id.
pub(super) async fn restore(
    driver: &QemuDriver,
    snapshot: &Snapshot,
    spec: &MachineSpec,
) -> Result<Machine, Failure> {
    const READ: &str = "reading the snapshot";
    let begin = Instant::now();
    let choice = driver.choice(Some(&snapshot.image)).await;
    let version = version(driver, choice.accel).await?;
    let image = driver.image(Some(&snapshot.image)).await?;
    let folder = Folder::make(&driver.data, &spec.id.0).doing("making its folder")?;
    folder.note_image(&snapshot.image).doing("noting its image")?;
    let (whole, place) = (snapshot.clone(), folder.path().to_owned());
    let opened = tokio::task::spawn_blocking(move || open(&whole, &version, &place));
    let Opened { state, has_disk, has_ram } = opened.await.doing(READ)??;
    let kernel =
        kernel_head::keep(&image.kernel(), &folder.path().join(KERNEL)).doing("preparing its kernel")?;
    let facts = Facts {
        id: spec.id.clone(),
        image: ImageId::to_string(&image.id),
        vcpus: snapshot.vcpus,
        memory_mib: snapshot.memory_mib,
        disk_mib: snapshot.disk_mib,
        layout: snapshot.layout.clone(),
        network: snapshot.network,
        policy: snapshot.policy.clone(),
    };
    let mut handed_over = vec![OwnedFd::from(state)];
    let state = handed_over[0].as_raw_fd();
    let (kept, ram) = if has_ram {
        (None, Ram::Private(snapshot.folder.join(RAM)))
    } else {
        let memory = super::memory(snapshot.memory_mib).doing("reserving its memory")?;
        let theirs = OwnedFd::from(memory.try_clone().doing("reserving its memory")?);
        let ram = Ram::Shared(as_path(&theirs).into());
        handed_over.push(theirs);
        (Some(memory), ram)
    };
    let parts = Parts {
        accel: choice.accel,
        ram,
        command_line: image.manifest.cmdline.clone(),
        kernel,
        image,
        disk: has_disk.then(|| SCRATCH.into()),
        handed_over,
        incoming: true,
    };
    let mut process = driver.process(folder, facts, parts, kept).await?;
    if let Err(failure) = go_on(&mut process, has_ram, state).await {
        return Err(failure.with(&process.last_words_now().await));
    }
    let notes = choice.note.into_iter();
    let notes = notes.chain((!has_disk).then(|| super::NO_DISK.to_owned())).collect();
    driver.meet(process, spec, notes, begin, driver.deadline).await
}

/// What of a snapshot a new machine needs.
struct Opened {
    state: File,
    has_disk: bool,
    has_ram: bool,
}

/// Verifies a snapshot, and gives a machine's folder a disk of its own.
fn open(snapshot: &Snapshot, version: &str, place: &Path) -> Result<Opened, Failure> {
    const READ: &str = "reading the snapshot";
    snapshot.verify(NAME, version).doing(READ)?;
    let has_disk = snapshot.files.contains_key(SCRATCH);
    if has_disk {
        let from = File::open(snapshot.folder.join(SCRATCH)).doing(READ)?;
        let to = File::create_new(place.join(SCRATCH)).doing(READ)?;
        sparse::copy(&from, &to).doing("copying its disk")?;
    }
    let state = File::open(snapshot.folder.join(STATE)).doing(READ)?;
    Ok(Opened { state, has_disk, has_ram: snapshot.files.contains_key(RAM) })
}

/// Has QEMU read the state, and the guest go on.
async fn go_on(process: &mut QemuMachine, has_ram: bool, state: i32) -> Result<(), Failure> {
    const LOAD: &str = "loading the machine's state";
    let qmp = process.qmp.as_mut().ok_or("no control channel").doing(LOAD)?;
    qmp.execute("migrate-set-capabilities", capabilities(has_ram)).await.doing(LOAD)?;
    qmp.execute("migrate-incoming", json!({ "uri": format!("fd:{state}") })).await.doing(LOAD)?;
    migrated(qmp).await.doing(LOAD)?;
    process.hold_port().await?;
    let qmp = process.qmp.as_mut().ok_or("no control channel").doing(LOAD)?;
    qmp.execute("cont", json!({})).await.map(drop).doing(LOAD)
}
