//! Which Firecracker this is, and whether it is one that Hearth can drive.

use std::fmt;

use super::FOUND_IN;

/// The oldest: `network_overrides`, by which a clone gets a tap device of its own, came with 1.12.
const OLDEST: Version = Version { major: 1, minor: 12, patch: 0 };

/// The first that may break the API: Firecracker keeps its API within a major version
/// (docs/RELEASE_POLICY.md of Firecracker).
const BREAKING_MAJOR: u64 = 2;

/// A release of Firecracker or of its jailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// Reads what `firecracker --version` or `jailer --version` prints: `Firecracker v1.16.1`.
    pub fn read(program: &str, printed: &str) -> Result<Version, String> {
        let unread = || {
            let line: String = printed.lines().next().unwrap_or_default().chars().take(80).collect();
            format!("`--version` printed {line:?}, not \"{program} v1.2.3\"")
        };
        let first = printed.lines().next().unwrap_or_default().trim();
        let numbers = first.strip_prefix(program).and_then(|rest| rest.trim().strip_prefix('v'));
        let numbers = numbers.ok_or_else(unread)?;
        // A build between releases is `1.17.0-dev`.
        let numbers = numbers.split_once('-').map_or(numbers, |(numbers, _)| numbers);
        let mut parts = numbers.split('.').map(str::parse::<u64>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Version { major, minor, patch }),
            _ => Err(unread()),
        }
    }

    /// Refuses versions that Hearth does not know how to drive.
    pub fn check(self) -> Result<(), String> {
        if self >= OLDEST && self.major < BREAKING_MAJOR {
            return Ok(());
        }
        Err(format!(
            "version {self} is not supported: Hearth needs {OLDEST} or newer, below {BREAKING_MAJOR}.0.0; {FOUND_IN}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_in_the_range_are_taken_and_others_are_not() {
        for (printed, taken) in [
            ("Firecracker v1.16.1\n\n2026-11-21T08:29:26 [anonymous-instance:main] exiting\n", true),
            ("Firecracker v1.12.0", true),
            ("Firecracker v1.17.0-dev", true),
            ("Firecracker v1.11.9", false),
            ("Firecracker v0.25.2", false),
            ("Firecracker v2.0.0", false),
        ] {
            let version = Version::read("Firecracker", printed).unwrap();
            assert_eq!(version.check().is_ok(), taken, "{printed}");
        }
    }

    #[test]
    fn what_is_not_firecracker_is_not_taken_for_it() {
        for printed in ["", "Jailer v1.16.1", "Firecracker v1.16", "Firecracker v1.x.2", "GNU bash 5.2"] {
            let error = Version::read("Firecracker", printed).unwrap_err();
            assert!(error.contains("not \"Firecracker v1.2.3\""), "{error}");
        }
    }
}
