//! The keeper: the process that stands outside of a machine and answers for it.
//!
//! The zygote forks one for each machine. It has one thread, so it may fork and change
//! namespaces, which Hearth itself can't.
//!
//! ```text
//! zygote ── keeper ──┐ (middle) ── the machine's first process: the agent
//!                    └ adopts it when the middle is gone
//! ```
//!
//! The keeper never enters the machine, so nothing in it can signal or trace the keeper.
//! When the driver closes the control stream, however it died, the keeper kills the
//! machine's first process, with which the kernel kills all others, waits until they
//! are gone, and removes what they left. If the keeper is killed, the kernel kills the
//! first process too, and the next life removes the rest.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::cgroup::Groups;
use super::ids::Identity;
use super::inside;
use super::remains::Remains;
use super::tree::Builder;
use super::wire::{Doing, Failure, FromInside, Report, StageConfig, Started, ToInside, receive, send};
use super::zygote::{self, Streams};

/// Becomes the zygote, and in each process that is forked of it the keeper of one machine: the
/// whole body of the hidden command.
///
/// Standard input is the stream of orders. In a machine's first process, `agent` is called with
/// the agent's stream and its value is that process's exit code; in a keeper this returns when its
/// machine is gone, and in the zygote when the driver is.
///
/// Must be called before the process has a second thread.
pub fn keep(agent: impl FnOnce(UnixStream) -> ExitCode) -> ExitCode {
    match zygote::become_zygote() {
        Ok(Some(streams)) => keep_one(streams, agent),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("this command is Hearth's own, started by its sandbox driver: {error}");
            ExitCode::from(2)
        }
    }
}

/// The whole life of a keeper.
fn keep_one(
    Streams { control, agent: stream }: Streams,
    agent: impl FnOnce(UnixStream) -> ExitCode,
) -> ExitCode {
    let config: StageConfig = match receive(&control) {
        Ok(config) => config,
        // The driver has gone already.
        Err(_) => return ExitCode::SUCCESS,
    };
    let (report, code) = match Keeper::run(&config, &control, stream, agent) {
        Ok(()) => (Report::Gone, ExitCode::SUCCESS),
        Err(failure) => (Report::Failed(failure), ExitCode::FAILURE),
    };
    // If the driver is gone nobody wants to know.
    let _ = send(&control, &report);
    code
}

/// Shuts all descriptors but these. What owns one of the others must not be dropped after this.
pub(crate) fn shut_all_but(kept: &[i32]) -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| !kept.contains(descriptor))
        .collect();
    for descriptor in open {
        // The one that listed the folder is shut already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

struct Keeper<'a> {
    config: &'a StageConfig,
    identity: Identity,
    remains: Remains,
    groups: Groups,
    notes: Vec<String>,
}

impl<'a> Keeper<'a> {
    fn run(
        config: &'a StageConfig,
        control: &UnixStream,
        stream: UnixStream,
        agent: impl FnOnce(UnixStream) -> ExitCode,
    ) -> Result<(), Failure> {
        // Modes here are what they say: the machine's folder itself is for its owner only.
        nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        let mut keeper = Keeper::prepare(config)?;
        match keeper.start(control, stream, agent) {
            Ok(()) => keeper.clean(),
            Err(failure) => {
                // The first failure tells more than that of cleaning up after it.
                let _ = keeper.clean();
                Err(failure)
            }
        }
    }

    /// Takes a place and ids for the machine.
    fn prepare(config: &'a StageConfig) -> Result<Self, Failure> {
        let remains = Remains::take(&config.data_dir, &config.id)
            .doing(|| format!("taking a place in {}", config.data_dir.display()))?
            .ok_or_else(|| {
                Failure::new("taking the machine's folder", format!("machine {} runs already", config.id))
            })?;
        let identity = Identity::take(std::process::id());
        let made = identity.and_then(|identity| {
            remains.make().doing(|| format!("making {}", remains.folder().display()))?;
            Ok(identity)
        });
        match made {
            Ok(identity) => {
                Ok(Keeper { config, identity, remains, groups: Groups::default(), notes: Vec::new() })
            }
            Err(failure) => {
                // The reason why nothing could be made tells more.
                let _ = remains.remove();
                Err(failure)
            }
        }
    }

    /// Starts the machine and stays until it is over.
    fn start(
        &mut self,
        control: &UnixStream,
        stream: UnixStream,
        agent: impl FnOnce(UnixStream) -> ExitCode,
    ) -> Result<(), Failure> {
        let begin = std::time::Instant::now();
        nix::sys::prctl::set_child_subreaper(true).doing(|| "becoming the machine's keeper".to_owned())?;
        if self.identity.owner().is_some() {
            unshare(CloneFlags::CLONE_NEWNS).doing(|| "making a mount namespace".to_owned())?;
        }
        self.make_groups()?;
        let (ours, theirs) = UnixStream::pair().doing(|| "making a socket pair".to_owned())?;
        let stage = self.remains.stage();
        let Some(middle) = fork()? else {
            let inside = inside::Inside {
                config: self.config,
                stage: &stage,
                outside_builds: self.identity.owner().is_some(),
                groups: &self.groups,
                keeper: theirs,
            };
            inside.run(stream, agent)
        };
        drop((theirs, stream));
        let (first, mut started) = self.bring_up(middle, &ours).inspect_err(|_| end(middle))?;
        started.notes.splice(0..0, std::mem::take(&mut self.notes));
        started.boot.insert(0, ("keeper".to_owned(), micros(begin)));
        drop(ours);
        // A driver that is gone is noticed by `watch` at once.
        let _ = send(control, &Report::Ready(started));
        watch(control, first);
        Ok(())
    }

    /// Carries the inside through its start. Returns its first process.
    fn bring_up(&mut self, middle: Pid, inside: &UnixStream) -> Result<(Pid, Started), Failure> {
        match hear(inside)? {
            FromInside::Unshared { unbounded: None } => {}
            FromInside::Unshared { unbounded: Some(error) } => {
                self.groups.remove();
                self.notes.push(format!(
                    "bounds not enforced: the machine can't enter its control group ({error})"
                ));
            }
            other => return Err(unexpected(&other)),
        }
        self.identity.write_maps(middle.as_raw())?;
        if let Some(owner) = self.identity.owner() {
            let users = File::open(format!("/proc/{middle}/ns/user"))
                .doing(|| "opening the machine's user namespace".to_owned())?;
            let stage = self.remains.stage();
            let mut builder = Builder {
                config: self.config,
                stage: &stage,
                owner: Some(owner),
                users: Some(&users),
                notes: Vec::new(),
            };
            builder.build()?;
            self.notes.append(&mut builder.notes);
        }
        tell(inside)?;
        let first = match hear(inside)? {
            FromInside::Forked(pid) => Pid::from_raw(pid),
            other => return Err(unexpected(&other)),
        };
        // Only now is the first process ours, and dies with us once it asks to.
        waitpid(middle, None).doing(|| "waiting for the middle process".to_owned())?;
        let ready = tell(inside).and_then(|()| hear(inside));
        match ready {
            Ok(FromInside::Ready(started)) => Ok((first, started)),
            other => {
                end(first);
                Err(other.map_or_else(|failure| failure, |message| unexpected(&message)))
            }
        }
    }

    fn make_groups(&mut self) -> Result<(), Failure> {
        if self.config.without.cgroups {
            let unbounded = "bounds of memory and processors not enforced: control groups are switched off";
            self.notes.push(unbounded.to_owned());
            return Ok(());
        }
        let (groups, mut notes) = Groups::make(&self.config.id, &self.config.limits);
        self.groups = groups;
        self.notes.append(&mut notes);
        self.remains.record_groups(&self.groups).doing(|| "noting the control groups".to_owned())
    }

    /// Removes all that the machine left.
    fn clean(self) -> Result<(), Failure> {
        let doing = || format!("removing {}", self.remains.folder().display());
        if self.identity.owner().is_some() {
            go_to("/").doing(doing)?;
            // There is no mount when the start failed before it.
            let _ = rustix::mount::unmount(self.remains.stage(), rustix::mount::UnmountFlags::DETACH);
        }
        self.groups.remove();
        let Keeper { remains, .. } = self;
        let folder = remains.folder().to_path_buf();
        remains.remove().doing(|| format!("removing {}", folder.display()))
    }
}

/// Waits until the driver lets go or the machine ends by itself; then ends it.
fn watch(control: &UnixStream, first: Pid) {
    let Some(pid) = rustix::process::Pid::from_raw(first.as_raw()) else { return };
    // It is our child and not waited for: the id can't mean another.
    let Ok(machine) = pidfd_open(pid, PidfdFlags::empty()) else { return end(first) };
    loop {
        let mut waits = [
            PollFd::new(control.as_fd(), PollFlags::POLLIN),
            PollFd::new(machine.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waits, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            _ => break,
        }
    }
    // It may have ended by itself.
    let _ = pidfd_send_signal(&machine, Signal::KILL);
    end(first);
}

/// Changes the working directory of the process.
#[expect(
    clippy::disallowed_methods,
    reason = "the keeper and the inside have one thread, and mounts need short relative names"
)]
pub(crate) fn go_to(folder: impl AsRef<std::path::Path>) -> io::Result<()> {
    std::env::set_current_dir(folder)
}

/// Forks. `None` in the child.
#[expect(
    unsafe_code,
    reason = "no library forks safely; an exec instead would make the agent traceable by the job"
)]
pub(crate) fn fork() -> Result<Option<Pid>, Failure> {
    // SAFETY: the keeper has one thread (see `keep`), so no lock can be held by another
    // thread that would be missing in the child.
    match unsafe { nix::unistd::fork() }.doing(|| "making a process".to_owned())? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Kills a child and waits for it. For a machine's first process, the kernel ends this
/// wait only when all processes of the machine are gone.
fn end(child: Pid) {
    let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
    while matches!(waitpid(child, None), Err(nix::errno::Errno::EINTR) | Ok(WaitStatus::Stopped(..))) {}
}

fn tell(inside: &UnixStream) -> Result<(), Failure> {
    send(inside, &ToInside::Go).doing(|| "telling the machine to go on".to_owned())
}

fn hear(inside: &UnixStream) -> Result<FromInside, Failure> {
    match receive(inside) {
        Ok(FromInside::Failed(failure)) => Err(failure),
        Ok(message) => Ok(message),
        Err(error) => Err(Failure::new("starting the machine's first process", format!("it died ({error})"))),
    }
}

fn unexpected(message: &FromInside) -> Failure {
    Failure::new("starting the machine", format!("unexpected message {message:?}"))
}

/// Microseconds since `begin`.
pub(crate) fn micros(begin: std::time::Instant) -> u64 {
    u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX)
}
