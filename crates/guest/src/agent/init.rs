//! The agent as the first process of a machine with a kernel of its own.
//!
//! It is all that runs there beside the job: it loads modules, mounts the root, meets the host
//! on a port of the machine, and takes in orphans. Whoever is at the other end may come and go;
//! what was started in the machine stays, until the machine ends.

mod modules;
mod mounts;
mod port;
mod settings;
mod uevents;
mod vsock;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::resource::{Resource, setrlimit};

use super::{Agent, Options, Scope, interface};
use settings::{Channel, Settings};
use uevents::Uevents;

/// Files that each process may open: as on GitHub's machines.
const OPEN_FILES: u64 = 65536;

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
    if let Err(error) = boot().and_then(|(settings, options)| live(&settings, options)) {
        say(&format!("hearth agent: the machine can't go on: {error}"));
    }
    nix::unistd::sync();
    // Returns only if the kernel refuses; then the end of this process is the kernel's too.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    Some(ExitCode::FAILURE)
}

/// Makes the machine what a job expects of one.
fn boot() -> Result<(Settings, Options), BootError> {
    let begin = Instant::now();
    mounts::kernel_file_systems()?;
    // From here on there is a console to complain on.
    let uevents = Uevents::listen().doing(|| "listening for devices".to_owned())?;
    modules::load_all(say)?;
    let line = fs::read_to_string("/proc/cmdline").doing(|| "reading the command line".to_owned())?;
    let settings = Settings::parse(&line).map_err(io::Error::other);
    let settings = settings.doing(|| "reading the command line".to_owned())?;
    mounts::enter_root(&settings, &uevents)?;
    mounts::job_file_systems()?;
    for folder in &settings.folders {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
    }
    interface::loopback_up().doing(|| "bringing the loopback up".to_owned())?;
    // A job can do with less.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES);
    let mut options = Options::new(Scope::Process);
    options.init = Some(begin.elapsed());
    Ok((settings, options))
}

/// Serves the host until it asks for the end.
fn live(settings: &Settings, options: Options) -> Result<(), BootError> {
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
