//! One QEMU process, and its end.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use guest::client::Guest;
use guest::greeting::greet;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio_util::task::AbortOnDropHandle;

use super::arguments::{AGENT, Configuration};
use super::meeting::Door;
use super::qmp::Qmp;
use super::trouble::meaning;
use super::{DEFAULT_DISK_MIB, DEFAULT_MEMORY_MIB, MOST_DEFAULT_VCPUS, NAME};
use crate::image::Image;
use crate::network::NetworkPolicy;
use crate::network::user::UserNetwork;
use crate::vm::console::Console;
use crate::vm::folder::Folder;
use crate::vm::guest_side::usual_layout;
use crate::vm::renewal::fresh_word;
use crate::vm::spawn::Spawner;
use crate::vm::trouble::Trouble;
use crate::vm::{self, Doing, Failure};
use crate::{Layout, MachineError, MachineGuard, MachineSpec, Network};

/// How long the agent has to write its empty line before it is taken for one that has not noticed that its
/// host is gone: emulated, on a busy host, it takes a second.
const SETTLE_ATTEMPT: Duration = Duration::from_secs(4);
/// How long the port then stays shut.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);
/// The disk for writes, in the machine's folder.
pub(super) const SCRATCH: &str = "scratch";

/// How long QEMU has to take a connection to the agent's port.
const HOLD_DEADLINE: Duration = Duration::from_secs(30);
/// How long a killed QEMU has to be gone.
const END_DEADLINE: Duration = Duration::from_secs(30);
/// How long the last of its output takes once QEMU is gone.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(2);
/// How long after a lost connection QEMU's end is waited for, to tell why.
const DEATH_DEADLINE: Duration = Duration::from_secs(3);

/// What a machine is, from its first start through every restore.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) id: model::MachineId,
    pub(super) image: String,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u64,
    pub(super) disk_mib: u64,
    pub(super) layout: Layout,
    pub(super) network: Network,
    pub(super) policy: NetworkPolicy,
}

impl Facts {
    pub(super) fn of(spec: &MachineSpec, image: &Image) -> Self {
        let usual = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_DEFAULT_VCPUS);
        Self {
            id: spec.id.clone(),
            image: image.id.to_string(),
            vcpus: spec.vcpus.unwrap_or(u32::try_from(usual).unwrap_or(1)),
            memory_mib: spec.memory_mib.unwrap_or(DEFAULT_MEMORY_MIB),
            disk_mib: spec.disk_mib.unwrap_or(DEFAULT_DISK_MIB),
            layout: spec.layout.clone().unwrap_or_else(usual_layout),
            network: spec.network,
            policy: spec.policy.clone(),
        }
    }
}

/// A QEMU that runs. Dropping it kills it.
pub(super) struct QemuMachine {
    pub(super) facts: Facts,
    pub(super) configuration: Configuration,
    pub(super) qmp: Option<Qmp>,
    /// The guest's memory, where we hold it too.
    pub(super) ram: Option<File>,
    pub(super) boot: Vec<(&'static str, Duration)>,
    pub(super) restored: bool,
    pub(super) network: Option<UserNetwork>,
    door: Door,
    /// A stream to the agent's port that is there already.
    early: Option<UnixStream>,
    child: Child,
    console: Console,
    complaints: Console,
    trouble: Trouble,
    readers: Vec<AbortOnDropHandle<()>>,
    _spawner: Spawner,
    // The last: the folder goes when the process has been killed.
    pub(super) folder: Folder,
}

impl QemuMachine {
    pub(super) fn new(
        mut child: Child,
        folder: Folder,
        facts: Facts,
        configuration: Configuration,
        door: Door,
        ram: Option<File>,
        spawner: Spawner,
    ) -> Self {
        let (console, complaints) = (Console::default(), Console::default());
        let mut readers = Vec::new();
        if let Some(output) = child.stdout.take() {
            readers.push(AbortOnDropHandle::new(tokio::spawn(console.clone().follow(output))));
        }
        if let Some(output) = child.stderr.take() {
            readers.push(AbortOnDropHandle::new(tokio::spawn(complaints.clone().follow(output))));
        }
        Self {
            restored: configuration.incoming,
            facts,
            configuration,
            qmp: None,
            ram,
            boot: Vec::new(),
            network: None,
            door,
            early: None,
            child,
            console,
            complaints,
            trouble: Trouble::default(),
            readers,
            _spawner: spawner,
            folder,
        }
    }

    /// Notes the process, for a later life of Hearth to end it if this one can't.
    pub(super) fn note(&self) -> std::io::Result<()> {
        self.folder.note_processes(&self.child.id().into_iter().collect::<Vec<_>>())
    }

    /// What looks at QEMU's events for what must end the machine.
    pub(super) fn watch(&self) -> std::io::Result<impl Fn(&serde_json::Value) + Send + 'static> {
        let end = self.trouble.ends(self.child.id())?;
        Ok(move |event: &serde_json::Value| {
            if let Some(reason) = meaning(event) {
                end(reason);
            }
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for the agent's answer, unless the machine ends before.
    pub(super) async fn meet_agent(&mut self, deadline: Duration) -> Result<Guest, Failure> {
        const MEET: &str = "waiting for its agent";
        let word = fresh_word().doing(MEET)?;
        let (door, early) = (&self.door, self.early.take());
        let meeting = async {
            let mut stream = match early {
                Some(stream) => stream,
                None => door.connect().await?,
            };
            greet(&mut stream, &word).await?;
            Guest::connect(stream).await.map_err(std::io::Error::other)
        };
        let met = tokio::select! {
            met = tokio::time::timeout(deadline, meeting) => met,
            _ = self.child.wait() => return Err(Failure::new(MEET, self.epitaph().await)),
        };
        match met {
            Ok(Ok(guest)) => Ok(guest),
            Ok(Err(error)) => Err(Failure::new(MEET, error).with(&self.last_words_now().await)),
            Err(_) => {
                let late = format!("no answer after {deadline:?}");
                Err(Failure::new(MEET, late).with(&self.last_words_now().await))
            }
        }
    }

    /// Takes hold of the agent's port before the guest goes on, as it was held when the guest was stopped. A guest that
    /// sees its port shut and opened may hear its new host before it has heard of the two, and then takes it for gone.
    pub(super) async fn hold_port(&mut self) -> Result<(), Failure> {
        const HOLD: &str = "holding its agent's port";
        self.early = Some(self.door.connect().await.doing(HOLD)?);
        let qmp = self.qmp.as_mut().ok_or("no control channel").doing(HOLD)?;
        let taken = async {
            while !is_held(&qmp.execute("query-chardev", json!({})).await?) {
                // QEMU answers between two looks at its sockets.
                tokio::task::yield_now().await;
            }
            Ok::<_, super::qmp::QmpError>(())
        };
        let taken = tokio::time::timeout(HOLD_DEADLINE, taken).await;
        taken.map_err(|_| "QEMU does not take the connection").doing(HOLD)?.doing(HOLD)
    }

    /// Waits until the agent is between two hosts: nothing is half-said on its port.
    pub(super) async fn settle(&self) -> std::io::Result<UnixStream> {
        use tokio::io::AsyncReadExt;
        loop {
            let mut stream = self.door.connect().await?;
            // The agent writes an empty line when it begins to wait for a greeting.
            let empty_line = async {
                while stream.read_u8().await? != b'\n' {}
                Ok(())
            };
            if let Ok(written) = tokio::time::timeout(SETTLE_ATTEMPT, empty_line).await {
                return written.map(|()| stream);
            }
            // The port was shut and open again before the guest looked, so it noticed nothing. Nothing
            // tells us when it has looked: it is given a moment in which the port stays shut.
            drop(stream);
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    /// Why it has ended, which it has.
    async fn epitaph(&mut self) -> String {
        if let Some(trouble) = self.trouble.told() {
            return trouble.to_owned();
        }
        for reader in self.readers.drain(..) {
            let _ = tokio::time::timeout(LAST_WORDS_DEADLINE, reader).await;
        }
        let status = self.child.try_wait().ok().flatten();
        let how = status.map_or_else(String::new, |status| format!(" ({status})"));
        let what = if let Some(panicked) = self.console.panicked() {
            panicked.to_owned()
        } else if status.is_some_and(|status| status.success()) {
            "the machine switched itself off".to_owned()
        } else {
            format!("QEMU has ended{how}")
        };
        [what, self.complaint(), self.console.last_words()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn complaint(&self) -> String {
        let text = self.complaints.text();
        if text.trim().is_empty() { String::new() } else { format!("QEMU says: {}", text.trim()) }
    }

    /// What can be told of it now, dead or alive.
    pub(super) async fn last_words_now(&mut self) -> String {
        match tokio::time::timeout(DEATH_DEADLINE, self.child.wait()).await {
            Ok(_) => self.epitaph().await,
            Err(_) => {
                let parts = [self.complaint(), self.console.last_words()];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Kills it, and waits for its end. Its files go when it is dropped.
    pub(super) async fn end(&mut self) -> Result<(), Failure> {
        const END: &str = "ending QEMU";
        self.child.start_kill().or_else(gone_already).doing(END)?;
        let ended = tokio::time::timeout(END_DEADLINE, self.child.wait()).await;
        ended.doing(END)?.map(drop).doing(END)
    }

    /// Stops the guest between two of its instructions.
    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        const STOP: &str = "stopping the guest";
        let qmp = self.qmp.as_mut().ok_or("no control channel").doing(STOP)?;
        qmp.execute("stop", json!({})).await.map(drop).doing(STOP)
    }
}

/// Whether somebody is connected to the agent's port, as `query-chardev` tells.
fn is_held(devices: &serde_json::Value) -> bool {
    let agent = devices.as_array().into_iter().flatten().find(|device| device["label"] == AGENT);
    let place = agent.and_then(|agent| agent["filename"].as_str());
    place.is_some_and(|place| !place.starts_with("disconnected:"))
}

fn gone_already(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::InvalidInput { Ok(()) } else { Err(error) }
}

#[async_trait]
impl MachineGuard for QemuMachine {
    async fn destroy(mut self: Box<Self>) -> Result<(), MachineError> {
        let id = self.facts.id.clone();
        self.end().await.map_err(|failure| failure.of(id, NAME))
    }

    async fn last_words(&mut self) -> Option<String> {
        tokio::time::timeout(DEATH_DEADLINE, self.child.wait()).await.ok()?.ok()?;
        Some(self.epitaph().await)
    }

    async fn check_restorable(&self) -> Result<(), MachineError> {
        let found = vm::image(self.folder.data(), &self.facts.image).await;
        found.map(drop).map_err(|failure| failure.of(self.facts.id.clone(), NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_held_once_somebody_is_connected_to_it() {
        let devices = |agent: &str| {
            json!([
                {"label": "console", "filename": "file", "frontend-open": true},
                {"label": "agent", "filename": agent, "frontend-open": false},
            ])
        };
        assert!(!is_held(&devices("disconnected:unix:/proc/self/fd/3/agent.sock,server=on")));
        assert!(is_held(&devices(
            "unix:/proc/self/fd/3/agent.sock,server=on <-> /proc/self/fd/3/agent.sock"
        )));
        assert!(!is_held(&json!([])));
    }
}
