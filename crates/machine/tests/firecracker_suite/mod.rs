//! What a Firecracker driver must do, whatever is behind it: a real Firecracker in an emulated
//! host, or a strict server in its place.

use std::path::{Path, PathBuf};

use guest::client::{ExecEvent, ExecSpec, ExitStatus, Guest};
use machine::firecracker::FirecrackerDriver;
use machine::{Driver, Isolation, Machine, MachineSpec, Network, Snapshot, SnapshotId};
use model::MachineId;

/// A driver with an image named `default`.
pub(crate) struct Bench {
    pub(crate) driver: FirecrackerDriver,
    pub(crate) data: PathBuf,
}

/// A small machine.
pub(crate) fn spec(id: &str) -> MachineSpec {
    MachineSpec {
        vcpus: Some(1),
        memory_mib: Some(256),
        disk_mib: Some(64),
        ..MachineSpec::new(MachineId(id.to_owned()), Network::None)
    }
}

/// What a shell script prints in a machine, if it succeeds.
pub(crate) async fn say(guest: &Guest, script: &str) -> Result<String, String> {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let env = vec![("PATH".to_owned(), "/usr/bin:/bin:/usr/sbin:/sbin".to_owned())];
    let exec = guest.exec(ExecSpec { argv, env, ..ExecSpec::default() }).await;
    let mut exec = exec.map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    while let Some(event) = exec.next().await.map_err(|error| error.to_string())? {
        match event {
            ExecEvent::Stdout(bytes) | ExecEvent::Stderr(bytes) => said.extend_from_slice(&bytes),
            ExecEvent::Exited(ExitStatus::Code(0)) => {
                return Ok(String::from_utf8_lossy(&said).trim().to_owned());
            }
            ExecEvent::Exited(other) => {
                return Err(format!("{other:?}: {}", String::from_utf8_lossy(&said)));
            }
        }
    }
    Err("never ended".to_owned())
}

/// Everything in a data folder that belongs to a machine.
pub(crate) fn left_behind(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("vms")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

pub(crate) async fn snapshot(bench: &Bench, machine: Machine, id: &str) -> Snapshot {
    bench.driver.snapshot(machine, &SnapshotId(id.to_owned())).await.expect("a snapshot")
}

/// From the image to a command's output, and to nothing.
pub(crate) async fn a_machine_starts_answers_and_leaves_nothing(bench: &Bench) {
    let machine = bench.driver.start(spec("life-1")).await.expect("a machine");
    assert_eq!(machine.isolation, Isolation::VirtualMachine);
    let parts: Vec<&str> = machine.boot.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts, ["files", "vmm", "configuration", "kernel", "init", "agent", "whole"]);
    println!("boot: {:?}; notes: {:?}", machine.boot, machine.notes);
    assert_eq!(say(&machine.guest, "echo answered").await.unwrap(), "answered");
    let twice = bench.driver.start(spec("life-1")).await.err().expect("one of a name").to_string();
    assert!(
        twice.contains("machine life-1 (firecracker): making its folder: ") && twice.contains("runs already"),
        "{twice}"
    );
    machine.destroy().await.expect("an end");
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
}

/// Two machines from one snapshot, at once, and each its own.
pub(crate) async fn a_snapshot_becomes_machines_as_often_as_wanted(bench: &Bench) {
    let machine = bench.driver.start(spec("frozen-1")).await.expect("a machine");
    let snapshot = snapshot(bench, machine, "ready").await;
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
    assert_eq!((snapshot.driver.as_str(), snapshot.vcpus, snapshot.memory_mib), ("firecracker", 1, 256));
    assert!(snapshot.version.starts_with("Firecracker 1."), "{}", snapshot.version);
    let found = Snapshot::open(&bench.data, &SnapshotId("ready".to_owned())).unwrap();
    let one = bench.driver.restore(&found, spec("clone-1")).await.expect("a clone");
    let other = bench.driver.restore(&found, spec("clone-2")).await.expect("another clone");
    println!("restore: {:?}", other.boot);
    let parts: Vec<&str> = other.boot.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts, ["files", "vmm", "load", "agent", "whole"]);
    for clone in [&one, &other] {
        assert_eq!(say(&clone.guest, "echo here").await.unwrap(), "here");
    }
    one.destroy().await.expect("an end");
    assert_eq!(say(&other.guest, "echo still here").await.unwrap(), "still here");
    other.destroy().await.expect("an end");
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
    Snapshot::remove(&bench.data, &snapshot.id).unwrap();
}

/// A machine that came from a snapshot becomes one in its turn, and the first stays what it was.
pub(crate) async fn a_clone_is_frozen_in_its_turn(bench: &Bench) {
    let machine = bench.driver.start(spec("turn-1")).await.expect("a machine");
    let first = snapshot(bench, machine, "first").await;
    let clone = bench.driver.restore(&first, spec("turn-2")).await.expect("a clone");
    let second = snapshot(bench, clone, "second").await;
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
    for (snapshot, id) in [(&first, "turn-3"), (&second, "turn-4")] {
        let clone = bench.driver.restore(snapshot, spec(id)).await.expect("a clone");
        assert_eq!(say(&clone.guest, "echo here").await.unwrap(), "here");
        clone.destroy().await.expect("an end");
        Snapshot::remove(&bench.data, &snapshot.id).unwrap();
    }
}

/// What can't be restored says why, and leaves nothing.
pub(crate) async fn a_damaged_snapshot_is_not_restored(bench: &Bench) {
    let machine = bench.driver.start(spec("frozen-2")).await.expect("a machine");
    let snapshot = snapshot(bench, machine, "damaged").await;
    let restore = async |snapshot: &Snapshot| {
        let error = bench.driver.restore(snapshot, spec("clone-3")).await.err().expect("no machine");
        error.to_string()
    };
    let other = Snapshot { version: "Firecracker 1.15.1, format 1".to_owned(), ..snapshot.clone() };
    let error = restore(&other).await;
    assert!(error.contains("made by Firecracker 1.15.1, format 1, and here is Firecracker 1."), "{error}");
    let state = snapshot.folder.join("state");
    std::fs::remove_file(&state).unwrap();
    std::fs::write(&state, "not what it was").unwrap();
    let error = restore(&snapshot).await;
    assert!(error.contains("machine clone-3 (firecracker)") && error.contains("state is damaged"), "{error}");
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
    Snapshot::remove(&bench.data, &snapshot.id).unwrap();
}

/// A machine whose holder goes away goes with it.
pub(crate) async fn a_dropped_machine_ends(bench: &Bench) {
    let machine = bench.driver.start(spec("dropped-1")).await.expect("a machine");
    drop(machine);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !left_behind(&bench.data).is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", left_behind(&bench.data));
        tokio::task::yield_now().await;
    }
}
