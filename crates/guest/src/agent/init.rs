//! The agent as the first process of a machine with a kernel of its own.
//!
//! Where the image has no init of its own, it is all that runs there beside the job: it loads
//! modules, mounts the root, meets the host on a port of the machine, and takes in orphans.
//! Whoever is at the other end may come and go; what was started in the machine stays, until the
//! machine ends.
//!
//! An image that has an init of its own (`hearth.init=`) gets that as the first process, once
//! everything is mounted; the agent then serves beside it.

mod modules;
mod mounts;
mod port;
mod settings;
mod uevents;
mod vsock;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::resource::{Resource, setrlimit};

use super::{Agent, Options, Scope, interface};
use settings::{Channel, Settings};
use uevents::Uevents;

/// Files that each process may open: as on GitHub's machines.
const OPEN_FILES: u64 = 65536;

/// First argument of an agent beside the image's own init; the second is how long the boot took, in microseconds.
const BESIDE: &str = "beside-init";

/// Why the machine can't be started.
#[derive(Debug)]
struct BootError {
    doing: String,
    source: io::Error,
}

impl std::fmt::Display for BootError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.doing, self.source)
    }
}

/// Says what was being done when something failed.
trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, BootError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, BootError> {
        self.map_err(|error| BootError { doing: what(), source: error.into() })
    }
}

/// Becomes the machine's init if this is the kernel's first process, and then never returns:
/// its end is that of the machine. To be called in `main`, before there is a second thread.
#[must_use]
pub fn run_if_first() -> Option<ExitCode> {
    if std::process::id() != 1 {
        return None;
    }
    Some(end(boot().and_then(|(settings, took)| match &settings.init {
        Some(init) => Err(hand_over(init, took)),
        None => live(&settings, took),
    })))
}

/// Serves the host beside the image's own init if this process was started for that, and then never returns. To be
/// called in `main`, before there is a second thread.
#[must_use]
pub fn run_if_beside() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != BESIDE {
        return None;
    }
    let took = arguments.next()?.parse().map(Duration::from_micros).ok()?;
    Some(end(settings().and_then(|settings| {
        // Orphans of jobs are the agent's, not the image's init's.
        nix::sys::prctl::set_child_subreaper(true).doing(|| "taking in orphans".to_owned())?;
        nix::unistd::setsid().doing(|| "leaving the session".to_owned())?;
        live(&settings, took)
    })))
}

/// The end of the machine.
fn end(lived: Result<(), BootError>) -> ExitCode {
    if let Err(error) = lived {
        say(&format!("hearth agent: the machine can't go on: {error}"));
    }
    nix::unistd::sync();
    // Returns only if the kernel refuses; then the end of this process is the kernel's too.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    ExitCode::FAILURE
}

/// Starts the agent anew beside this process, which becomes the image's init. Comes back only with what went wrong.
fn hand_over(init: &Path, took: Duration) -> BootError {
    let mut agent = Command::new("/proc/self/exe");
    if let Err(source) = agent.args([BESIDE, &took.as_micros().to_string()]).spawn() {
        return BootError { doing: "starting the agent".to_owned(), source };
    }
    BootError {
        doing: format!("becoming {}, the image's init", init.display()),
        source: Command::new(init).exec(),
    }
}

/// Makes the machine what a job expects of one.
fn boot() -> Result<(Settings, Duration), BootError> {
    let begin = Instant::now();
    mounts::kernel_file_systems()?;
    // From here on there is a console to complain on.
    let uevents = Uevents::listen().doing(|| "listening for devices".to_owned())?;
    modules::load_all(say)?;
    let settings = settings()?;
    mounts::enter_root(&settings, &uevents)?;
    mounts::job_file_systems()?;
    for folder in &settings.folders {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
    }
    interface::loopback_up().doing(|| "bringing the loopback up".to_owned())?;
    // A job can do with less.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES);
    Ok((settings, begin.elapsed()))
}

/// What the host says on the kernel's command line.
fn settings() -> Result<Settings, BootError> {
    let line = fs::read_to_string("/proc/cmdline").doing(|| "reading the command line".to_owned())?;
    Settings::parse(&line).map_err(io::Error::other).doing(|| "reading the command line".to_owned())
}

/// Serves the host until it asks for the end. `took` is what it took to get here.
fn live(settings: &Settings, took: Duration) -> Result<(), BootError> {
    let mut options = Options::new(Scope::Process);
    options.init = Some(took);
    let serving = || "serving the host".to_owned();
    nix::sys::stat::umask(nix::sys::stat::Mode::S_IWGRP | nix::sys::stat::Mode::S_IWOTH);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing(serving)?;
    let served = runtime.block_on(async {
        let agent = Arc::new(Agent::new(options).doing(serving)?);
        let meet = async {
            match &settings.channel {
                Channel::Port(name) => port::serve(&agent, name).await,
                Channel::Vsock(port) => vsock::serve(&agent, *port).await,
            }
        };
        tokio::select! {
            met = meet => met,
            () = agent.reap() => Ok(()),
        }
    });
    runtime.shutdown_background();
    served
}

/// Writes a line on the console. Nobody minds if there is none.
fn say(line: &str) {
    if let Ok(mut console) = File::options().write(true).open(Path::new("/dev/console")) {
        let _ = writeln!(console, "{line}");
    }
}
