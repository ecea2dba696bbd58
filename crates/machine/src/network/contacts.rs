//! What a machine asked for and reached, or did not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// Different contacts that are kept of one machine; a job's are some dozens, a scanner's without end.
const KEPT: usize = 4096;

/// One thing that a machine tried, however often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Contact {
    /// How.
    pub protocol: Protocol,
    /// The name that was asked for, or the address with its port.
    pub target: String,
    /// The name that has led to the address, where one has.
    pub name: Option<String>,
    /// Why it was refused; `None`: it was not.
    pub refused: Option<String>,
}

/// What a contact was made with.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// A question for a name.
    Name,
    /// A connection.
    Tcp,
    /// Datagrams.
    Udp,
}

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
    pub(super) fn note(&self, contact: Contact) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT || kept.contains_key(&contact) {
            *kept.entry(contact).or_default() += 1;
        }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Name => "name",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol} {}", self.target)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        match &self.refused {
            Some(reason) => write!(f, ": refused, {reason}"),
            None => Ok(()),
        }
    }
}
