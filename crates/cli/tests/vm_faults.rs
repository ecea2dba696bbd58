//! What people see when a virtual machine, its host, or Hearth goes wrong in mid-job, where
//! `HEARTH_VM_DATA` names a data folder with an image.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SLEEPER: &str = r#"
on: push
jobs:
  sleeper:
    runs-on: ubuntu-latest
    steps:
    - run: echo the-step-is-there; sleep 1000
"#;

/// One job whose step needs more than there is, and one whose step destroys the agent: no signal
/// can kill the first process of a machine, but nonsense in place of its instructions does.
const SICK: &str = r#"
on: push
jobs:
  hungry:
    runs-on: ubuntu-latest
    steps:
    - run: 'x=0123456789abcdef; while :; do x=$x$x; done'
    - if: always()
      run: echo the-machine-lives
  agent:
    runs-on: ubuntu-latest
    steps:
    - shell: python3 {0}
      run: |
        text = next(line for line in open('/proc/1/maps') if 'r-xp' in line)
        begin, end = (int(number, 16) for number in text.split()[0].split('-'))
        memory = open('/proc/1/mem', 'r+b', buffering=0)
        memory.seek(begin)
        memory.write(b'\xcc' * (end - begin))
        import time; time.sleep(1000)
    - if: always()
      run: echo never-said
"#;

/// How long a boot may take on a busy host without hardware help, and a killed process to be gone.
const PATIENCE: Duration = Duration::from_secs(150);

struct Place(tempfile::TempDir);

impl Place {
    /// A data folder with the image of `HEARTH_VM_DATA`, where the test was asked for.
    fn new() -> Option<Place> {
        let Some(lender) = std::env::var_os("HEARTH_VM_DATA").map(PathBuf::from) else {
            println!(
                "SKIPPED: HEARTH_VM_DATA names no data folder with an image; use cargo xtask test --only vm"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        borrow(&lender.join("images"), &folder.path().join("data/images"));
        Some(Place(folder))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Begins a run of this workflow.
    fn run(&self, name: &str, workflow: &str) -> Child {
        let workflows = self.path(name).join(".github/workflows");
        fs::create_dir_all(&workflows).unwrap();
        fs::write(workflows.join("ci.yml"), workflow).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command.args([
            "run",
            "--machine",
            "qemu",
            "--network",
            "none",
            "--memory",
            "256",
            "--format",
            "plain",
        ]);
        command.current_dir(self.path(name));
        command.env("HEARTH_DATA", self.path("data")).env("XDG_CONFIG_HOME", self.path("config"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The folders of machines, and what else is beside them.
    fn machines(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("data/vms")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The QEMU that this process has started.
    fn qemu_of(&self, hearth: &Child) -> i32 {
        let noted =
            self.machines().into_iter().filter_map(|folder| fs::read(folder.join("processes.json")).ok());
        let lives = noted.flat_map(|noted| serde_json::from_slice::<Vec<serde_json::Value>>(&noted).unwrap());
        let mut pids = lives.map(|life| i32::try_from(life["pid"].as_i64().unwrap()).unwrap());
        pids.find(|pid| parent(*pid) == Some(hearth.id())).expect("its QEMU")
    }
}

/// Copies names, and links files: an image is big, and never changed in place.
fn borrow(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() && entry.file_name() != "build" {
            borrow(&entry.path(), &target);
        } else if kind.is_file() && fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The parent of a process that runs.
fn parent(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if field("State:")?.starts_with('Z') { None } else { field("PPid:")?.parse().ok() }
}

/// Reads a run's output until its step has begun.
fn until_the_step(run: &mut Child) -> BufReader<std::process::ChildStdout> {
    let mut output = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("the-step-is-there") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the run has ended: {}", errors(run));
    }
    output
}

fn errors(run: &mut Child) -> String {
    let mut text = String::new();
    run.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The exit code of a run, and all that it said.
fn end(mut run: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    run.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    said += &errors(&mut run);
    (run.wait().unwrap().code(), said)
}

fn signal(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[test]
fn whoever_dies_in_mid_job_is_told_or_cleaned_up_after_while_others_go_on() {
    let Some(place) = Place::new() else { return };
    // Two at once on one data folder.
    let mut lives = place.run("lives", SLEEPER);
    let mut said = until_the_step(&mut lives);
    let mut dies = place.run("dies", SLEEPER);
    let _open = until_the_step(&mut dies);

    let orphan = place.qemu_of(&dies);
    signal(dies.id().cast_signed());
    dies.wait().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while parent(orphan).is_some() {
        assert!(Instant::now() < deadline, "the kernel ends the machines of a Hearth that is killed");
        std::thread::yield_now();
    }
    assert_eq!(place.machines().iter().filter(|path| path.is_dir()).count(), 2, "its files are still there");

    // The other one was left alone, until its own QEMU dies.
    signal(place.qemu_of(&lives));
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert_eq!(lives.wait().unwrap().code(), Some(4), "{text}");
    assert!(text.contains("lost the agent") && text.contains("note: QEMU has ended (signal: 9"), "{text}");

    // The next one cleans up after both, and leaves nothing itself.
    let (code, said) = end(place.run("sick", SICK));
    assert_eq!(code, Some(4), "{said}");
    for expected in [
        "Error: The machine ran out of memory, and its kernel killed a process.",
        "Error: Process completed with exit code 137.",
        "the-machine-lives",
        "note: the agent in the machine died, and the guest's kernel with it",
        "Kernel panic - not syncing: Attempted to kill init!",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert!(!said.contains("never-said"), "{said}");
    assert_eq!(place.machines(), Vec::<PathBuf>::new());
}

#[test]
fn a_damaged_image_is_named_before_anything_starts() {
    let Some(place) = Place::new() else { return };
    let images = place.path("data/images");
    let id = fs::read_to_string(images.join("names/default")).unwrap();
    let root = images.join(id.trim()).join("root.sqfs");
    // Shared with the folder that lent it.
    let begin = fs::read(&root).unwrap()[..1_000_000].to_vec();
    fs::remove_file(&root).unwrap();
    fs::write(&root, begin).unwrap();
    let (code, said) = end(place.run("damaged", SLEEPER));
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("root.sqfs") && said.contains("1000000 bytes instead of"), "{said}");
    assert!(said.contains("build or import the image again"), "{said}");
    assert_eq!(place.machines(), Vec::<PathBuf>::new());
}
