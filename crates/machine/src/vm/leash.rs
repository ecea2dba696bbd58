//! Holds processes that change their user.
//!
//! Linux forgets at a change of user that a process wants to die with its parent. It does not
//! forget the terminal of its session: when the last who holds the other end of that is gone,
//! however it went, the terminal hangs up on the process (SIGHUP).

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use rustix::process::ioctl_tiocsctty;
use tokio::process::Command;

/// The other end of a process's terminal. To let go of it hangs up on the process.
#[derive(Debug)]
pub(crate) struct Leash {
    _end: PtyMaster,
}

/// Gives the process that is to be started a session of its own with a terminal that nobody types
/// on, as its standard input. It must be in no process group of its own.
pub(crate) fn put_on(command: &mut Command) -> io::Result<Leash> {
    let end = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&end)?;
    unlockpt(&end)?;
    let flags = OFlag::O_NOCTTY.bits();
    let terminal = File::options().read(true).write(true).custom_flags(flags).open(ptsname_r(&end)?)?;
    command.stdin(Stdio::from(terminal));
    let lead = || {
        nix::unistd::setsid()?;
        #[expect(unsafe_code, reason = "the standard library's handle of its input allocates")]
        // SAFETY: descriptor 0 is the terminal, and open until the new program begins.
        let terminal = unsafe { BorrowedFd::borrow_raw(0) };
        Ok(ioctl_tiocsctty(terminal)?)
    };
    #[expect(unsafe_code, reason = "the standard library can't give a child a session and its terminal")]
    // SAFETY: only system calls; nothing is allocated and no lock is taken after the fork.
    unsafe {
        command.pre_exec(lead)
    };
    Ok(Leash { _end: end })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use nix::sys::signal::Signal;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::vm::spawn::Spawner;

    #[tokio::test]
    async fn a_process_that_has_changed_its_user_ends_when_its_leash_is_let_go() {
        if !rustix::process::geteuid().is_root() {
            println!("SKIPPED: only root may become another user");
            return;
        }
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "/bin/sh",
            "-c",
            "echo is there; exec sleep 1000",
        ]);
        command.stdout(Stdio::piped());
        let leash = put_on(&mut command).unwrap();
        let spawner = Spawner::new().unwrap();
        let mut child = spawner.spawn(command, Vec::new(), None).await.unwrap();
        let mut said = [0; 8];
        child.stdout.as_mut().unwrap().read_exact(&mut said).await.unwrap();
        // As when this process dies; its death signal is forgotten by now.
        drop(leash);
        assert_eq!(child.wait().await.unwrap().signal(), Some(Signal::SIGHUP as i32));
    }
}
