//! The life of one Firecracker process, and which calls it allows.
//!
//! ```text
//!            PUT anything              PUT /actions
//!   Fresh ───────────────► Configured ─────────────► Running ◄──────┐
//!     │                        ▲   │                   │   PATCH /vm│
//!     │                        └───┘                   ▼            │
//!     │ PUT /snapshot/load  (resume_vm ► Running)    Paused ────────┘
//!     └────────────────────────────────────────────────▲   PUT /snapshot/create
//!
//!   any state ──(the process ended, or a snapshot failed to load)──► Ended
//! ```
//!
//! Pure: the client asks before it sends, so a call out of turn never leaves Hearth.

use super::api::{Call, RunState};

/// How a Firecracker process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nothing was configured yet; only now a snapshot can be loaded.
    Fresh,
    /// Something was configured; the guest does not run yet.
    Configured,
    /// The guest runs.
    Running,
    /// The guest stands still.
    Paused,
    /// The process is gone, or of no use any more.
    Ended,
}

/// What kinds of calls there are, as far as a life is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Asks only.
    Look,
    /// Sets Firecracker itself up, not the guest.
    Log,
    /// Sets the guest up.
    Configure,
    /// Starts the guest.
    Start,
    /// Loads a snapshot.
    Load { resume: bool },
    /// Changes a device of a started guest.
    Change,
    /// Sets the metadata that a guest finds; allowed at any time.
    Metadata,
    /// Pauses or resumes.
    Turn(RunState),
    /// Writes a snapshot.
    Snapshot,
}

impl Life {
    /// The state after `call` succeeded, or nothing if it is not allowed now.
    #[must_use]
    pub fn after(self, call: &Call) -> Option<Life> {
        match (self, kind(call)) {
            (Life::Ended, _) => None,
            (state, Kind::Look) => Some(state),
            (Life::Fresh | Life::Configured, Kind::Log) => Some(self),
            (Life::Fresh | Life::Configured, Kind::Configure | Kind::Metadata) => Some(Life::Configured),
            (Life::Running | Life::Paused, Kind::Metadata | Kind::Change) => Some(self),
            (Life::Configured, Kind::Start) => Some(Life::Running),
            (Life::Fresh, Kind::Load { resume }) => Some(if resume { Life::Running } else { Life::Paused }),
            (Life::Running | Life::Paused, Kind::Turn(RunState::Paused)) => Some(Life::Paused),
            (Life::Running | Life::Paused, Kind::Turn(RunState::Resumed)) => Some(Life::Running),
            (Life::Paused, Kind::Snapshot) => Some(Life::Paused),
            _ => None,
        }
    }

    /// The state after Firecracker refused `call`.
    #[must_use]
    pub fn after_refusal(self, call: &Call) -> Life {
        // "A specific error is reported and then the current Firecracker process is ended":
        // docs/snapshotting/snapshot-support.md of Firecracker, on loading.
        if matches!(kind(call), Kind::Load { .. }) { Life::Ended } else { self }
    }
}

impl std::fmt::Display for Life {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Life::Fresh => "fresh",
            Life::Configured => "configured, but not started",
            Life::Running => "running",
            Life::Paused => "paused",
            Life::Ended => "ended",
        })
    }
}

fn kind(call: &Call) -> Kind {
    match call {
        Call::Describe => Kind::Look,
        Call::PutLogger(_) => Kind::Log,
        Call::PutMachineConfig(_)
        | Call::PutBootSource(_)
        | Call::PutDrive(_)
        | Call::PutNetworkInterface(_)
        | Call::PutVsock(_)
        | Call::PutEntropy(_)
        | Call::PutBalloon(_)
        | Call::PutMetadataConfig(_) => Kind::Configure,
        Call::PutMetadata(_) => Kind::Metadata,
        Call::Start => Kind::Start,
        Call::PatchVm(state) => Kind::Turn(*state),
        Call::CreateSnapshot(_) => Kind::Snapshot,
        Call::LoadSnapshot(load) => Kind::Load { resume: load.resume_vm },
        Call::PatchDrive(_) | Call::PatchNetworkInterface(_) | Call::PatchBalloon(_) => Kind::Change,
    }
}
