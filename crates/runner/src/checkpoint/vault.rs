//! What a halted job leaves that must not be told: masks of its steps, and texts that hold a secret without a name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Values that a job that goes on needs, and that nobody may read who may not read its machine.
///
/// They have all been in the machine. They are to be kept with its memory and disk, under the same protection, and
/// to go when these go.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// What steps have masked (`::add-mask::`).
    pub(super) masks: Vec<String>,
    /// Problem matchers, as a file of them.
    pub(super) matchers: Option<String>,
    /// Texts that a checkpoint names by their positions.
    pub(super) texts: Vec<String>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({} masks, {} texts)", self.masks.len(), self.texts.len())
    }
}

impl Vault {
    /// Takes a text. Returns its position.
    pub(super) fn put(&mut self, text: String) -> usize {
        let known = self.texts.iter().position(|known| *known == text);
        known.unwrap_or_else(|| {
            self.texts.push(text);
            self.texts.len() - 1
        })
    }

    /// The text at this position.
    pub(super) fn get(&self, position: usize) -> Option<&str> {
        self.texts.get(position).map(String::as_str)
    }
}
