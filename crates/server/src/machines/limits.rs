//! Who may have how much: tiers, and the decisions about them. Pure.

use std::time::Duration;

use serde::Deserialize;

/// Machines of one subject, unless its tier says otherwise.
pub const MACHINES: usize = 150;

/// Sessions of one subject at once (commands, shells, and transfers of files), unless its tier says otherwise.
pub const SESSIONS: usize = 10;

/// Machines of all subjects together: a host that has more than one tier's worth says so.
pub const ALL_MACHINES: usize = 150;

/// Minutes after which a machine that nobody uses ends, unless its owner's tier says otherwise: longer than a
/// pause, and far too short for a forgotten machine to be in anybody's way.
pub const IDLE_MINUTES: u32 = 60;

/// When it is worth asking again for a machine, in seconds: they live for minutes.
const RETRY_MACHINE_SECONDS: u64 = 30;

/// When it is worth asking again for a session, in seconds: many commands take less.
const RETRY_SESSION_SECONDS: u64 = 1;

/// What the subjects of a tier may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tier {
    /// Machines of one subject.
    #[serde(default = "machines")]
    pub machines: usize,
    /// Sessions of one subject at once.
    #[serde(default = "sessions")]
    pub sessions: usize,
    /// Minutes after which a machine without a session ends; 0: never.
    #[serde(default = "idle_minutes")]
    pub idle_minutes: u32,
}

impl Tier {
    /// For how long a machine may be without a session; `None`: for ever.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        (self.idle_minutes > 0).then(|| Duration::from_secs(u64::from(self.idle_minutes) * 60))
    }
}

impl Default for Tier {
    fn default() -> Self {
        Tier { machines: MACHINES, sessions: SESSIONS, idle_minutes: IDLE_MINUTES }
    }
}

fn machines() -> usize {
    MACHINES
}

fn sessions() -> usize {
    SESSIONS
}

fn idle_minutes() -> u32 {
    IDLE_MINUTES
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Of what.
    pub what: Limited,
    /// How many there may be.
    pub limit: usize,
}

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// A subject's machines.
    Machines,
    /// Everybody's machines.
    AllMachines,
    /// A subject's sessions.
    Sessions,
}

impl Limited {
    /// As answers name it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Limited::Machines => "machines",
            Limited::AllMachines => "all_machines",
            Limited::Sessions => "sessions",
        }
    }

    /// When to ask again, in seconds.
    #[must_use]
    pub fn retry_seconds(self) -> u64 {
        match self {
            Limited::Machines | Limited::AllMachines => RETRY_MACHINE_SECONDS,
            Limited::Sessions => RETRY_SESSION_SECONDS,
        }
    }
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Reached { what, limit } = self;
        let s = if *limit == 1 { "" } else { "s" };
        match what {
            Limited::Machines => {
                write!(f, "you have {limit} machine{s}, as many as your tier allows; delete one")
            }
            Limited::AllMachines => {
                write!(f, "this server has {limit} machine{s}, as many as it may; try again later")
            }
            Limited::Sessions => {
                write!(f, "you have {limit} session{s}, as many as your tier allows; let one end")
            }
        }
    }
}

/// Whether one more machine may be, for a subject that has `own` of `all`.
///
/// # Errors
/// With the limit that is in the way.
pub fn admit_machine(tier: Tier, all_limit: usize, own: usize, all: usize) -> Result<(), Reached> {
    if own >= tier.machines {
        return Err(Reached { what: Limited::Machines, limit: tier.machines });
    }
    if all >= all_limit {
        return Err(Reached { what: Limited::AllMachines, limit: all_limit });
    }
    Ok(())
}

/// Whether one more session may be, for a subject that has `own`.
///
/// # Errors
/// With the limit that is in the way.
pub fn admit_session(tier: Tier, own: usize) -> Result<(), Reached> {
    if own >= tier.sessions {
        return Err(Reached { what: Limited::Sessions, limit: tier.sessions });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_without_numbers_has_150_machines_10_sessions_and_an_hour_of_idleness() {
        let tier: Tier = serde_json::from_str("{}").unwrap();
        assert_eq!((tier.machines, tier.sessions, tier.idle()), (150, 10, Some(Duration::from_secs(3600))));
        let tier: Tier = serde_json::from_str(r#"{"idle-minutes": 0}"#).unwrap();
        assert_eq!(tier.idle(), None);
    }

    #[test]
    fn a_limit_is_reached_by_the_last_that_it_allows() {
        let tier = Tier { machines: 2, sessions: 1, ..Tier::default() };
        assert_eq!(admit_machine(tier, 9, 1, 8), Ok(()));
        let reached = |what, limit| Err(Reached { what, limit });
        assert_eq!(admit_machine(tier, 9, 2, 2), reached(Limited::Machines, 2));
        assert_eq!(admit_machine(tier, 9, 0, 9), reached(Limited::AllMachines, 9));
        assert_eq!(admit_session(tier, 0), Ok(()));
        assert_eq!(admit_session(tier, 1), reached(Limited::Sessions, 1));
    }
}
