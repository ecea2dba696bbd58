//! Ids of jobs and steps: which are valid, and which GitHub makes up.

use std::collections::{HashMap, HashSet};

/// An id must be shorter than this.
const MAX_LENGTH: usize = 100;

/// Ids that begin so are GitHub's own.
const RESERVED: &str = "__";

/// Ids of one scope.
#[derive(Default)]
pub(super) struct Ids {
    /// In lower case: ids are compared without regard to case.
    taken: HashSet<String>,
    /// How often each name has been made up, so that the next one is found at once.
    made: HashMap<String, usize>,
}

impl Ids {
    /// Takes an id that the file gives.
    pub(super) fn take(&mut self, id: &str) -> Result<(), String> {
        if !is_valid(id) {
            // GitHub's words, its slip included.
            return Err(format!(
                "The identifier '{id}' is invalid. IDs may only contain alphanumeric characters, '_', and '-'. IDs must start with a letter or '_' and and must be less than {MAX_LENGTH} characters."
            ));
        }
        if id.starts_with(RESERVED) {
            return Err(format!(
                "The identifier '{id}' is invalid. IDs starting with '{RESERVED}' are reserved."
            ));
        }
        if !self.taken.insert(id.to_ascii_lowercase()) {
            return Err(format!(
                "The identifier '{id}' may not be used more than once within the same scope."
            ));
        }
        Ok(())
    }

    /// Makes up an id from what a step does: `__run`, `__actions_checkout`, `__run_2`.
    pub(super) fn make(&mut self, work: &str) -> String {
        let name: String = format!("{RESERVED}{work}").chars().map(legal).collect();
        // Names that differ behind the bound are one name.
        let key: String = name.to_ascii_lowercase().chars().take(MAX_LENGTH).collect();
        let mut attempt = self.made.get(&key).copied().unwrap_or(0);
        loop {
            attempt += 1;
            let suffix = if attempt == 1 { String::new() } else { format!("_{attempt}") };
            let head: String = name.chars().take(MAX_LENGTH - suffix.len()).collect();
            let candidate = format!("{head}{suffix}");
            if self.taken.insert(candidate.to_ascii_lowercase()) {
                self.made.insert(key, attempt);
                return candidate;
            }
        }
    }
}

fn legal(character: char) -> char {
    if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' }
}

fn is_valid(id: &str) -> bool {
    let starts_well = id.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well
        && id.len() < MAX_LENGTH
        && id.chars().all(|character| character == '_' || legal(character) == character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_ids_step_around_those_that_are_taken() {
        let mut ids = Ids::default();
        assert_eq!(ids.make("actions/checkout"), "__actions_checkout");
        assert_eq!(ids.make("Actions/checkout"), "__Actions_checkout_2");
        assert_eq!(ids.make("ubuntu:é"), "__ubuntu__");
        let long = ids.make(&"x".repeat(200));
        assert_eq!(long.len(), 100);
        assert!(ids.make(&"x".repeat(200)).ends_with("x_2"));
    }

    #[test]
    fn ids_are_compared_without_regard_to_case() {
        let mut ids = Ids::default();
        assert_eq!(ids.take("Build"), Ok(()));
        assert!(ids.take("build").unwrap_err().contains("more than once"));
        assert!(ids.take("__x").unwrap_err().contains("reserved"));
        for wrong in ["", "1a", "-a", "a b", "é", &"a".repeat(100)] {
            assert!(ids.take(wrong).unwrap_err().contains("is invalid"), "{wrong}");
        }
        assert_eq!(ids.take(&"a".repeat(99)), Ok(()));
    }
}
