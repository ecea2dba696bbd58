//! Repositories, and names of them that are safe to use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name of an owner or a repository; GitHub's are at most 39 and 100 characters, Forgejo's owners longer.
const MAX_PART: usize = 100;

/// A repository's `owner/name`. Payloads may say anything; this is a name that can become a path and an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName {
    full: String,
    slash: usize,
}

/// What can't be a repository's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no name of a repository; it must be owner/name, of letters, digits, '-', '_', and '.', \
     each at most {MAX_PART} characters"
)]
pub struct RepositoryNameError(String);

impl RepositoryName {
    /// The whole: `owner/name`.
    pub fn as_str(&self) -> &str {
        &self.full
    }

    /// Who it belongs to.
    pub fn owner(&self) -> &str {
        &self.full[..self.slash]
    }

    /// The name below the owner.
    pub fn name(&self) -> &str {
        &self.full[self.slash + 1..]
    }
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, RepositoryNameError> {
        match text.split_once('/') {
            Some((owner, name)) if is_part(owner) && is_part(name) => {
                Ok(RepositoryName { full: text.to_owned(), slash: owner.len() })
            }
            _ => Err(RepositoryNameError(text.chars().take(2 * MAX_PART).collect())),
        }
    }
}

fn is_part(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_path = |part: &str| part.bytes().all(|byte| byte == b'.');
    (1..=MAX_PART).contains(&part.len())
        && part.bytes().all(allowed)
        && !is_path(part)
        && !part.starts_with('-')
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = RepositoryNameError;

    fn try_from(text: String) -> Result<Self, RepositoryNameError> {
        text.parse()
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> String {
        name.full
    }
}

/// A repository, as an event names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRef {
    /// The forge's number for it; stays when it is renamed.
    pub id: u64,
    /// `owner/name`.
    pub name: RepositoryName,
    /// Name of the default branch, where the event says it.
    pub default_branch: Option<String>,
    /// Whether not everybody may read it.
    pub private: bool,
    /// Whether it is a fork of another one.
    pub fork: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_owner_and_a_rest() {
        let name: RepositoryName = "octo-org/hello.world_2".parse().unwrap();
        assert_eq!((name.owner(), name.name()), ("octo-org", "hello.world_2"));
    }

    #[test]
    fn a_name_that_climbs_out_of_its_folder_is_refused() {
        let long = format!("a/{}", "b".repeat(101));
        for wrong in
            ["", "a", "/", "a/", "/b", "../b", "a/..", "a/.", "a/b/c", "a/b c", "a/b\0", "-a/b", "a/ü", &long]
        {
            assert!(wrong.parse::<RepositoryName>().is_err(), "{wrong}");
        }
    }
}
