//! The API's bodies. `openapi.json` describes them; a test holds the two together.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::log::LogEntry;

/// The header that tells what an archive is of: `file` or `directory`.
pub const KIND_HEADER: &str = "hearth-kind";

/// `POST /api/vms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVm {
    /// One of the server's types; its default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_type: Option<String>,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_name: Option<String>,
    /// Whether the answer waits until the machine is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// How a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is being started.
    Starting,
    /// It takes commands.
    Running,
    /// It is frozen while a snapshot is taken.
    Snapshotting,
    /// It is being put back to a snapshot.
    RollingBack,
    /// It is gone; `error` says why. A rollback brings it back, where there is a snapshot.
    Failed,
    /// It is being destroyed.
    Ending,
    /// It is destroyed.
    Deleted,
}

/// What became of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmStatus {
    /// Which.
    pub id: String,
    /// How it stands now.
    pub status: Status,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: Option<String>,
    /// Its type.
    pub vm_type: String,
    /// How it stands.
    pub status: Status,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was asked for, in milliseconds since 1970.
    pub created_unix_ms: u64,
    /// Sessions in it now.
    pub sessions: usize,
    /// How long each part of its start took.
    pub boot: Vec<BootPart>,
    /// What of its wall could not be built.
    pub notes: Vec<String>,
}

/// A part of a machine's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootPart {
    /// Which (`kernel`).
    pub part: String,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// `GET /api/vms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmList {
    /// The caller's machines.
    pub vms: Vec<Vm>,
}

/// `POST /api/llm/execute`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execute {
    /// Who wants it; goes into the machine's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// In which language.
    pub language: String,
    /// What.
    pub code: String,
    /// Where; without it, in a machine of its own that is destroyed afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_id: Option<String>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Where in the machine; the work folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
}

/// What became of executed code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Names it in the machine's log.
    pub execution_id: String,
    /// Where it ran.
    pub vm_id: String,
    /// The program's; 128 and more for a signal, 124 when its time was up.
    pub exit_code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub duration_ms: u64,
    /// Whether output beyond the bound was cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Set when its time was up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `POST /api/vms/{id}/exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables beside those that every command has (`PATH`, `HOME`, `USER`, `LANG`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where in the machine; the work folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// As whom; the machine's usual user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

/// One line of the answer to `exec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ExecLine {
    /// It runs. The first line.
    Started {
        /// Names it in the machine's log.
        execution_id: String,
    },
    /// Standard output.
    Stdout(Output),
    /// Standard error.
    Stderr(Output),
    /// It has ended. The last line.
    Exited {
        /// The program's; 128 and more for a signal, 124 when its time was up.
        exit_code: i32,
        /// Whether its time was up.
        timed_out: bool,
        /// How long it took.
        duration_ms: u64,
    },
    /// Nobody knows how it ended. The last line.
    Error {
        /// Why.
        error: String,
    },
}

/// A piece of output: text, or bytes where it is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Whole characters.
    Text(String),
    /// Bytes that are no UTF-8, in base64.
    Base64(String),
}

impl Output {
    /// What was written; `None` if the base64 is none.
    #[must_use]
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Output::Text(text) => Some(text.into_bytes()),
            Output::Base64(text) => STANDARD.decode(text).ok(),
        }
    }
}

/// `POST /api/vms/{id}/snapshots`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSnapshot {
    /// What its owner calls it.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// A snapshot was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// Which.
    pub snapshot_id: String,
}

/// A snapshot of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Its id.
    pub snapshot_id: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When it was taken, in milliseconds since 1970.
    pub created_unix_ms: u64,
}

/// `GET /api/vms/{id}/snapshots`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotList {
    /// Oldest first.
    pub snapshots: Vec<SnapshotView>,
}

/// `GET /api/vms/{id}/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// What happened, oldest first.
    pub entries: Vec<LogEntry>,
    /// How many entries before them are no longer kept.
    pub dropped: u64,
}

/// `GET /api/pool`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Which driver starts machines.
    pub driver: String,
    /// How strong their wall is: `host`, `namespaces`, or `virtual_machine`.
    pub isolation: String,
    /// Whether they can be snapshotted.
    pub snapshots: bool,
    /// Types that can be asked for; the first is the default.
    pub vm_types: Vec<String>,
    /// Machines of all callers.
    pub machines: usize,
    /// How many there may be.
    pub machine_limit: usize,
    /// What the caller has and may have.
    pub caller: Usage,
    /// Machines that are kept ready, by type.
    pub warm: Vec<Warm>,
}

/// What a caller has and may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Its tier.
    pub tier: String,
    /// Its machines.
    pub machines: usize,
    /// How many it may have.
    pub machine_limit: usize,
    /// Its sessions.
    pub sessions: usize,
    /// How many it may have.
    pub session_limit: usize,
}

/// Machines of one type that are kept ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warm {
    /// Which type.
    pub vm_type: String,
    /// How many are ready.
    pub ready: usize,
    /// How many are being made ready.
    pub starting: usize,
    /// How many shall be ready.
    pub wanted: usize,
    /// Leases so far.
    pub leases: u64,
    /// Leases that found none ready.
    pub misses: u64,
    /// Machines that could not be made, or failed their canary.
    pub failures: u64,
    /// Machines that died while they were ready.
    pub deaths: u64,
    /// Why the last one that failed did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
}
