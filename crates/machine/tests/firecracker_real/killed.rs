//! What a killed Hearth leaves, and who removes it.

use std::process::Command;
use std::time::{Duration, Instant};

use machine::firecracker::Options;
use machine::{Driver, Snapshot};

use crate::firecracker_suite::{left_behind, snapshot, spec};
use crate::{bench, firecrackers};

/// Tells this program to start a machine and wait to be killed.
const LEAVE: &str = "HEARTH_TEST_LEAVE";
/// For a boot and a snapshot on an emulated host.
const DEADLINE: Duration = Duration::from_secs(180);

/// Runs one of these tests as another Hearth, and kills it once it has gone as far as is wanted.
fn kill_another(test: &str, far_enough: impl Fn() -> bool) {
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("killed::{test}"), "--ignored"])
        .env(LEAVE, "1")
        .spawn()
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !far_enough() {
        assert!(Instant::now() < deadline && other.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    other.kill().unwrap();
    other.wait().unwrap();
    // Its user is another one; its terminal hangs up on it all the same.
    while !firecrackers().is_empty() {
        assert!(Instant::now() < deadline, "it outlives the one who started it");
        std::thread::yield_now();
    }
}

fn is_other() -> bool {
    std::env::var_os(LEAVE).is_some()
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_hearth_that_was_killed_leaves_nothing_that_the_next_does_not_remove() {
    let bench = bench(Options::default());
    let up = bench.data.join("up");
    if is_other() {
        let _machine = bench.driver.start(spec("left-1")).await.expect("a machine");
        std::fs::write(&up, "").unwrap();
        std::future::pending::<()>().await;
    }
    kill_another("a_hearth_that_was_killed_leaves_nothing_that_the_next_does_not_remove", || up.exists());
    std::fs::remove_file(&up).unwrap();
    assert_eq!(bench.driver.reap().await.unwrap(), ["virtual machine left-1"]);
    assert_eq!(firecrackers(), Vec::<u32>::new());
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_hearth_that_was_killed_over_a_snapshot_leaves_neither_it_nor_the_machine() {
    let bench = bench(Options::default());
    if is_other() {
        let machine = bench.driver.start(spec("left-2")).await.expect("a machine");
        snapshot(&bench, machine, "half").await;
        std::future::pending::<()>().await;
    }
    // Firecracker writes the memory into its jail; from there it is moved.
    let memory = bench.data.join("vms/left-2/jail/firecracker/left-2/root/memory.new");
    let written = || std::fs::metadata(&memory).is_ok_and(|memory| memory.len() > 0);
    kill_another("a_hearth_that_was_killed_over_a_snapshot_leaves_neither_it_nor_the_machine", written);
    assert!(Snapshot::list(&bench.data).unwrap().is_empty(), "it was whole before the kill");
    let mut removed = bench.driver.reap().await.unwrap();
    removed.sort();
    assert_eq!(removed, ["an unfinished snapshot", "virtual machine left-2"]);
    assert_eq!(left_behind(&bench.data), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(Snapshot::all(&bench.data)).unwrap().count(), 0);
}
