//! What the driver, the keeper and the inside of a machine say to each other while it starts.
//!
//! JSON values, each behind its length in four bytes (big end first), over socket pairs
//! that only these processes hold. After the start the driver says nothing any more: the end
//! of the stream is the only message left, and it means "die". The keeper then says when the
//! machine is gone.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest message: a configuration with a few hundred exposed folders fits many times.
const MAX_MESSAGE: u32 = 256 * 1024;

/// From the driver to the keeper: the machine to build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StageConfig {
    /// The machine's id: its folder, its host name.
    pub(crate) id: String,
    /// Hearth's data folder: never visible inside.
    pub(crate) data_dir: PathBuf,
    /// Where the job's folders go.
    pub(crate) layout: StageLayout,
    /// Whether it shares the host's network.
    pub(crate) host_network: bool,
    /// Host folders and files to show read-only.
    pub(crate) expose: Vec<PathBuf>,
    /// What it may use.
    pub(crate) limits: StageLimits,
    /// What to do without, though the host has it.
    pub(crate) without: Without,
}

/// [`crate::Layout`], as it travels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StageLayout {
    pub(crate) home: String,
    pub(crate) work: String,
    pub(crate) temp: String,
    pub(crate) tool_cache: String,
    pub(crate) command_files: String,
}

impl StageLayout {
    /// All folders that must be there, parents before children where one holds the other.
    pub(crate) fn folders(&self) -> [&str; 4] {
        [&self.home, &self.work, &self.temp, &self.tool_cache]
    }
}

/// The bounds of [`crate::MachineSpec`], as they travel.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StageLimits {
    pub(crate) vcpus: Option<u32>,
    pub(crate) memory_mib: Option<u64>,
    pub(crate) disk_mib: Option<u64>,
    pub(crate) processes: u32,
}

/// Parts of the wall that a caller switches off, so that tests reach each fallback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    /// No overlay: the host's folders are bound read-only.
    pub overlay: bool,
    /// No pointers in overlays: each of the host's folders has an overlay of its own.
    pub pointers: bool,
    /// No id-mapped mounts: the host's files belong to nobody.
    pub idmap: bool,
    /// No Landlock.
    pub landlock: bool,
    /// No control groups.
    pub cgroups: bool,
}

/// From the keeper to the driver: `Ready` and then `Gone`, or `Failed` in the place of either.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The agent is about to speak on its stream.
    Ready(Started),
    /// The machine was ended, and nothing of it is left.
    Gone,
    /// Nothing was started and nothing is left; or after `Ready`, something could not be removed.
    Failed(Failure),
}

/// What a start has to tell.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Started {
    /// What of the wall could not be built.
    pub(crate) notes: Vec<String>,
    /// Microseconds that each part took.
    pub(crate) boot: Vec<(String, u64)>,
}

/// What could not be done, and why.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{operation}: {reason}")]
pub(crate) struct Failure {
    pub(crate) operation: String,
    pub(crate) reason: String,
}

impl Failure {
    /// `operation` failed for `reason`.
    pub(crate) fn new(operation: impl Into<String>, reason: impl ToString) -> Self {
        Failure { operation: operation.into(), reason: reason.to_string() }
    }
}

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    /// Turns the error into a [`Failure`] of this operation.
    fn doing(self, operation: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: ToString> Doing<T> for Result<T, E> {
    fn doing(self, operation: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(operation(), error))
    }
}

/// From the inside to the keeper.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FromInside {
    /// The user namespace is there and wants its id maps.
    Unshared {
        /// Why the process could not enter the machine's control groups, if it could not.
        unbounded: Option<String>,
    },
    /// The first process of the machine has this id, as the keeper sees it.
    Forked(i32),
    /// All is built and sealed; the agent comes next.
    Ready(Started),
    /// It can't be built.
    Failed(Failure),
}

/// From the keeper to the inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ToInside {
    /// What you waited for is done.
    Go,
}

/// A message as it travels.
pub(crate) fn pack<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    let length =
        u32::try_from(text.len()).ok().filter(|length| *length <= MAX_MESSAGE).ok_or_else(too_long)?;
    Ok([length.to_be_bytes().as_slice(), &text].concat())
}

/// How many bytes follow these four.
pub(crate) fn length(bytes: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(bytes);
    if length <= MAX_MESSAGE { Ok(length as usize) } else { Err(too_long()) }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the message is too long")
}

/// Writes one message.
pub(crate) fn send<T: Serialize>(mut stream: &UnixStream, message: &T) -> io::Result<()> {
    stream.write_all(&pack(message)?)
}

/// Reads one message; the end of the stream is an error of kind `UnexpectedEof`.
///
/// Reads no byte beyond: what follows belongs to the next reader.
pub(crate) fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<T> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut text = vec![0; length(size)?];
    stream.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
