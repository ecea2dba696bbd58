//! Who may send webhooks.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use machine::network::Cidr;

/// The addresses that may; clones share them. Whoever keeps it (GitHub's addresses change) replaces them while the
/// server runs.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Arc<RwLock<Option<Vec<Cidr>>>>);

impl Allowed {
    /// Only these.
    #[must_use]
    pub fn only(ranges: Vec<Cidr>) -> Allowed {
        Allowed(Arc::new(RwLock::new(Some(ranges))))
    }

    /// From now on these; `None`: all.
    pub fn replace(&self, ranges: Option<Vec<Cidr>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ranges;
    }

    /// Whether this one may.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let ranges = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(address)))
    }
}
