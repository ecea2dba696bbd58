//! The inside of a machine, from the first namespace to the agent.
//!
//! Two processes come by here. The middle one makes the namespaces, forks the first
//! process of the machine into them, and is gone. The first one finishes the file tree,
//! gives everything up that the job must not have, and becomes the agent.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, pivot_root, setgroups, sethostname, setresgid, setresuid, setsid};
use rustix::mount::{MountFlags, UnmountFlags};

use super::cgroup::Groups;
use super::ids::RANGE_LEN;
use super::keeper::{fork, go_to, micros, shut_all_but};
use super::mounts::{self, Forbid};
use super::tree::{Builder, ROOT};
use super::wire::{Doing, Failure, FromInside, StageConfig, Started, ToInside, receive, send};
use super::{seal, seccomp, switches, visible};
use crate::network::interface;

/// Group of terminals on every Linux.
const TTY_GROUP: u32 = 5;

/// What the inside knows when it begins.
pub(crate) struct Inside<'a> {
    pub(crate) config: &'a StageConfig,
    pub(crate) stage: &'a Path,
    /// Whether the host's root builds the file tree, and the machine has a whole range of ids.
    pub(crate) outside_builds: bool,
    /// The control groups that bound the machine.
    pub(crate) groups: &'a Groups,
    pub(crate) keeper: UnixStream,
}

impl Inside<'_> {
    /// Runs the inside, in the middle process as well as in the first one, and ends the process.
    pub(crate) fn run(self, stream: UnixStream, agent: impl FnOnce(UnixStream) -> ExitCode) -> ! {
        // The rest of what was open is the keeper's: its lock, its driver.
        let kept = [0, 1, 2, self.keeper.as_raw_fd(), stream.as_raw_fd()];
        let machine = shut_all_but(&kept)
            .doing(|| "shutting descriptors".to_owned())
            .and_then(|()| self.become_machine());
        let code = match machine {
            Ok(Some(started)) => {
                let ready = send(&self.keeper, &FromInside::Ready(started)).is_ok();
                drop(self.keeper);
                if ready { agent(stream) } else { ExitCode::FAILURE }
            }
            Ok(None) => ExitCode::SUCCESS,
            Err(failure) => {
                // Without a keeper there is nobody to tell.
                let _ = send(&self.keeper, &FromInside::Failed(failure));
                ExitCode::FAILURE
            }
        };
        // Not a return: above us are things that belong to the keeper.
        std::process::exit(i32::from(code != ExitCode::SUCCESS))
    }

    /// `None` in the middle process.
    fn become_machine(&self) -> Result<Option<Started>, Failure> {
        setsid().doing(|| "leaving the terminal".to_owned())?;
        let mut started = Started::default();
        let begin = Instant::now();
        if let Some(folder) = self.stage.parent() {
            go_to(folder).doing(|| "entering the machine's folder".to_owned())?;
        }
        let unbounded = self.groups.enter().err().map(|error| error.to_string());
        self.unshare_users()?;
        self.say(&FromInside::Unshared { unbounded })?;
        self.wait()?;
        self.become_root()?;
        started.boot.push(("ids".to_owned(), micros(begin)));

        let begin = Instant::now();
        if !self.outside_builds {
            self.build(&mut started)?;
        }
        self.unshare_rest()?;
        started.boot.push(("namespaces".to_owned(), micros(begin)));
        if let Some(first) = fork()? {
            self.say(&FromInside::Forked(first.as_raw()))?;
            return Ok(None);
        }
        let begin = Instant::now();
        self.finish(&mut started)?;
        started.boot.push(("tree and seals".to_owned(), micros(begin)));
        Ok(Some(started))
    }

    fn unshare_users(&self) -> Result<(), Failure> {
        unshare(CloneFlags::CLONE_NEWUSER)
            .map_err(|error| switches::refused("making a user namespace", error))
    }

    fn become_root(&self) -> Result<(), Failure> {
        let doing = || "becoming the machine's root".to_owned();
        if self.outside_builds {
            // Relative: above it may be folders that only the host's root may enter. By name
            // and not by `.`: what the builder mounted there covers what was there before.
            go_to("stage").doing(doing)?;
            setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).doing(doing)?;
            setgroups(&[]).doing(doing)?;
            setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).doing(doing)?;
        }
        Ok(())
    }

    fn build(&self, started: &mut Started) -> Result<(), Failure> {
        // Where AppArmor restricts user namespaces, it is here that they turn out to be worth nothing.
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|error| switches::refused("making a mount namespace", error))?;
        let mut builder =
            Builder { config: self.config, stage: self.stage, owner: None, users: None, notes: Vec::new() };
        builder.build()?;
        started.notes.append(&mut builder.notes);
        Ok(())
    }

    fn unshare_rest(&self) -> Result<(), Failure> {
        let mut flags = CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP;
        if self.outside_builds {
            // The keeper's own mounts are not this machine's to change.
            flags |= CloneFlags::CLONE_NEWNS;
        }
        if !self.config.host_network {
            flags |= CloneFlags::CLONE_NEWNET;
        }
        unshare(flags).map_err(|error| switches::refused("making the machine's namespaces", error))
    }

    /// In the first process: all that is left before the agent.
    fn finish(&self, started: &mut Started) -> Result<(), Failure> {
        // The keeper lets go when the middle process is gone, so this is about the keeper itself.
        self.wait()?;
        prctl::set_pdeathsig(Signal::SIGKILL).doing(|| "binding the machine to its keeper".to_owned())?;
        // The job can't look into the agent, stop it, or take its stream.
        prctl::set_dumpable(false).doing(|| "shutting the agent off".to_owned())?;
        prctl::set_name(c"hearth-agent").doing(|| "naming the agent".to_owned())?;
        sethostname(&self.config.id).doing(|| "naming the machine".to_owned())?;
        if !self.config.host_network {
            interface::bring_up(interface::LOOPBACK)
                .doing(|| "bringing up the machine's loopback".to_owned())?;
        }
        self.kernel_mounts()?;
        enter_root()?;
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        self.layout()?;
        bound_processes(self.config.limits.processes)?;
        shut_standard_error()?;
        seal::drop_capabilities()?;
        if self.config.without.landlock {
            started.notes.push("no Landlock: switched off".to_owned());
        } else {
            started.notes.extend(seal::landlock()?);
        }
        seccomp::apply(if self.outside_builds { RANGE_LEN } else { 1 })
    }

    /// What the kernel mounts only for a process inside of the pid and ipc namespaces.
    fn kernel_mounts(&self) -> Result<(), Failure> {
        let root = Path::new(ROOT);
        mounts::kernel("proc", &root.join("proc"), "", MountFlags::NODEV).map_err(|error| {
            Failure::new("mounting the machine's /proc", format!("{error}: parts of this host's /proc are covered (a container?), so the kernel gives no other; use another machine (--machine)"))
        })?;
        for path in visible::PROC_READ.iter().filter(|path| root.join(path).exists()) {
            let path = root.join(path);
            mounts::bind(&path, &path, Forbid { writes: true, devices: true, execution: true })
                .doing(|| format!("shutting /{}", path.display()))?;
        }
        for path in visible::PROC_SHUT.iter().filter(|path| root.join(path).exists()) {
            let path = root.join(path);
            let shut = if path.is_dir() {
                mounts::tmpfs(&path, "size=4k,mode=555")
            } else {
                mounts::bind(
                    &root.join("dev/null"),
                    &path,
                    Forbid { writes: true, devices: true, execution: true },
                )
            };
            shut.doing(|| format!("shutting /{}", path.display()))?;
        }
        let group = if self.outside_builds { format!(",gid={TTY_GROUP}") } else { String::new() };
        let options = format!("newinstance,ptmxmode=0666,mode=0620{group}");
        mounts::kernel("devpts", &root.join("dev/pts"), &options, MountFlags::empty())
            .doing(|| "mounting the machine's terminals".to_owned())?;
        // Message queues are rarely compiled out, and rarely used.
        let _ = mounts::kernel("mqueue", &root.join("dev/mqueue"), "", MountFlags::NODEV);
        Ok(())
    }

    /// The job's folders. Made from within, where no link leads outside.
    fn layout(&self) -> Result<(), Failure> {
        for folder in self.config.layout.folders() {
            fs::create_dir_all(folder).doing(|| format!("making the machine's folder {folder}"))?;
        }
        // A link and not a mount: a step may empty its temporary folder.
        let command_files = &self.config.layout.command_files;
        fs::create_dir(visible::COMMAND_FILES)
            .and_then(|()| symlink(visible::COMMAND_FILES, command_files))
            .doing(|| format!("making the machine's folder {command_files}"))
    }

    fn say(&self, message: &FromInside) -> Result<(), Failure> {
        send(&self.keeper, message).doing(|| "speaking to the keeper".to_owned())
    }

    fn wait(&self) -> Result<(), Failure> {
        let ToInside::Go = receive(&self.keeper).doing(|| "waiting for the keeper".to_owned())?;
        Ok(())
    }
}

/// Makes the tree the root, and lets go of the host's.
fn enter_root() -> Result<(), Failure> {
    let doing = || "entering the machine's file tree".to_owned();
    // A copy, since what came with the namespace is locked where it is.
    let tree = mounts::own_mount(Path::new(ROOT)).doing(doing)?;
    rustix::process::fchdir(&tree).doing(doing)?;
    drop(tree);
    pivot_root(".", ".").doing(doing)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).doing(doing)?;
    go_to("/").doing(doing)
}

/// Bounds the number of processes where no control group does: the kernel counts them
/// by user and user namespace.
fn bound_processes(bound: u32) -> Result<(), Failure> {
    lower(Resource::RLIMIT_NPROC, u64::from(bound))?;
    // One byte is the kernel's word for "no file, and no collector of the host's either".
    lower(Resource::RLIMIT_CORE, 1)
}

/// Sets a limit, or leaves it where it is lower already.
fn lower(resource: Resource, bound: u64) -> Result<(), Failure> {
    let doing = || format!("setting {resource:?}");
    let (_, hard) = getrlimit(resource).doing(doing)?;
    let bound = bound.min(hard);
    setrlimit(resource, bound, bound).doing(doing)
}

/// The agent says what it has to say on its stream.
fn shut_standard_error() -> Result<(), Failure> {
    let doing = || "shutting standard error".to_owned();
    let null = fs::File::options().read(true).write(true).open("/dev/null").doing(doing)?;
    nix::unistd::dup2_stdin(&null).doing(doing)?;
    nix::unistd::dup2_stdout(&null).doing(doing)?;
    nix::unistd::dup2_stderr(&null).doing(doing)
}
