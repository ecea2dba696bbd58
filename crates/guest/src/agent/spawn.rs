//! Starting a process: finding the program, becoming the user, laying the pipes.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::unistd::{Gid, Uid};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::children::{Children, Ended};
use super::refusal::Refusal;
use super::users;
use crate::wire::{ExecStart, RefusalKind, TtySize};

/// Set for every process when the agent has it in its own environment: by this a driver
/// finds what is left of a machine whose agent was killed.
pub const MACHINE_VARIABLE: &str = "HEARTH_MACHINE";

/// Where the standard library finds this function, it starts a program in a working directory without a copy of our
/// memory. It looks without asking for it, and a static program has only what somebody asks for: we do.
#[cfg(target_env = "gnu")]
#[used]
static IN_A_FOLDER: unsafe extern "C" fn(
    *mut nix::libc::posix_spawn_file_actions_t,
    *const nix::libc::c_char,
) -> nix::libc::c_int = nix::libc::posix_spawn_file_actions_addchdir_np;

/// Where programs are looked up when the environment has no `PATH`, as `execvp` does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A process that was started, with our ends of its pipes.
pub(super) struct Spawned {
    pub(super) pid: i32,
    pub(super) stdin: Option<pipe::Sender>,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: Option<pipe::Receiver>,
    pub(super) terminal: Option<OwnedFd>,
    pub(super) ended: oneshot::Receiver<Ended>,
}

/// Starts what `start` says.
pub(super) fn spawn(children: &Children, start: &ExecStart) -> Result<Spawned, Refusal> {
    let Some(name) = start.argv.first() else {
        return Err(Refusal::invalid("", "no program was named"));
    };
    let cwd = working_directory(&start.cwd)?;
    let mut command = Command::new(find_program(name, cwd, start)?);
    command.arg0(name).args(&start.argv[1..]).current_dir(cwd).env_clear();
    for variable in &start.env {
        if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
            return Err(Refusal::invalid(&variable.name, "not a name of an environment variable"));
        }
        command.env(&variable.name, &variable.value);
    }
    if let Some(machine) = std::env::var_os(MACHINE_VARIABLE) {
        command.env(MACHINE_VARIABLE, machine);
    }
    let identity = start.user.as_deref().map(Identity::of).transpose()?.flatten();
    match &start.tty {
        Some(size) => on_terminal(children, command, identity, size, name),
        None => on_pipes(children, command, identity, start.has_stdin, name),
    }
}

fn working_directory(cwd: &str) -> Result<&Path, Refusal> {
    let path = Path::new(if cwd.is_empty() { "/" } else { cwd });
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err(Refusal::invalid(cwd, "the working directory is not a directory")),
        Err(error) => {
            let refusal = Refusal::io(cwd, &error);
            let reason = format!("the working directory: {}", refusal.reason);
            Err(Refusal { reason, ..refusal })
        }
    }
}

/// Where the program is. We look ourselves for two reasons: the answer names what is wrong, and
/// the standard library starts a program given by path in the fast way (no copy of our memory).
fn find_program(name: &str, cwd: &Path, start: &ExecStart) -> Result<PathBuf, Refusal> {
    if name.is_empty() {
        return Err(Refusal::invalid(name, "the program's name is empty"));
    }
    let path = start.env.iter().rev().find(|variable| variable.name == "PATH");
    let path = path.map_or(DEFAULT_PATH, |variable| &variable.value);
    search(name, cwd, path)
}

/// Looks for a program in these folders, or where its name says if that is a path.
pub(super) fn search(name: &str, cwd: &Path, path: &str) -> Result<PathBuf, Refusal> {
    if name.contains('/') {
        return executable(&cwd.join(name)).map_err(|error| Refusal::io(name, &error));
    }
    let mut worst = io::Error::from(io::ErrorKind::NotFound);
    for folder in path.split(':') {
        match executable(&cwd.join(folder).join(name)) {
            Ok(program) => return Ok(program),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => worst = error,
            Err(_) => {}
        }
    }
    match worst.kind() {
        io::ErrorKind::NotFound => {
            Err(Refusal::new(RefusalKind::NotFound, name, format!("not found in PATH ({path})")))
        }
        _ => Err(Refusal::io(name, &worst)),
    }
}

fn executable(path: &Path) -> io::Result<PathBuf> {
    let found = path.metadata()?;
    if found.is_file() && found.permissions().mode() & 0o111 != 0 {
        return Ok(path.to_owned());
    }
    Err(io::Error::from_raw_os_error(nix::errno::Errno::EACCES as i32))
}

fn on_pipes(
    children: &Children,
    mut command: Command,
    identity: Option<Identity>,
    stdin: bool,
    name: &str,
) -> Result<Spawned, Refusal> {
    command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    if let Some(identity) = identity {
        identity.assume(&mut command);
    }
    let (mut child, ended) = children.spawn(&mut command).map_err(|error| Refusal::io(name, &error))?;
    let pid = child.id().cast_signed();
    let pipes = || -> io::Result<_> {
        let stdin = child.stdin.take().map(|pipe| pipe::Sender::from_owned_fd(pipe.into())).transpose()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((
            stdin,
            pipe::Receiver::from_owned_fd(stdout.into())?,
            pipe::Receiver::from_owned_fd(stderr.into())?,
        ))
    }();
    let (stdin, stdout, stderr) = pipes.map_err(|error| abandon(children, pid, name, &error))?;
    Ok(Spawned { pid, stdin, stdout, stderr: Some(stderr), terminal: None, ended })
}

fn on_terminal(
    children: &Children,
    mut command: Command,
    identity: Option<Identity>,
    size: &TtySize,
    name: &str,
) -> Result<Spawned, Refusal> {
    let OpenptyResult { master, slave } =
        openpty(&winsize(size), None).map_err(|error| Refusal::io("a terminal", &error.into()))?;
    let refuse = |error: io::Error| Refusal::io(name, &error);
    command.stdin(slave.try_clone().map_err(refuse)?).stdout(slave.try_clone().map_err(refuse)?);
    command.stderr(slave);
    if let Some(identity) = identity {
        identity.assume(&mut command);
    }
    lead_session_on_stdin(&mut command);
    let (child, ended) = children.spawn(&mut command).map_err(refuse)?;
    // It holds our copies of the terminal's other end: as long as it lives we would see no end.
    drop(command);
    let pid = child.id().cast_signed();
    let ends = || -> io::Result<_> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
        Ok((
            pipe::Sender::from_owned_fd_unchecked(master.try_clone()?)?,
            pipe::Receiver::from_owned_fd_unchecked(master.try_clone()?)?,
        ))
    }();
    let (stdin, stdout) = ends.map_err(|error| abandon(children, pid, name, &error))?;
    Ok(Spawned { pid, stdin: Some(stdin), stdout, stderr: None, terminal: Some(master), ended })
}

/// Kills a process that was started but can't be attended to.
fn abandon(children: &Children, pid: i32, name: &str, error: &io::Error) -> Refusal {
    children.kill_tree(pid);
    Refusal::io(name, error)
}

pub(super) fn winsize(size: &TtySize) -> Winsize {
    let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    Winsize { ws_row: cells(size.rows), ws_col: cells(size.columns), ws_xpixel: 0, ws_ypixel: 0 }
}

nix::ioctl_write_int_bad!(set_controlling_terminal, nix::libc::TIOCSCTTY);
nix::ioctl_write_ptr_bad!(set_window_size, nix::libc::TIOCSWINSZ, Winsize);

/// Tells a terminal its size; those in it get SIGWINCH.
pub(super) fn resize(terminal: &OwnedFd, size: &TtySize) -> io::Result<()> {
    let size = winsize(size);
    #[expect(unsafe_code, reason = "nix has no safe call for TIOCSWINSZ")]
    // SAFETY: the descriptor is open, and the kernel only reads the structure.
    unsafe { set_window_size(terminal.as_raw_fd(), &raw const size) }?;
    Ok(())
}

fn lead_session_on_stdin(command: &mut Command) {
    let become_leader = || {
        nix::unistd::setsid()?;
        #[expect(unsafe_code, reason = "nix has no safe call for TIOCSCTTY")]
        // SAFETY: descriptor 0 is the terminal; the call takes an integer.
        unsafe { set_controlling_terminal(0, 0) }?;
        Ok(())
    };
    #[expect(unsafe_code, reason = "the standard library can't give a child a controlling terminal")]
    // SAFETY: only system calls; nothing is allocated and no lock is taken after the fork.
    unsafe {
        command.pre_exec(become_leader)
    };
}

/// A user to become.
struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// Whether the kernel lets us choose groups: in a user namespace of an ordinary user it does not.
    may_set_groups: bool,
}

impl Identity {
    /// Finds a user by name or id. `None`: it is the agent's own.
    fn of(user: &str) -> Result<Option<Self>, Refusal> {
        let by_id = user.parse().ok();
        let found = by_id.map_or_else(|| users::by_name(user), users::by_uid);
        let Some(uid) = found.as_ref().map(|user| user.uid).or(by_id) else {
            return Err(Refusal::new(RefusalKind::NotFound, user, "no such user"));
        };
        if uid == Uid::effective().as_raw() {
            return Ok(None);
        }
        if !Uid::effective().is_root() {
            return Err(Refusal::new(RefusalKind::Denied, user, "only root can become another user"));
        }
        let groups = found.as_ref().map_or_else(|| vec![uid], users::groups);
        let gid = found.map_or(uid, |user| user.gid);
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let groups = groups.into_iter().map(Gid::from_raw).collect();
        let setgroups = std::fs::read_to_string("/proc/self/setgroups").unwrap_or_default();
        Ok(Some(Self { uid, gid, groups, may_set_groups: setgroups.trim() != "deny" }))
    }

    /// Makes the command run as this user.
    fn assume(self, command: &mut Command) {
        let switch = move || {
            if self.may_set_groups {
                nix::unistd::setgroups(&self.groups)?;
            }
            nix::unistd::setgid(self.gid)?;
            nix::unistd::setuid(self.uid)?;
            Ok(())
        };
        #[expect(unsafe_code, reason = "the standard library can't set supplementary groups")]
        // SAFETY: only system calls on what was prepared before the fork.
        unsafe {
            command.pre_exec(switch)
        };
    }
}

/// Makes a pipe hold more, so that a flood needs fewer turns. Nobody minds if the kernel refuses.
pub(super) fn enlarge(pipe: &pipe::Receiver, bytes: i32) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(bytes));
}

/// `/dev/null`, to be put where a descriptor must not stay free.
pub(super) fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}
