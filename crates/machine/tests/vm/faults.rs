//! What goes wrong with machines, and what is told and left then.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use guest::bounds::{KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT};
use guest::client::{ExecEvent, ExecSpec, ExitStatus, GuestError, RefusalKind};
use machine::{Driver, Machine, MachineSpec, Network, SnapshotId};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::house::{self, House, run, spec, start, told};

/// Writes nonsense over the agent's own instructions, as a program with a fault would do it to itself: no signal
/// can kill the first process of a machine.
const CRASH: &str = r#"python3 - <<'END'
text = next(line for line in open('/proc/1/maps') if 'r-xp' in line)
begin, end = (int(number, 16) for number in text.split()[0].split('-'))
memory = open('/proc/1/mem', 'r+b', buffering=0)
memory.seek(begin)
memory.write(b'\xcc' * (end - begin))
END
sleep 100"#;

/// Runs a script that ends the machine, and returns what the driver tells of its end.
async fn fate(house: &House, script: &str) -> String {
    let driver = house.driver();
    let mut machine = start(&driver, spec("fate")).await;
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let mut exec = machine.guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
    let lost = loop {
        match exec.next().await {
            Ok(Some(ExecEvent::Exited(status))) => panic!("the step ended with {status:?}"),
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(lost.contains("lost the agent"), "{lost}");
    let words = machine.guard.last_words().await.expect("an end");
    machine.destroy().await.unwrap();
    assert_eq!(house.left(), Vec::<String>::new());
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_panics_in_mid_step_is_told_with_its_last_words() {
    let Some(house) = House::open() else { return };
    let words = fate(&house, "echo c > /proc/sysrq-trigger; sleep 100").await;
    assert!(words.starts_with("the guest's kernel panicked"), "{words}");
    assert!(words.contains("Kernel panic - not syncing"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_in_mid_step_takes_its_machine_along_and_is_told() {
    let Some(house) = House::open() else { return };
    let words = fate(&house, CRASH).await;
    assert!(words.starts_with("the agent in the machine died"), "{words}");
    assert!(words.contains("Attempted to kill init"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qemu_that_is_killed_in_mid_step_is_told() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let mut machine = start(&driver, spec("killed")).await;
    let argv = ["/bin/sleep", "100"].map(str::to_owned).to_vec();
    let mut exec = machine.guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
    signal(&house, &machine, Signal::SIGKILL);
    let lost = exec.next().await.unwrap_err().to_string();
    assert!(lost.contains("lost the agent"), "{lost}");
    let words = machine.guard.last_words().await.expect("an end");
    assert!(words.starts_with("QEMU has ended (signal: 9"), "{words}");
    drop(machine);
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_memory_or_disk_says_so_and_goes_on() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let machine = start(&driver, spec("hungry")).await;
    // Doubles a text until there is no room for it.
    let (_, status) = run(&machine.guest, "x=0123456789abcdef; while :; do x=$x$x; done").await;
    assert_eq!(status, ExitStatus::Signal(9));
    // Nothing that a job does kills the agent.
    told(&machine.guest, "kill -9 1; kill -15 1; true").await;
    assert_eq!(told(&machine.guest, "echo alive").await, "alive");
    let (said, status) = run(&machine.guest, "dd if=/dev/zero of=/home/runner/big bs=1M count=100").await;
    assert!(status == ExitStatus::Code(1) && said.contains("No space left on device"), "{said}");
    let file = vec![0; 8 * 1024 * 1024];
    let error = machine.guest.write_file("/home/runner/other", 0o644, file.into()).await.unwrap_err();
    assert!(matches!(error, GuestError::Refused { kind: RefusalKind::DiskFull, .. }), "{error}");
    assert_eq!(told(&machine.guest, "rm /home/runner/big; echo alive").await, "alive");
    machine.destroy().await.unwrap();
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_floods_its_console_and_the_channel_still_answers_and_costs_no_memory() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let machine = start(&driver, spec("flood")).await;
    let flood = |script: &str| ExecSpec {
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        ..ExecSpec::default()
    };
    let console = "while :; do echo flooded > /dev/kmsg; echo flooded > /dev/ttyS0; done";
    let _console = machine.guest.exec(flood(console)).await.unwrap();
    let before = resident_mib();
    // Nobody reads these.
    let mut floods = Vec::new();
    for _ in 0..8 {
        floods.push(machine.guest.exec(flood("exec cat /dev/zero")).await.unwrap());
    }
    for _ in 0..5 {
        assert_eq!(told(&machine.guest, "head -c 100000 /dev/zero | wc -c").await, "100000");
    }
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB for floods that nobody reads");
    drop(floods);
    machine.destroy().await.unwrap();
    assert_eq!(house.left(), Vec::<String>::new());
}

/// What this process has of the host's memory.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_answer_is_given_up() {
    let Some(house) = House::open() else { return };
    let driver = house.driver().with_deadline(Duration::from_millis(1500));
    let error = driver.start(spec("late")).await.err().expect("no time for a boot").to_string();
    assert!(error.contains("waiting for its agent: no answer after 1.5s"), "{error}");
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_cut_is_refused_before_it_boots() {
    let Some(house) = House::open() else { return };
    let broken = house.image().join("initrd");
    let whole = std::fs::read(&broken).unwrap();
    // The file is shared with the folder that lent it.
    std::fs::remove_file(&broken).unwrap();
    std::fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let error = house.driver().start(spec("cut")).await.err().expect("a damaged image").to_string();
    assert!(error.contains("initrd") && error.contains("bytes instead of"), "{error}");
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_guest_that_answers_no_more_is_given_up_in_mid_step() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let machine = start(&driver, spec("silent")).await;
    let argv = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
    let mut exec = machine.guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
    signal(&house, &machine, Signal::SIGSTOP);
    // From here on time passes as soon as nothing else is to be done.
    tokio::time::pause();
    let bound = KEEP_ALIVE_INTERVAL + KEEP_ALIVE_TIMEOUT + Duration::from_secs(1);
    let lost = tokio::time::timeout(bound, exec.next()).await.expect("given up").unwrap_err().to_string();
    assert!(lost.contains("lost the agent"), "{lost}");
    tokio::time::resume();
    machine.destroy().await.unwrap();
    assert_eq!(house.left(), Vec::<String>::new());
}

/// Sends a signal to the machine's QEMU.
fn signal(house: &House, machine: &Machine, signal: Signal) {
    let noted = house.data.path().join("vms").join(&machine.id.0).join("processes.json");
    let noted: serde_json::Value = serde_json::from_slice(&std::fs::read(noted).unwrap()).unwrap();
    let pid = i32::try_from(noted[0]["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_boot_is_told_with_the_last_words_of_its_kernel() {
    let Some(house) = House::open() else { return };
    // Whole, as its manifest says, and of no use.
    for (initrd_too, name, expected) in [
        (true, "kernel-alone", "the guest's kernel panicked"),
        (false, "no-root", "the machine can't go on: mounting /dev/vda"),
    ] {
        let name = house.nonsense(name, initrd_too);
        let error = house.driver().start(MachineSpec { image: Some(name), ..spec("boot") }).await;
        let error = error.err().expect("no machine").to_string();
        assert!(error.contains("waiting for its agent") && error.contains(expected), "{error}");
        assert!(error.contains("the end of its console:"), "{error}");
        assert_eq!(house.left(), Vec::<String>::new());
    }
}

#[test]
fn a_full_disk_of_the_host_ends_the_machine_before_a_step_can_pass_that_has_lost_its_files() {
    let Some(house) = House::open() else { return };
    let data = house.data.path();
    let (vms, snapshots) = (data.join("vms"), data.join("snapshots"));
    if !house::small_disks(&[&vms, &snapshots]) {
        return;
    }
    // One thread: others would still see the host's own disk.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let driver = house.driver();
        let machine = start(&driver, spec("frozen")).await;
        let error = driver.snapshot(machine, &SnapshotId("s".to_owned())).await.unwrap_err().to_string();
        assert!(error.contains("keeping its memory and disk") && error.contains("No space left"), "{error}");
        assert_eq!((house.left(), std::fs::read_dir(&snapshots).unwrap().count()), (Vec::new(), 0));

        let mut machine = start(&driver, spec("full")).await;
        let script = "dd if=/dev/urandom of=/home/runner/big bs=1M count=40 && sync && sleep 100";
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let mut exec = machine.guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
        let lost = loop {
            match exec.next().await {
                Ok(Some(ExecEvent::Exited(status))) => panic!("the step ended with {status:?}"),
                Ok(_) => {}
                Err(error) => break error.to_string(),
            }
        };
        assert!(lost.contains("lost the agent"), "{lost}");
        let words = machine.guard.last_words().await.expect("an end");
        assert!(words.starts_with("the host's disk is full") && words.contains("make room"), "{words}");
        machine.destroy().await.unwrap();
        assert_eq!(house.left(), Vec::<String>::new());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_driver_cannot_give_is_refused_before_anything_starts() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    for (wanted, word) in [
        (MachineSpec { network: Network::Host, ..spec("r") }, "network of its own"),
        (MachineSpec { expose: vec!["/opt/tools".into()], ..spec("r") }, "/opt/tools"),
        (MachineSpec { memory_mib: Some(16), ..spec("r") }, "128 MiB"),
        (MachineSpec { vcpus: Some(0), ..spec("r") }, "1 to 64"),
        (MachineSpec { image: Some("unknown".to_owned()), ..spec("r") }, "unknown"),
    ] {
        let error = driver.start(wanted).await.err().expect("refused").to_string();
        assert!(error.contains(word), "{error}");
    }
    let missing = house.driver().with_program("/nowhere/qemu");
    let error = missing.start(spec("r")).await.err().expect("no program").to_string();
    assert!(error.contains("/nowhere/qemu") && error.contains("qemu-system-x86"), "{error}");
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_another_version_or_damaged_is_refused_by_name() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let machine = start(&driver, spec("source")).await;
    let snapshot = driver.snapshot(machine, &SnapshotId("s".to_owned())).await.unwrap();
    // Another QEMU: it says another version, and is never started.
    let other = house.data.path().join("other-qemu");
    std::fs::write(&other, "#!/bin/sh\necho QEMU emulator version 1.2.3\n").unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error =
        house.driver().with_program(other).restore(&snapshot, spec("r")).await.err().unwrap().to_string();
    assert!(error.contains("made by QEMU emulator version 7") && error.contains("1.2.3"), "{error}");
    let state = snapshot.folder.join("state");
    let whole = std::fs::read(&state).unwrap();
    std::fs::write(&state, &whole[..whole.len() - 100]).unwrap();
    let error = driver.restore(&snapshot, spec("r")).await.err().unwrap().to_string();
    assert!(error.contains("state is damaged"), "{error}");
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drivers_share_a_data_folder_and_reap_only_the_dead() {
    let Some(house) = House::open() else { return };
    let (one, other) = (house.driver(), house.driver());
    let machine = start(&one, spec("shared")).await;
    assert_eq!(other.reap().await.unwrap(), Vec::<String>::new());
    let error = other.start(spec("shared")).await.err().expect("taken").to_string();
    assert!(error.contains("runs already"), "{error}");
    assert_eq!(told(&machine.guest, "echo alive").await, "alive");
    machine.destroy().await.unwrap();
}
