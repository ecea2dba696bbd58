//! A data folder, a driver, and machines to ask.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use guest::client::{ExecEvent, ExecSpec, ExitStatus};
use machine::sandbox::{KeeperProgram, SandboxDriver, Without};
use machine::{Driver, Machine, MachineSpec, Network};
use model::MachineId;

/// An ordinary user that no host has.
const ORDINARY: u32 = 47_110;

/// Who starts the keepers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Root,
    Ordinary,
}

/// One data folder and its driver.
pub(crate) struct House {
    pub(crate) caller: Caller,
    pub(crate) driver: SandboxDriver,
    keeper: KeeperProgram,
    data: PathBuf,
    folder: tempfile::TempDir,
}

/// What a command in a machine did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

impl Ran {
    pub(crate) fn ok(&self) -> bool {
        self.status == ExitStatus::Code(0)
    }
}

impl House {
    /// A house of this caller. `None`: who runs the tests can't play it.
    pub(crate) fn of(caller: Caller) -> Option<House> {
        Self::with(caller, Without::default())
    }

    pub(crate) fn with(caller: Caller, without: Without) -> Option<House> {
        Self::named(caller, without, "data")
    }

    /// A house on a host as the shell script makes it, in a mount namespace of the keeper's own; `$1` is an
    /// empty folder for it. `None`: who runs the tests may not mount.
    pub(crate) fn on(caller: Caller, without: Without, script: &str) -> Option<House> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root can make a host");
            return None;
        }
        let mut house = Self::with(caller, without)?;
        let scratch = house.folder().join("scratch");
        fs::create_dir(&scratch).expect("a folder");
        let KeeperProgram { mut program, args } = house.keeper.clone();
        if caller == Caller::Root {
            // Where the build's folder is not there.
            program = house.folder().join("keeper");
            fs::copy(env!("CARGO_BIN_EXE_hearth-keeper"), &program).expect("copied");
        }
        let shell = format!("set -e; {{ {script}\n}} >&2; shift; exec \"$@\"");
        let mut words: Vec<OsString> = ["--mount", "sh", "-c", &shell, "sh"].map(OsString::from).to_vec();
        words.extend([scratch.into_os_string(), program.into_os_string()]);
        words.extend(args);
        house.keeper = KeeperProgram { program: "/usr/bin/unshare".into(), args: words };
        house.driver = SandboxDriver::new(house.data.clone(), house.keeper.clone()).without(without);
        Some(house)
    }

    /// A house whose keepers live in a user namespace of their own, after this script in it.
    pub(crate) fn in_user_namespace(script: &str) -> Option<House> {
        let mut house = Self::on(Caller::Ordinary, Without::default(), ":")?;
        let shell = format!("{script}\nexec \"$@\"");
        // What is started so: the user, then the namespace, then the keeper.
        let KeeperProgram { program, mut args } = house.keeper.clone();
        let keeper = args.pop().expect("the keeper");
        args.extend(["unshare", "--user", "--map-root-user", "sh", "-c", &shell, "sh"].map(OsString::from));
        args.push(keeper);
        house.keeper = KeeperProgram { program, args };
        house.driver = SandboxDriver::new(house.data.clone(), house.keeper.clone());
        Some(house)
    }

    /// A house whose data folder has this name.
    pub(crate) fn named(caller: Caller, without: Without, name: &str) -> Option<House> {
        let root = nix::unistd::geteuid().is_root();
        if caller == Caller::Root && !root {
            eprintln!("skipped: these tests run as an ordinary user");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        let data = folder.path().join(name);
        fs::create_dir(&data).expect("a data folder");
        let own = Path::new(env!("CARGO_BIN_EXE_hearth-keeper"));
        let keeper = if caller == Caller::Ordinary && root {
            chown(&data, Some(ORDINARY), Some(ORDINARY)).expect("given away");
            // The build's own folder may be behind root's.
            let copy = folder.path().join("keeper");
            fs::copy(own, &copy).expect("copied");
            let options =
                [format!("--reuid={ORDINARY}"), format!("--regid={ORDINARY}"), "--clear-groups".to_owned()];
            let mut args: Vec<OsString> = options.into_iter().map(OsString::from).collect();
            args.push(copy.into());
            KeeperProgram { program: "/usr/bin/setpriv".into(), args }
        } else {
            KeeperProgram::at(own)
        };
        let driver = SandboxDriver::new(data.clone(), keeper.clone()).without(without);
        Some(House { caller, driver, keeper, data, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// What is left of machines.
    pub(crate) fn remains(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data().join("machines")).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    pub(crate) async fn start(&self) -> Machine {
        self.start_as(spec()).await
    }

    pub(crate) async fn start_as(&self, spec: MachineSpec) -> Machine {
        self.driver.start(spec).await.unwrap_or_else(|error| panic!("{:?}: {error}", self.caller))
    }
}

impl Drop for House {
    /// Waits for the keepers of machines that were dropped and not destroyed: they still remove files from the
    /// folder, and each holds its lock until it has.
    fn drop(&mut self) {
        for entry in fs::read_dir(self.data().join("machines")).into_iter().flatten().flatten() {
            if let Ok(lock) = fs::File::open(entry.path())
                && entry.path().extension().is_some_and(|extension| extension == "lock")
            {
                lock.lock().expect("the keeper lets go");
            }
        }
    }
}

/// A machine as jobs get it, with a name that no other test has.
pub(crate) fn spec() -> MachineSpec {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    MachineSpec::new(MachineId(name), Network::None)
}

/// Runs a shell script in a machine; both outputs in one.
pub(crate) async fn run(machine: &Machine, script: &str) -> Ran {
    run_argv(machine, &["/bin/sh", "-c", script]).await
}

pub(crate) async fn run_argv(machine: &Machine, argv: &[&str]) -> Ran {
    let spec = ExecSpec {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        cwd: machine.layout.work.clone(),
        env: vec![
            ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOME".to_owned(), machine.layout.home.clone()),
        ],
        ..ExecSpec::default()
    };
    let mut exec = machine.guest.exec(spec).await.expect("the command starts");
    let mut output = Vec::new();
    loop {
        match exec.next().await.expect("the machine speaks").expect("the command ends") {
            ExecEvent::Stdout(data) | ExecEvent::Stderr(data) => output.extend_from_slice(&data),
            ExecEvent::Exited(status) => {
                return Ran { status, output: String::from_utf8_lossy(&output).into_owned() };
            }
        }
    }
}

/// The host's processes whose command line has this word.
pub(crate) fn processes_with(word: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes()))
    })
    .collect()
}

/// The one `sleep` with this word, once it is that: on its way there a process shows its parent's command line, then
/// setsid's, and in between none.
pub(crate) async fn sleeper(word: &str) -> i32 {
    let sleeps = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| line == format!("sleep\0{word}\0").into_bytes())
    };
    until("the job sleeps", || processes_with(word).iter().any(sleeps)).await;
    let all = processes_with(word);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

/// Waits until something is so; a test's own deadline ends it if it never is.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !so() {
        assert!(std::time::Instant::now() < deadline, "never so: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// The same test for both callers.
macro_rules! for_each_caller {
    ($(async fn $name:ident($house:ident: &House) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "each test uses its own part")]
            use super::*;

            async fn check($house: &House) $body

            #[tokio::test]
            async fn as_root() {
                if let Some(house) = House::of($crate::house::Caller::Root) {
                    check(&house).await;
                }
            }

            #[tokio::test]
            async fn as_an_ordinary_user() {
                if let Some(house) = House::of($crate::house::Caller::Ordinary) {
                    check(&house).await;
                }
            }
        }
    )*};
}
pub(crate) use for_each_caller;
