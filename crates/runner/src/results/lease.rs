//! Who may speak to the service: each job from its beginning to its end.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says in signed words who a job is, to whomever it wants to tell it: an OIDC token.
pub trait Identity: Send + Sync {
    /// A token for this audience, or for the usual one. Signs only, so it does not wait for anything.
    ///
    /// # Errors
    /// It can't be signed: why.
    fn token(&self, audience: Option<&str>) -> Result<String, String>;
}

/// The jobs that may speak. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<Jobs>>);

#[derive(Default)]
struct Jobs {
    given: u64,
    running: HashMap<u64, Option<Arc<dyn Identity>>>,
}

/// A job may speak for as long as this is there: its tokens and addresses end with it.
pub struct Lease {
    id: u64,
    leases: Leases,
}

impl Leases {
    pub(super) fn begin(&self, identity: Option<Arc<dyn Identity>>) -> Lease {
        let mut jobs = self.jobs();
        jobs.given += 1;
        let id = jobs.given;
        jobs.running.insert(id, identity);
        Lease { id, leases: self.clone() }
    }

    pub(super) fn is_there(&self, id: u64) -> bool {
        self.jobs().running.contains_key(&id)
    }

    pub(super) fn identity(&self, id: u64) -> Option<Arc<dyn Identity>> {
        self.jobs().running.get(&id).cloned().flatten()
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.jobs().running.remove(&self.id);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.id)
    }
}
