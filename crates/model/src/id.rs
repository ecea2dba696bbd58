//! Ids, each a type of its own so that one can't be passed for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

numeric_id! {
    /// One run of one workflow; `github.run_id` in a job.
    RunId
}
numeric_id! {
    /// One job of one attempt of a run. Unique within a data folder.
    JobId
}

numeric_id! {
    /// One repository that a server knows. Unique within a data folder.
    RepositoryId
}
numeric_id! {
    /// One artifact, among those of all runs of a data folder. In its run it has a number.
    ArtifactId
}
numeric_id! {
    /// One cache. Unique within a data folder.
    CacheId
}
numeric_id! {
    /// One delivery of a forge. Unique within a data folder; the forge's own name of it is text.
    DeliveryId
}

/// One machine, from the driver's start to its end. A machine serves one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineId(pub String);

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
