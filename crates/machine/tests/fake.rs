//! The fake driver's knobs do what they say.

use std::sync::Arc;
use std::time::Duration;

use guest::agent::Script;
use guest::client::{ExecEvent, ExecSpec, ExitStatus, GuestError, RefusalKind};
use machine::fake::FakeDriver;
use machine::{Driver, MachineSpec, Network};
use model::MachineId;
use tokio::sync::Notify;

fn spec() -> MachineSpec {
    MachineSpec::new(MachineId("fake-1".to_owned()), Network::Host)
}

fn sleeper() -> ExecSpec {
    ExecSpec {
        argv: ["/bin/sh", "-c", "echo $$; exec sleep 1000"].map(str::to_owned).to_vec(),
        ..ExecSpec::default()
    }
}

#[tokio::test]
async fn a_fake_machine_really_runs_processes() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    let machine = driver.start(spec()).await.unwrap();
    let argv = ["/bin/sh", "-c", "exit 7"].map(str::to_owned).to_vec();
    let mut exec = machine.guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
    assert_eq!(exec.next().await.unwrap(), Some(ExecEvent::Exited(ExitStatus::Code(7))));
    assert_eq!((driver.started(), driver.alive()), (1, 1));
    machine.destroy().await.unwrap();
    assert_eq!(driver.alive(), 0);
}

#[tokio::test]
async fn a_slow_start_waits_for_its_gate_and_can_be_cancelled() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    let gate = Arc::new(Notify::new());
    driver.hold_starts(Arc::clone(&gate));
    let waiting = tokio::time::timeout(Duration::from_millis(50), driver.start(spec())).await;
    assert!(waiting.is_err());
    assert_eq!((driver.started(), driver.alive()), (1, 0));
    gate.notify_one();
    driver.start(spec()).await.unwrap();
}

#[tokio::test]
async fn a_start_fails_with_the_reason_that_was_set() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    driver.fail_starts("out of machines");
    let error = driver.start(spec()).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("out of machines"), "{error}");
    assert!(!driver.probe().await.usable);
}

#[tokio::test]
async fn a_cut_stream_loses_the_agent_in_the_middle_of_a_process() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    let machine = driver.start(spec()).await.unwrap();
    let mut exec = machine.guest.exec(sleeper()).await.unwrap();
    assert!(matches!(exec.next().await.unwrap(), Some(ExecEvent::Stdout(_))));
    driver.cut_streams();
    assert!(matches!(exec.next().await, Err(GuestError::Lost { .. })));
    assert!(matches!(machine.guest.info().await, Err(GuestError::Lost { .. })));
}

#[tokio::test]
async fn a_stream_is_cut_after_so_many_bytes() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    driver.cut_streams_after(100_000);
    let machine = driver.start(spec()).await.unwrap();
    let argv = ["/bin/sh", "-c", "head -c 1000000 /dev/zero"].map(str::to_owned).to_vec();
    let mut exec = machine.guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
    let mut bytes = 0;
    let error = loop {
        match exec.next().await {
            Ok(Some(ExecEvent::Stdout(data))) => bytes += data.len(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, GuestError::Lost { .. }), "{error}");
    assert!((1..100_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn killed_agents_are_lost_and_take_their_processes_along() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    let machine = driver.start(spec()).await.unwrap();
    let mut exec = machine.guest.exec(sleeper()).await.unwrap();
    assert!(matches!(exec.next().await.unwrap(), Some(ExecEvent::Stdout(_))));
    driver.kill_agents();
    assert!(matches!(exec.next().await, Err(GuestError::Lost { .. })));
}

#[tokio::test]
async fn a_full_disk_refuses_to_write_until_there_is_room_again() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    let machine = driver.start(spec()).await.unwrap();
    let path = format!("{}/file", machine.layout.work);
    driver.set_disk_full(true);
    let error = machine.guest.write_file(&path, 0o644, "x".into()).await.unwrap_err();
    assert!(matches!(error, GuestError::Refused { kind: RefusalKind::DiskFull, .. }), "{error}");
    driver.set_disk_full(false);
    machine.guest.write_file(&path, 0o644, "x".into()).await.unwrap();
}

struct Refrain;

impl Script for Refrain {
    fn play(&self, spec: &ExecSpec) -> Option<Vec<ExecEvent>> {
        match spec.argv[0].as_str() {
            "sing" => Some(vec![
                ExecEvent::Stdout("la\n".into()),
                ExecEvent::Stderr("cough\n".into()),
                ExecEvent::Exited(ExitStatus::Signal(9)),
            ]),
            "hum" => Some(vec![ExecEvent::Stdout("mm".into())]),
            _ => None,
        }
    }
}

#[tokio::test]
async fn a_script_plays_processes_and_leaves_the_others_real() {
    let root = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new(root.path());
    driver.play(Arc::new(Refrain));
    let machine = driver.start(spec()).await.unwrap();
    let start =
        |name: &str| machine.guest.exec(ExecSpec { argv: vec![name.to_owned()], ..ExecSpec::default() });
    let mut sing = start("sing").await.unwrap();
    assert_eq!(sing.next().await.unwrap(), Some(ExecEvent::Stdout("la\n".into())));
    assert_eq!(sing.next().await.unwrap(), Some(ExecEvent::Stderr("cough\n".into())));
    assert_eq!(sing.next().await.unwrap(), Some(ExecEvent::Exited(ExitStatus::Signal(9))));
    let mut hum = start("hum").await.unwrap();
    assert_eq!(hum.next().await.unwrap(), Some(ExecEvent::Stdout("mm".into())));
    assert!(tokio::time::timeout(Duration::from_millis(50), hum.next()).await.is_err());
    let mut real = start("/bin/true").await.unwrap();
    assert_eq!(real.next().await.unwrap(), Some(ExecEvent::Exited(ExitStatus::Code(0))));
}
