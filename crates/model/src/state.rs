//! The states of what a server keeps. Each is one enum, and its transitions are written here only.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! state {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal -> [$($next:ident),*]),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word that records and APIs use.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }

            /// The state with this word.
            #[must_use]
            pub fn named(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|state| state.as_str() == word)
            }

            /// Whether this state may be followed by `next`.
            #[must_use]
            pub fn may_become(self, next: $name) -> bool {
                match self {
                    $($name::$variant => [$($name::$next),*].contains(&next),)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

state! {
    /// Something that a forge has told.
    ///
    /// ```text
    /// received ──┬─► expanded   its runs exist
    ///     ▲      ├─► ignored    it starts nothing
    ///     │      └─► failed     its commit could not be had, however often it was tried
    ///     └──────────────┘      sent again by hand
    /// ```
    DeliveryState {
        /// It is durable, and nothing has come of it yet.
        Received = "received" -> [Expanded, Ignored, Failed],
        /// Its runs exist.
        Expanded = "expanded" -> [],
        /// It starts nothing.
        Ignored = "ignored" -> [],
        /// What it is about could not be had.
        Failed = "failed" -> [Received],
    }
}

state! {
    /// One attempt of a run.
    ///
    /// ```text
    /// waiting ──► queued ──► running ──► ended
    ///    │           │        │  ▲         ▲
    ///    │           │        ▼  │         │
    ///    │           │       waiting ──────┤
    ///    └───────────┴─────────────────────┘
    /// ```
    ///
    /// It waits for people: before it is queued, where somebody must approve it; and in its midst, while each of its jobs
    /// that are left must be let into an environment. Whether it has begun tells the two apart: only the first is followed
    /// by `queued`, and only the second by `running`.
    ///
    /// A further attempt begins as a new one, and the old one stays as it ended.
    RunState {
        /// Somebody must approve it, or all of its jobs that are left wait to be let in.
        Waiting = "waiting" -> [Queued, Running, Ended],
        /// It waits for its turn: for a place among the running ones, or in its concurrency group.
        Queued = "queued" -> [Running, Ended],
        /// Its plan is being carried out.
        Running = "running" -> [Waiting, Ended],
        /// It has its conclusion.
        Ended = "ended" -> [],
    }
}

state! {
    /// One job of an attempt.
    ///
    /// ```text
    /// waiting ──► queued ──► leasing ──► running ──► ended
    ///    │         │  ▲         │           │          ▲
    ///    │         │  └─────────┴───────────┘          │   its machine failed: once more
    ///    └─────────┴─────────────┴─────────────────────┘
    /// ```
    JobState {
        /// Somebody must let it into its environment first, or it waits as long as that says.
        Waiting = "waiting" -> [Queued, Ended],
        /// It waits for a machine.
        Queued = "queued" -> [Leasing, Ended],
        /// Its machine starts.
        Leasing = "leasing" -> [Running, Queued, Ended],
        /// Its steps run.
        Running = "running" -> [Queued, Ended],
        /// It has its conclusion.
        Ended = "ended" -> [],
    }
}

state! {
    /// One step, or the pre or post of its action.
    ///
    /// ```text
    /// running ──► ended
    /// ```
    StepState {
        /// It runs.
        Running = "running" -> [Ended],
        /// It has its outcome and its conclusion.
        Ended = "ended" -> [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_an_end_but_a_delivery_that_failed() {
        for run in RunState::ALL {
            assert!(!RunState::Ended.may_become(*run));
            assert_eq!(RunState::named(run.as_str()), Some(*run));
        }
        for job in JobState::ALL {
            assert!(!JobState::Ended.may_become(*job));
        }
        assert!(DeliveryState::Failed.may_become(DeliveryState::Received));
        assert!(!DeliveryState::Expanded.may_become(DeliveryState::Received));
    }

    #[test]
    fn a_job_whose_machine_failed_is_queued_again_and_no_other_way_leads_back() {
        let back: Vec<_> = JobState::ALL.iter().filter(|job| job.may_become(JobState::Queued)).collect();
        assert_eq!(back, [&JobState::Waiting, &JobState::Leasing, &JobState::Running]);
    }
}
