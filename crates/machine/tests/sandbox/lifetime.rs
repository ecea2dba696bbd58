//! That all of a machine ends with it, however it ends.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use machine::Driver;
use machine::sandbox::{KeeperProgram, SandboxDriver};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::house::{Caller, House, for_each_caller, processes_with, run, sleeper, spec, until};

/// A number of seconds that no other process sleeps.
fn marker() -> String {
    format!("{}{}", std::process::id(), rand())
}

fn rand() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() as u32 % 100_000
}

for_each_caller! {
    async fn daemons_die_with_their_machine(house: &House) {
        let marker = marker();
        let machine = house.start().await;
        let script = format!("setsid sh -c 'trap \"\" TERM HUP INT; sleep {marker}' >/dev/null 2>&1 & setsid sleep {marker} >/dev/null 2>&1 &");
        assert!(run(&machine, &script).await.ok());
        until("the daemons run", || processes_with(&marker).len() == 2).await;
        machine.destroy().await.expect("destroyed");
        assert_eq!(processes_with(&marker), Vec::<i32>::new());
        assert_eq!(house.remains(), Vec::<String>::new());
    }

    async fn a_machine_that_is_dropped_ends_too(house: &House) {
        let marker = marker();
        let machine = house.start().await;
        assert!(run(&machine, &format!("setsid sleep {marker} >/dev/null 2>&1 &")).await.ok());
        drop(machine);
        until("all is gone", || processes_with(&marker).is_empty() && house.remains().is_empty()).await;
    }

    async fn a_keeper_that_is_killed_takes_its_machine_along(house: &House) {
        let marker = marker();
        let machine = house.start().await;
        assert!(run(&machine, &format!("setsid sleep {marker} >/dev/null 2>&1 &")).await.ok());
        let agent = parent(sleeper(&marker).await);
        let keeper = parent(agent);
        kill(Pid::from_raw(keeper), Signal::SIGKILL).expect("killed");
        until("the job is dead", || processes_with(&marker).is_empty()).await;
        until("the machine is dead", || !fs::exists(format!("/proc/{agent}")).unwrap_or(true)).await;
        drop(machine);
        assert_eq!(house.remains().len(), 2, "a folder and its lock");
        let removed = reap(house).await;
        assert_eq!(removed.len(), 1, "{removed:?}");
        assert_eq!(house.remains(), Vec::<String>::new());
    }

    async fn when_the_zygote_is_killed_machines_live_on_and_others_start(house: &House) {
        let marker = marker();
        let machine = house.start().await;
        assert!(run(&machine, &format!("setsid sleep {marker} >/dev/null 2>&1 &")).await.ok());
        let zygote = Pid::from_raw(parent(parent(parent(sleeper(&marker).await))));
        kill(zygote, Signal::SIGKILL).expect("killed");
        waitid(Id::Pid(zygote), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it is dead");
        let other = house.start().await;
        assert!(run(&other, "true").await.ok());
        assert!(run(&machine, "true").await.ok(), "its machine died with it");
        machine.destroy().await.expect("destroyed");
        assert_eq!(processes_with(&marker), Vec::<i32>::new());
        other.destroy().await.expect("destroyed");
        assert_eq!(house.remains(), Vec::<String>::new());
    }

    async fn a_start_that_is_given_up_leaves_nothing(house: &House) {
        for after in [0, 2, 5, 10, 20] {
            let start = house.driver.start(spec());
            let _ = tokio::time::timeout(Duration::from_millis(after), start).await;
        }
        until("all is gone", || house.remains().is_empty()).await;
    }

    async fn a_living_machine_is_not_reaped(house: &House) {
        let machine = house.start().await;
        assert_eq!(reap(house).await, Vec::<String>::new());
        assert!(run(&machine, "true").await.ok());
    }

    async fn the_job_cannot_end_its_agent(house: &House) {
        let machine = house.start().await;
        run(&machine, "kill -KILL 1; kill -STOP 1; kill -TERM 1; kill -HUP 1; kill -INT 1").await;
        assert!(run(&machine, "true").await.ok());
    }

    async fn the_driver_finds_itself_usable(house: &House) {
        let probe = house.driver.probe().await;
        assert!(probe.usable, "{:?}", probe.findings);
        assert_eq!(house.remains(), Vec::<String>::new());
    }
}

/// Reaps as who owns the machines: an ordinary user could not remove root's, and root is both here.
async fn reap(house: &House) -> Vec<String> {
    house.driver.reap().await.expect("reaped")
}

#[tokio::test]
async fn a_driver_that_is_killed_takes_its_machines_along() {
    let Some(house) =
        House::of(if nix::unistd::geteuid().is_root() { Caller::Root } else { Caller::Ordinary })
    else {
        return;
    };
    let marker = marker();
    let mut driver = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "lifetime::driver_that_waits_to_be_killed", "--ignored", "--nocapture"])
        .env("HEARTH_TEST_DATA", house.data())
        .env("HEARTH_TEST_MARKER", &marker)
        .stdout(Stdio::null())
        .spawn()
        .expect("a driver");
    until("the job runs", || processes_with(&marker).len() == 1).await;
    driver.kill().expect("killed");
    driver.wait().expect("waited for");
    until("all is gone", || processes_with(&marker).is_empty() && house.remains().is_empty()).await;
}

#[tokio::test]
#[ignore = "a process of its own, started by the test above"]
async fn driver_that_waits_to_be_killed() {
    let (Ok(data), Ok(marker)) = (std::env::var("HEARTH_TEST_DATA"), std::env::var("HEARTH_TEST_MARKER"))
    else {
        return;
    };
    let driver = SandboxDriver::new(data.into(), KeeperProgram::at(env!("CARGO_BIN_EXE_hearth-keeper")));
    let machine = driver.start(spec()).await.expect("a machine");
    run(&machine, &format!("sleep {marker}")).await;
}

fn parent(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    line.trim().parse().expect("a number")
}
