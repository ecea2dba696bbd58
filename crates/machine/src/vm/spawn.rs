//! Starts processes that do not outlive this one, however it ends.
//!
//! Linux kills a process at its parent's death if it asks for that, but the parent is the
//! *thread* that started it. So one thread starts all, and lives as long as any of them is wanted.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// A process to start, and whom to give it.
struct Order {
    command: Command,
    runtime: tokio::runtime::Handle,
    done: oneshot::Sender<io::Result<Child>>,
}

/// Starts processes on a thread of its own. Clones share it; the last must outlive the processes.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    orders: Arc<mpsc::Sender<Order>>,
}

impl Spawner {
    pub(crate) fn new() -> io::Result<Self> {
        let (orders, receiver) = mpsc::channel::<Order>();
        std::thread::Builder::new().name("hearth-vm-parent".to_owned()).spawn(move || {
            while let Ok(Order { mut command, runtime, done }) = receiver.recv() {
                let _inside = runtime.enter();
                // Nobody waits any more: dropping the child kills it.
                let _ = done.send(command.spawn());
            }
        })?;
        Ok(Self { orders: Arc::new(orders) })
    }

    /// Starts a process with these descriptors open in it under the numbers that they have here, in
    /// another network namespace if one is given. It is killed when it is dropped, and when this process dies.
    pub(crate) async fn spawn(
        &self,
        mut command: Command,
        inherited: Vec<OwnedFd>,
        network: Option<OwnedFd>,
    ) -> io::Result<Child> {
        let parent = Pid::this();
        let prepare = move || {
            set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != parent {
                // It died before we asked.
                return Err(nix::Error::ESRCH.into());
            }
            if let Some(network) = &network {
                setns(network, CloneFlags::CLONE_NEWNET)?;
            }
            for descriptor in &inherited {
                fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            Ok(())
        };
        #[expect(
            unsafe_code,
            reason = "the standard library can't set a death signal, enter a namespace, or pass descriptors on"
        )]
        // SAFETY: only system calls; nothing is allocated and no lock is taken after the fork.
        unsafe {
            command.pre_exec(prepare)
        };
        command.kill_on_drop(true);
        let (done, started) = oneshot::channel();
        let order = Order { command, runtime: tokio::runtime::Handle::current(), done };
        let gone = || io::Error::other("the thread that starts processes is gone");
        self.orders.send(order).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// The name of a descriptor as a file of the process that has it.
pub(crate) fn as_path(descriptor: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Stdio;

    use super::*;

    #[tokio::test]
    async fn a_process_gets_what_it_inherits_and_nothing_else() {
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        (&file).write_all(b"for the child").unwrap();
        let mut command = Command::new("/bin/sh");
        let other_number = other.as_raw_fd();
        let script = format!("cat {} ; test ! -e /proc/self/fd/{other_number}", as_path(&file));
        command.args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawner = Spawner::new().unwrap();
        let child = spawner.spawn(command, vec![file.into()], None).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        assert_eq!(output.stdout, b"for the child");
    }

    #[tokio::test]
    async fn a_process_dies_with_the_thread_that_started_it() {
        let mut command = Command::new("/bin/sleep");
        command.arg("1000");
        let spawner = Spawner::new().unwrap();
        let mut child = spawner.spawn(command, Vec::new(), None).await.unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(spawner);
        assert!(!child.wait().await.unwrap().success());
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_an_error() {
        let command = Command::new("/nowhere/program");
        let error = Spawner::new().unwrap().spawn(command, Vec::new(), None).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
