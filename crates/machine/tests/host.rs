//! The host driver, with agents in processes of their own.

use std::path::Path;
use std::time::{Duration, Instant};

use guest::client::{ExecEvent, ExecSpec, ExitStatus, GuestError};
use machine::host::HostDriver;
use machine::{AgentProgram, Driver, Isolation, Machine, MachineSpec, Network};
use model::MachineId;

fn driver(data: &Path) -> HostDriver {
    HostDriver::new(data, AgentProgram::at(env!("CARGO_BIN_EXE_hearth-keeper")))
}

fn spec(id: &str) -> MachineSpec {
    MachineSpec::new(MachineId(id.to_owned()), Network::Host)
}

fn bash(script: &str) -> ExecSpec {
    ExecSpec {
        argv: ["/bin/bash", "-c", script].map(str::to_owned).to_vec(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        ..ExecSpec::default()
    }
}

/// A script that begins when a line was written to it.
fn on_command(script: &str) -> ExecSpec {
    ExecSpec { stdin_open: true, ..bash(&format!("read -r; {script}")) }
}

async fn run(machine: &Machine, script: &str) -> String {
    let mut exec = machine.guest.exec(bash(script)).await.unwrap();
    let mut text = String::new();
    loop {
        match exec.next().await.unwrap().unwrap() {
            ExecEvent::Stdout(data) | ExecEvent::Stderr(data) => {
                text.push_str(std::str::from_utf8(&data).unwrap())
            }
            ExecEvent::Exited(status) => {
                assert_eq!(status, ExitStatus::Code(0), "{text}");
                return text.trim().to_owned();
            }
        }
    }
}

fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(10), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Two ways to leave the job's process group, session, and parents.
const DAEMON: &str = "setsid bash -c '(setsid sleep 1000 >/dev/null 2>&1 & echo $!)' & wait";

#[tokio::test]
async fn a_machine_runs_commands_in_folders_of_its_own_and_says_that_nothing_is_isolated() {
    let data = tempfile::tempdir().unwrap();
    let machine = driver(data.path()).start(spec("one")).await.unwrap();
    assert_eq!(machine.isolation, Isolation::Host);
    assert!(machine.notes[0].contains("no isolation"), "{:?}", machine.notes);
    let told = run(&machine, &format!("cd {} && pwd", machine.layout.work)).await;
    assert_eq!(told, machine.layout.work);
    assert!(told.ends_with("/machines/one/work"), "{told}");
    machine.destroy().await.unwrap();
}

#[tokio::test]
async fn destroying_a_machine_ends_its_daemons_and_removes_its_folder() {
    let data = tempfile::tempdir().unwrap();
    let machine = driver(data.path()).start(spec("two")).await.unwrap();
    let daemon = run(&machine, DAEMON).await;
    let locked = format!("mkdir -p {0}/a/b && chmod 555 {0}/a/b {0}/a", machine.layout.work);
    run(&machine, &locked).await;
    assert!(runs(&daemon));
    machine.destroy().await.unwrap();
    assert!(!runs(&daemon));
    assert!(!data.path().join("machines/two").exists());
}

#[tokio::test]
async fn dropping_a_machine_ends_it_too() {
    let data = tempfile::tempdir().unwrap();
    let machine = driver(data.path()).start(spec("three")).await.unwrap();
    let daemon = run(&machine, DAEMON).await;
    drop(machine);
    until("the daemon is gone", || !runs(&daemon)).await;
    until("the folder is gone", || !data.path().join("machines/three").exists()).await;
}

#[tokio::test]
async fn a_job_that_kills_its_agent_does_not_outlive_the_machine() {
    let data = tempfile::tempdir().unwrap();
    let machine = driver(data.path()).start(spec("four")).await.unwrap();
    let daemon = run(&machine, DAEMON).await;
    let mut exec = machine.guest.exec(on_command("kill -9 $PPID; sleep 1000")).await.unwrap();
    exec.write_stdin("now\n".into()).await.unwrap();
    assert!(matches!(exec.next().await, Err(GuestError::Lost { .. })));
    machine.destroy().await.unwrap();
    assert!(!runs(&daemon));
}

#[tokio::test]
async fn a_job_that_stops_its_agent_is_ended_all_the_same() {
    let data = tempfile::tempdir().unwrap();
    let machine = driver(data.path()).start(spec("five")).await.unwrap();
    let daemon = run(&machine, DAEMON).await;
    let stopped = data.path().join("stopped");
    let script = format!("kill -STOP $PPID; touch {}; sleep 1000", stopped.display());
    let exec = machine.guest.exec(on_command(&script)).await.unwrap();
    exec.write_stdin("now\n".into()).await.unwrap();
    until("the agent was stopped", || stopped.exists()).await;
    machine.destroy().await.unwrap();
    drop(exec);
    assert!(!runs(&daemon));
}

#[tokio::test]
async fn reaping_removes_what_a_killed_life_left_and_spares_the_living() {
    let data = tempfile::tempdir().unwrap();
    let driver = driver(data.path());
    let living = driver.start(spec("living")).await.unwrap();
    let dead = driver.start(spec("dead")).await.unwrap();
    let daemon = run(&dead, DAEMON).await;
    let foreign = data.path().join("machines/foreign");
    std::fs::create_dir(&foreign).unwrap();
    // As if another Hearth had started it, and was killed together with the agent.
    let owner = data.path().join("machines/dead/host-owner.json");
    std::fs::write(&owner, r#"{"pid":1,"started":1}"#).unwrap();
    let Machine { guest, guard, .. } = dead;
    std::mem::forget(guard);
    let mut exec = guest.exec(on_command("kill -9 $PPID; sleep 1000")).await.unwrap();
    exec.write_stdin("now\n".into()).await.unwrap();
    assert!(exec.next().await.is_err());
    let removed = driver.reap().await.unwrap();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert!(removed[0].ends_with("machines/dead"), "{removed:?}");
    assert!(!runs(&daemon));
    assert!(foreign.exists());
    assert_eq!(run(&living, "echo alive").await, "alive");
    assert!(driver.reap().await.unwrap().is_empty());
    living.destroy().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_no_agent_is_reported_with_its_last_words() {
    let data = tempfile::tempdir().unwrap();
    let agent = AgentProgram { program: "/bin/sh".into(), args: vec!["-c".into(), "echo boom >&2".into()] };
    let driver = HostDriver::new(data.path(), agent);
    let error = driver.start(spec("six")).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("it said: boom"), "{error}");
    until("nothing is left", || !data.path().join("machines/six").exists()).await;
    assert!(!driver.probe().await.usable);
}

#[tokio::test]
async fn a_missing_program_is_reported_by_name_and_nothing_is_left() {
    let data = tempfile::tempdir().unwrap();
    let driver = HostDriver::new(data.path(), AgentProgram::at("/no/such/agent"));
    let error = driver.start(spec("seven")).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("/no/such/agent"), "{error}");
    until("nothing is left", || !data.path().join("machines/seven").exists()).await;
}

#[tokio::test]
async fn ids_that_could_leave_the_folder_are_refused() {
    let data = tempfile::tempdir().unwrap();
    for id in ["", "..", "a/b", "ü"] {
        assert!(driver(data.path()).start(spec(id)).await.is_err(), "{id:?}");
    }
}

#[tokio::test]
async fn an_id_is_used_once_at_a_time() {
    let data = tempfile::tempdir().unwrap();
    let driver = driver(data.path());
    let machine = driver.start(spec("same")).await.unwrap();
    assert!(driver.start(spec("same")).await.is_err());
    assert_eq!(run(&machine, "echo untouched").await, "untouched");
    machine.destroy().await.unwrap();
    driver.start(spec("same")).await.unwrap().destroy().await.unwrap();
}

#[tokio::test]
async fn taking_the_network_away_is_refused_not_ignored() {
    let data = tempfile::tempdir().unwrap();
    let wanted = MachineSpec { network: Network::None, ..spec("eight") };
    let error = driver(data.path()).start(wanted).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("sandbox"), "{error}");
}

#[tokio::test]
async fn the_probe_runs_a_command_and_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let probe = driver(data.path()).probe().await;
    assert!(probe.usable, "{probe:?}");
    assert_eq!(std::fs::read_dir(data.path().join("machines")).unwrap().count(), 0);
}
