//! Secrets at rest: sealed with [age](https://age-encryption.org/v1) to a key that lies in a file of its own.
//!
//! What is sealed says what it is for, inside: a value that was put into another row does not open there.

mod key;

use std::path::PathBuf;

use model::Secret;
use serde::{Deserialize, Serialize};

pub use key::{KEY_FILE, SealKey};

use crate::record::Scope;

/// Why a secret can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file can't be read or made.
    #[error("can't {operation} the key of the secrets, {}: {source}", .path.display())]
    KeyFile {
        /// `read` or `make`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read the key file.
    #[error("others may read the key of the secrets, {}; run: chmod 600 {}", .path.display(), .path.display())]
    KeyIsOpen {
        /// The file.
        path: PathBuf,
    },
    /// There is no key in the file.
    #[error("there is no age key in {}; bring back the one that was there, or move the file away and set all secrets again", .path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// It was sealed with another key, or is damaged.
    #[error("the secret {name} does not open with the key in {} ({reason}); bring back the key that it was sealed with, or set it again", .path.display())]
    OtherKey {
        /// Name of the secret.
        name: String,
        /// The file of the key.
        path: PathBuf,
        /// What age said.
        reason: String,
    },
    /// It was sealed for another place.
    #[error("what is kept as the secret {name} was sealed as another one; set it again")]
    Misplaced {
        /// Name of the secret.
        name: String,
    },
    /// age refused to seal.
    #[error("can't seal the secret {name}: {reason}")]
    Refused {
        /// Name of the secret.
        name: String,
        /// What age said.
        reason: String,
    },
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Content {
    scope: Scope,
    name: String,
    value: Secret,
}

impl SealKey {
    /// Seals a secret for this place.
    ///
    /// # Errors
    /// [`SealError::Refused`], which nothing is known to cause.
    pub fn seal(&self, scope: &Scope, name: &str, secret: &Secret) -> Result<Vec<u8>, SealError> {
        let refused = |reason: String| SealError::Refused { name: name.to_owned(), reason };
        let (scope, called) = spelled(scope, name);
        let content = Content { scope, name: called, value: secret.clone() };
        let plain = serde_json::to_vec(&content).map_err(|error| refused(error.to_string()))?;
        age::encrypt(&self.identity().to_public(), &plain).map_err(|error| refused(error.to_string()))
    }

    /// Opens what was sealed for this place. How the names are spelled, in capitals or not, does not matter.
    ///
    /// # Errors
    /// When it was sealed with another key, or for another place.
    pub fn open(&self, scope: &Scope, name: &str, sealed: &[u8]) -> Result<Secret, SealError> {
        let other = |reason: String| SealError::OtherKey {
            name: name.to_owned(),
            path: self.path().to_owned(),
            reason,
        };
        let plain = age::decrypt(self.identity(), sealed).map_err(|error| other(error.to_string()))?;
        // What serde would say could quote it.
        let content: Content =
            serde_json::from_slice(&plain).map_err(|_| other("its content is not Hearth's".to_owned()))?;
        if (content.scope, content.name) != spelled(scope, name) {
            return Err(SealError::Misplaced { name: name.to_owned() });
        }
        Ok(content.value)
    }
}

/// One spelling of what forges compare without case.
fn spelled(scope: &Scope, name: &str) -> (Scope, String) {
    let scope = match scope {
        Scope::Organisation(owner) => Scope::Organisation(owner.to_ascii_lowercase()),
        Scope::Repository(repository) => Scope::Repository(repository.to_ascii_lowercase()),
        Scope::Environment(repository, environment) => {
            Scope::Environment(repository.to_ascii_lowercase(), environment.to_ascii_lowercase())
        }
    };
    (scope, name.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn repository(name: &str) -> Scope {
        Scope::Repository(name.to_owned())
    }

    fn key(folder: &tempfile::TempDir) -> SealKey {
        SealKey::load_or_make(&folder.path().join(KEY_FILE)).unwrap()
    }

    #[test]
    fn a_secret_opens_where_it_was_sealed_for_with_the_same_key_and_shows_nowhere_before() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret("s3cr3t\nwith lines".to_owned());
        let sealed = key(&folder).seal(&repository("octo/hello"), "TOKEN", &secret).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"s3cr3t"));
        assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
        let opened = key(&folder).open(&repository("Octo/Hello"), "token", &sealed).unwrap();
        assert_eq!(opened, secret);
    }

    #[test]
    fn a_secret_does_not_open_in_another_place() {
        let folder = tempfile::tempdir().unwrap();
        let key = key(&folder);
        let sealed = key.seal(&repository("octo/hello"), "TOKEN", &Secret("v".to_owned())).unwrap();
        let environment = Scope::Environment("octo/hello".to_owned(), "production".to_owned());
        for (scope, name) in [
            (repository("octo/other"), "TOKEN"),
            (repository("octo/hello"), "OTHER"),
            (Scope::Organisation("octo/hello".to_owned()), "TOKEN"),
            (environment, "TOKEN"),
        ] {
            let refused = key.open(&scope, name, &sealed).unwrap_err();
            assert!(matches!(refused, SealError::Misplaced { .. }), "{refused}");
        }
    }

    #[test]
    fn another_key_and_a_damaged_value_open_nothing_and_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let scope = repository("octo/hello");
        let mut sealed = key(&folder).seal(&scope, "TOKEN", &Secret("v".to_owned())).unwrap();
        let other = tempfile::tempdir().unwrap();
        let refused = key(&other).open(&scope, "TOKEN", &sealed).unwrap_err().to_string();
        assert!(refused.contains("bring back the key that it was sealed with"), "{refused}");
        *sealed.last_mut().unwrap() ^= 1;
        assert!(matches!(key(&folder).open(&scope, "TOKEN", &sealed), Err(SealError::OtherKey { .. })));
        assert!(key(&folder).open(&scope, "TOKEN", b"").is_err());
    }

    #[test]
    fn the_key_is_its_owners_only_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY_FILE);
        key(&folder);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\nAGE-SECRET-KEY-1"), "as age-keygen writes it");
        key(&folder);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(!format!("{:?}", key(&folder)).contains("AGE-SECRET-KEY"));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = SealKey::load_or_make(&path).unwrap_err();
        assert!(matches!(refused, SealError::KeyIsOpen { .. }), "{refused}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(SealKey::load_or_make(&path), Err(SealError::NoKey { .. })));
    }
}
