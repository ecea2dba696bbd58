//! One Firecracker process: started directly or through the jailer, spoken to, and ended.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use guest::client::Guest;
use model::MachineId;
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

use super::api::Call;
use super::client::Client;
use super::jail::Jail;
use super::life::Life;
use super::plan::{AGENT_PORT, API, VSOCK};
use super::{socket, vsock};
use crate::network::user::UserNetwork;
use crate::processes::wait_for_end;
use crate::vm::console::Console;
use crate::vm::folder::Folder;
use crate::vm::leash::{self, Leash};
use crate::vm::spawn::Spawner;
use crate::vm::trouble::{HOST_DISK_FULL, Trouble};
use crate::vm::{Doing, Failure};

/// Between two looks whether Firecracker listens, or the agent: nothing tells of a call of
/// `listen(2)` in another process, or in another kernel. Short beside the milliseconds that both take.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How long Firecracker has to listen. The jailer copies its binary and makes groups first.
const LISTEN_DEADLINE: Duration = Duration::from_secs(20);
/// How long a guest has until its agent answers. A second is usual; an emulated host takes ten, a busy one many more.
const AGENT_DEADLINE: Duration = Duration::from_secs(180);
/// How long the last words of a process that hung up may take to come.
const WORDS_DEADLINE: Duration = Duration::from_secs(2);
/// How long a killed process has to be gone.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// How Firecracker's log says that the host could not carry out what a guest wanted of its disk. The
/// guest's console has the same output: one that writes this ends itself.
const FAILED_REQUEST: &str = "virtio block request:";

/// Bars that stand around a Firecracker.
#[derive(Debug)]
pub(super) struct Bars {
    /// What the jailer is told.
    pub(super) jail: Jail,
    /// The jailer.
    pub(super) jailer: PathBuf,
    /// Marks the jail's user as taken, for as long as it lives.
    pub(super) lease: UnixListener,
    /// The control groups that the jailer makes and nobody removes.
    pub(super) groups: Vec<PathBuf>,
}

/// A Firecracker, its machine's folder, and all that has to go with them. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Vmm {
    /// Calls.
    pub(super) client: Client,
    /// Who carries and judges what the guest sends.
    pub(super) network: Option<UserNetwork>,
    /// Firecracker's working folder.
    root: PathBuf,
    console: Console,
    trouble: Trouble,
    readers: Vec<AbortOnDropHandle<()>>,
    child: Child,
    groups: Vec<PathBuf>,
    _lease: Option<UnixListener>,
    _leash: Option<Leash>,
    folder: Option<Folder>,
}

impl Vmm {
    /// Starts Firecracker in `root`, and waits until it listens.
    pub(super) async fn start(
        spawner: &Spawner,
        id: &MachineId,
        firecracker: &Path,
        bars: Option<Bars>,
        root: &Path,
        folder: Folder,
        namespace: Option<OwnedFd>,
    ) -> Result<Self, Failure> {
        let name = vm_id(id);
        let own: [OsString; 4] = ["--api-sock".into(), API.into(), "--level".into(), "Error".into()];
        let mut command = match &bars {
            Some(bars) => {
                let mut command = Command::new(&bars.jailer);
                command.args(bars.jail.arguments(&own));
                command
            }
            None => {
                let mut command = Command::new(firecracker);
                command.arg("--id").arg(&name).args(own).current_dir(root);
                command
            }
        };
        command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
        // The jailer changes its user, at which it forgets whom it wanted to die with.
        let leash = match bars {
            Some(_) => Some(leash::put_on(&mut command).doing("starting Firecracker")?),
            None => {
                command.stdin(Stdio::null()).process_group(0);
                None
            }
        };
        let mut child = spawner.spawn(command, Vec::new(), namespace).await.doing("starting Firecracker")?;
        let console = Console::default();
        let trouble = Trouble::default();
        let end = trouble.ends(child.id()).doing("starting Firecracker")?;
        let meaning = move |line: &str| end(failed_request(line));
        let stdout = child.stdout.take();
        let stdout = stdout
            .map(|stdout| tokio::spawn(console.clone().follow_for(stdout, Some(FAILED_REQUEST), meaning)));
        let stderr = child.stderr.take().map(|stderr| tokio::spawn(console.clone().follow(stderr)));
        let readers = stdout.into_iter().chain(stderr).map(AbortOnDropHandle::new).collect();
        let (groups, lease) = bars.map_or((Vec::new(), None), |bars| (bars.groups, Some(bars.lease)));
        let client = Client::new(id.clone(), root.join(API));
        let (root, folder) = (root.to_owned(), Some(folder));
        let network = None;
        let mut vmm = Self {
            client,
            network,
            root,
            console,
            trouble,
            readers,
            child,
            groups,
            _lease: lease,
            _leash: leash,
            folder,
        };
        vmm.note_process().doing("noting Firecracker's process")?;
        vmm.listening().await?;
        Ok(vmm)
    }

    fn note_process(&self) -> io::Result<()> {
        let pids: Vec<u32> = self.child.id().into_iter().collect();
        self.folder.as_ref().map_or(Ok(()), |folder| folder.note_processes(&pids))
    }

    async fn listening(&mut self) -> Result<(), Failure> {
        const OPERATION: &str = "waiting for Firecracker to listen";
        let path = self.client.socket().to_owned();
        let look = || async {
            match socket::connect(&path).await {
                Err(error) if is_not_yet(&error) => Ok(None),
                looked => looked.map(Some),
            }
        };
        self.until(OPERATION, LISTEN_DEADLINE, look).await.map(drop)
    }

    /// Waits for the agent, and gives the way in.
    pub(super) async fn meet_agent(&mut self) -> Result<Guest, Failure> {
        const OPERATION: &str = "reaching the agent";
        let path = self.root.join(VSOCK);
        let look = || async {
            match vsock::connect(&path, AGENT_PORT).await {
                Err(error) if is_not_yet(&error) => Ok(None),
                looked => looked.map(Some),
            }
        };
        let stream = self.until(OPERATION, AGENT_DEADLINE, look).await?;
        match tokio::time::timeout(AGENT_DEADLINE, Guest::connect(stream)).await {
            Ok(Ok(guest)) => Ok(guest),
            Ok(Err(error)) => Err(self.explain(Failure::new(OPERATION, error)).await),
            Err(_) => Err(self.explain(late(OPERATION, AGENT_DEADLINE)).await),
        }
    }

    /// Makes a call that belongs to an operation.
    pub(super) async fn call(&mut self, operation: &'static str, call: &Call) -> Result<(), Failure> {
        match self.client.call(call).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explain(Failure::new(operation, error)).await),
        }
    }

    /// Looks again and again, until there is something, it can't come any more, or time is over.
    async fn until<T, F>(
        &mut self,
        operation: &'static str,
        deadline: Duration,
        look: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = io::Result<Option<T>>>,
    {
        let looking = async {
            loop {
                match look().await {
                    Ok(Some(found)) => return Ok(found),
                    Ok(None) => tokio::time::sleep(LOOK_INTERVAL).await,
                    Err(error) => return Err(Failure::new(operation, error)),
                }
            }
        };
        let found = tokio::select! {
            found = tokio::time::timeout(deadline, looking) => found.unwrap_or_else(|_| Err(late(operation, deadline))),
            _ = self.child.wait() => {
                self.client.ended();
                Err(Failure::new(operation, "nobody is there any more"))
            }
        };
        match found {
            Ok(found) => Ok(found),
            Err(failure) => Err(self.explain(failure).await),
        }
    }

    /// A failure, with what Firecracker's end and the last words of it and of the guest explain.
    pub(super) async fn explain(&mut self, failure: Failure) -> Failure {
        let failure = match self.client.life() {
            Life::Ended => match self.ended().await {
                Some(status) => failure.with(&format!("Firecracker has ended ({status})")),
                None => failure,
            },
            _ => failure,
        };
        failure.with(&self.console.last_words())
    }

    /// How Firecracker has ended, once all that it said is known; nothing if it has not.
    async fn ended(&mut self) -> Option<ExitStatus> {
        let ended = async {
            let status = self.child.wait().await.ok()?;
            for reader in &mut self.readers {
                let _ = reader.await;
            }
            self.readers.clear();
            Some(status)
        };
        tokio::time::timeout(WORDS_DEADLINE, ended).await.ok()?
    }

    /// Why it has ended, if it has.
    pub(super) async fn last_words(&mut self) -> Option<String> {
        let status = self.ended().await?;
        if let Some(trouble) = self.trouble.told() {
            return Some(trouble.to_owned());
        }
        Some(format!("Firecracker has ended ({status})\n{}", self.console.last_words()))
    }

    /// The data folder that its machine's folder is in, while it has one.
    pub(super) fn data(&self) -> Option<&Path> {
        self.folder.as_ref().map(Folder::data)
    }

    /// Firecracker's working folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Ends Firecracker, and waits until nothing of the machine is left.
    pub(super) async fn end(mut self) -> Result<(), Failure> {
        self.stop().await?;
        let groups = std::mem::take(&mut self.groups);
        let folder = self.folder.take();
        let removed = tokio::task::spawn_blocking(move || {
            remove_groups(&groups);
            drop(folder);
        });
        removed.await.doing("removing its folder")
    }

    /// Ends Firecracker; its files stay until this value goes.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        self.client.ended();
        let killed = tokio::time::timeout(END_DEADLINE, self.child.kill()).await;
        killed.map_err(|_| late("ending Firecracker", END_DEADLINE))?.doing("ending Firecracker")
    }
}

impl Drop for Vmm {
    fn drop(&mut self) {
        if self.folder.is_none() {
            return;
        }
        let _ = self.child.start_kill();
        let (pid, groups, folder) = (self.child.id(), std::mem::take(&mut self.groups), self.folder.take());
        // Nobody is left to be told of a failure; `reap` tries again.
        std::thread::spawn(move || {
            if let Some(pid) = pid {
                wait_for_end(pid.cast_signed(), END_DEADLINE);
            }
            remove_groups(&groups);
            drop(folder);
        });
    }
}

/// What a line of Firecracker's log about a request of the guest's disks means.
fn failed_request(line: &str) -> String {
    if line.contains("StorageFull") || line.contains("No space left") {
        return HOST_DISK_FULL.to_owned();
    }
    let reason = line.split_once(FAILED_REQUEST).map_or(line, |(_, reason)| reason);
    format!("the host can't write to or read from its disk, so the machine was ended: {}", reason.trim())
}

/// A group can be removed once its last process is gone.
pub(super) fn remove_groups(groups: &[PathBuf]) {
    for group in groups {
        let _ = std::fs::remove_dir(group);
    }
}

/// The machine's id as Firecracker takes it: letters, digits, and hyphens.
pub(super) fn vm_id(id: &MachineId) -> String {
    id.0.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn is_not_yet(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset)
}

fn late(operation: &'static str, deadline: Duration) -> Failure {
    Failure::new(operation, format!("no answer within {} s", deadline.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_others() {
        let line = |error: &str| {
            format!(
                "2026-11-21T12:00:00 [m:fc_vmm:ERROR] Failed to execute Out virtio block request: {error}"
            )
        };
        let full =
            line("FileEngine(Sync(Transfer(IOError(Os { code: 28, kind: StorageFull, message: .. }))))");
        assert_eq!(failed_request(&full), HOST_DISK_FULL);
        let broken = failed_request(&line("FileEngine(Os { code: 5 })"));
        assert!(broken.ends_with("so the machine was ended: FileEngine(Os { code: 5 })"), "{broken}");
    }
}
