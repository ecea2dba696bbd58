//! The Firecracker driver with a real Firecracker, as root of a host that can virtualize.
//!
//! `cargo xtask test-firecracker --binary PATH` makes such a host by emulation and runs these there.
//! They need `HEARTH_FIRECRACKER`, and in `HEARTH_TEST_DATA` a data folder with the image `default`.

#[path = "../firecracker_suite/mod.rs"]
mod firecracker_suite;
#[path = "../network_world/mod.rs"]
mod network_world;

mod killed;
mod limits;
mod network;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use firecracker_suite::{self as suite, Bench, left_behind, say, snapshot, spec};
use machine::firecracker::{FirecrackerDriver, Options};
use machine::{Driver, FindingLevel, Snapshot};

fn bench(options: Options) -> Bench {
    let given =
        |name: &str| std::env::var_os(name).map(PathBuf::from).unwrap_or_else(|| panic!("{name} is not set"));
    let data = given("HEARTH_TEST_DATA");
    let kernel_arguments =
        [std::env::var("HEARTH_TEST_KERNEL_ARGUMENTS").unwrap_or_default(), options.kernel_arguments]
            .join(" ");
    let options = Options { firecracker: Some(given("HEARTH_FIRECRACKER")), kernel_arguments, ..options };
    Bench { driver: FirecrackerDriver::new(&data, options), data }
}

/// Process ids of all Firecrackers.
fn firecrackers() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim().starts_with("firecracker")
    };
    pids.filter(named).collect()
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn the_probe_finds_the_driver_usable() {
    let probe = bench(Options::default()).driver.probe().await;
    for finding in &probe.findings {
        println!("{:?} {}: {} [{:?}]", finding.level, finding.subject, finding.detail, finding.remedy);
        assert_eq!(finding.level == FindingLevel::Good, finding.remedy.is_none());
    }
    assert!(probe.usable);
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_machine_starts_answers_and_leaves_nothing() {
    suite::a_machine_starts_answers_and_leaves_nothing(&bench(Options::default())).await;
    assert_eq!(firecrackers(), Vec::<u32>::new());
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_snapshot_becomes_machines_as_often_as_wanted() {
    suite::a_snapshot_becomes_machines_as_often_as_wanted(&bench(Options::default())).await;
    assert_eq!(firecrackers(), Vec::<u32>::new());
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_clone_is_frozen_in_its_turn() {
    suite::a_clone_is_frozen_in_its_turn(&bench(Options::default())).await;
    assert_eq!(firecrackers(), Vec::<u32>::new());
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_damaged_snapshot_is_not_restored() {
    suite::a_damaged_snapshot_is_not_restored(&bench(Options::default())).await;
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_dropped_machine_ends() {
    suite::a_dropped_machine_ends(&bench(Options::default())).await;
    assert_eq!(firecrackers(), Vec::<u32>::new());
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn clones_keep_what_was_there_and_share_nothing_that_must_be_unique() {
    let bench = bench(Options::default());
    let machine = bench.driver.start(spec("unique-0")).await.expect("a machine");
    say(&machine.guest, "echo in memory > /run/kept; echo on disk > /home/runner/kept").await.unwrap();
    let snapshot = snapshot(&bench, machine, "unique").await;
    let script = "cat /run/kept /home/runner/kept /proc/sys/kernel/hostname; cat /proc/sys/kernel/random/boot_id /etc/machine-id; \
                  head -c 16 /dev/urandom | od -An -tx1; date +%s";
    let mut said = Vec::new();
    for id in ["unique-1", "unique-2"] {
        let clone = bench.driver.restore(&snapshot, spec(id)).await.expect("a clone");
        let text = say(&clone.guest, script).await.unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines[..3], ["in memory", "on disk", id], "{text}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(lines[6].parse::<u64>().unwrap().abs_diff(now) < 60, "{text}");
        said.push(lines);
        clone.destroy().await.expect("an end");
    }
    let different = said[0].iter().zip(&said[1]).skip(3).take(3).filter(|(one, other)| one != other);
    assert_eq!(different.count(), 3, "{said:?}");
    Snapshot::remove(&bench.data, &snapshot.id).unwrap();
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn each_vm_is_in_a_jail_of_its_own() {
    let bench = bench(Options::default());
    let one = bench.driver.start(spec("jail-1")).await.expect("a machine");
    let other = bench.driver.start(spec("jail-2")).await.expect("another machine");
    assert_eq!(one.notes, Vec::<String>::new());
    let pids = firecrackers();
    assert_eq!(pids.len(), 2);
    let mut users = Vec::new();
    for pid in &pids {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let status = std::fs::read_to_string(process.join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).unwrap_or_default().to_owned()
        };
        assert_eq!(field("CapEff:"), "0000000000000000");
        println!("seccomp of {pid}: {}", field("Seccomp:"));
        users.push(field("Uid:"));
        let seen = std::fs::read_dir(process.join("root")).unwrap().flatten();
        let mut seen: Vec<String> =
            seen.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        seen.sort();
        println!("root of {pid}: {seen:?}");
        assert!(
            !seen.iter().any(|name| ["etc", "proc", "data", "home"].contains(&name.as_str())),
            "{seen:?}"
        );
        let group = std::fs::read_to_string(process.join("cgroup")).unwrap();
        let group = Path::new("/sys/fs/cgroup").join(group.trim().trim_start_matches("0::/"));
        let bound = |file: &str| std::fs::read_to_string(group.join(file)).unwrap().trim().to_owned();
        assert_eq!(bound("memory.max"), ((256 + 64) << 20).to_string());
        assert_eq!(bound("pids.max"), "64");
        assert_eq!(bound("cpu.max"), "200000 100000");
    }
    assert_ne!(users[0], users[1]);
    assert!(users.iter().all(|user| user != "0"), "{users:?}");
    let scratch = bench.data.join("vms/jail-1/jail/firecracker/jail-1/root/scratch");
    assert_ne!(std::fs::metadata(scratch).unwrap().uid(), 0);
    one.destroy().await.expect("an end");
    other.destroy().await.expect("an end");
    let groups = std::fs::read_dir("/sys/fs/cgroup/hearth-firecracker").unwrap().flatten();
    assert_eq!(groups.filter(|entry| entry.path().is_dir()).count(), 0);
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_guest_that_can_not_go_on_is_an_error_with_its_last_words() {
    let options =
        Options { kernel_arguments: "root=/dev/nowhere rootfstype=none".to_owned(), ..Options::default() };
    let bench = bench(options);
    let error = bench.driver.start(spec("lost-1")).await.err().expect("no machine").to_string();
    println!("{error}");
    assert!(
        error.starts_with("machine lost-1 (firecracker): reaching the agent: ")
            && error.contains("Firecracker has ended (exit status"),
        "{error}"
    );
    assert!(error.contains("the end of its console:") && error.contains("/dev/nowhere"), "{error}");
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_killed_firecracker_is_an_error_and_leaves_nothing() {
    let bench = bench(Options::default());
    let machine = bench.driver.start(spec("killed-1")).await.expect("a machine");
    let pids = firecrackers();
    assert!(Command::new("kill").args(["-9", &pids[0].to_string()]).status().unwrap().success());
    let error = say(&machine.guest, "echo never").await.unwrap_err();
    assert!(error.contains("lost the agent"), "{error}");
    let mut machine = machine;
    let words = machine.guard.last_words().await.expect("last words");
    assert!(words.contains("Firecracker has ended (signal: 9"), "{words}");
    machine.destroy().await.expect("an end");
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_guest_that_floods_its_console_still_answers() {
    let bench = bench(Options::default());
    let machine = bench.driver.start(spec("flood-1")).await.expect("a machine");
    say(&machine.guest, "head -c 100000 /dev/zero | tr '\\0' x > /dev/ttyS0").await.unwrap();
    assert_eq!(say(&machine.guest, "echo dry").await.unwrap(), "dry");
    machine.destroy().await.expect("an end");
}
