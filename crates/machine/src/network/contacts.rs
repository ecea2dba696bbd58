//! What a machine asked for and reached, or did not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::Contact;

/// Different contacts that are kept of one machine; a job's are some dozens, a scanner's without end.
const KEPT: usize = 4096;

/// All contacts of a machine. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    kept: Arc<Mutex<BTreeMap<Contact, u64>>>,
}

impl Contacts {
    /// What was tried, and how often, in order.
    #[must_use]
    pub fn all(&self) -> Vec<(Contact, u64)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(contact, times)| (contact.clone(), *times)).collect()
    }

    /// Notes one. Past the bound, only those that are known already are counted.
    pub fn note(&self, contact: Contact) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT || kept.contains_key(&contact) {
            *kept.entry(contact).or_default() += 1;
        }
    }
}
