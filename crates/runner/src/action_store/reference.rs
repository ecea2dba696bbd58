//! Names of actions, checked; and what their references meant the last time.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use model::ActionRef;

/// Longest owner, repository, or reference: GitHub's own limits are lower, a file name's is 255.
const NAME_CHARS: usize = 200;

/// `owner/repo@ref`, with nothing in it that git, a URL, or a path could read as something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ActionName {
    pub(super) owner: String,
    pub(super) repo: String,
    pub(super) reference: String,
}

impl ActionName {
    pub(super) fn new(action: &ActionRef) -> Result<Self, String> {
        let ActionRef::Repository { owner, repo, path, reference } = action else {
            return Err("only actions of the form owner/repo@ref are fetched".to_owned());
        };
        for (what, name) in [("owner", owner), ("repository", repo)] {
            if !is_repository_name(name) {
                return Err(format!("'{name}' is not the name of {what}: letters, digits, '-', '_', '.'"));
            }
        }
        if path.split('/').any(|part| part == "..") {
            return Err(format!("the path '{path}' leads out of the repository"));
        }
        if !is_reference(reference) {
            return Err(format!("'{reference}' is not a branch, tag, or commit"));
        }
        Ok(ActionName { owner: owner.clone(), repo: repo.clone(), reference: reference.clone() })
    }

    /// The commit, where the reference is a full one.
    pub(super) fn commit(&self) -> Option<String> {
        is_commit(&self.reference).then(|| self.reference.to_ascii_lowercase())
    }

    /// GitHub compares owners and repositories without case.
    pub(super) fn repository_key(&self) -> String {
        format!("{}/{}", self.owner, self.repo).to_ascii_lowercase()
    }
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.owner, self.repo, self.reference)
    }
}

/// Whether GitHub allows the name; such a one means nothing else in a URL or a path. `.github` is one: what all
/// repositories of an owner share.
pub(crate) fn is_repository_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let means_more = name.chars().all(|c| c == '.') || name.eq_ignore_ascii_case(".git");
    name.len() <= NAME_CHARS && !means_more && !name.starts_with('-') && name.chars().all(allowed)
}

/// What `git check-ref-format` allows, and no leading dash.
pub(crate) fn is_reference(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    !name.is_empty()
        && name.len() <= NAME_CHARS
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("//")
        && !name.contains("/.")
        && !name.contains("@{")
        && !name.ends_with(".lock")
        && !name.contains(forbidden)
}

/// A full object name (SHA-1 or SHA-256).
pub(crate) fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What each reference meant when a remote was last asked: one file each, written by rename.
#[derive(Clone)]
pub(super) struct LastKnown {
    root: PathBuf,
}

impl LastKnown {
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        Ok(LastKnown { root })
    }

    pub(super) fn read(&self, name: &ActionName) -> Option<String> {
        let text = fs::read_to_string(self.path(name)).ok()?;
        let commit = text.trim_end();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// Only a convenience for the next offline run: a failure to write is not one of the fetch.
    pub(super) fn write(&self, name: &ActionName, commit: &str) {
        if self.read(name).as_deref() == Some(commit) {
            return;
        }
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
            writeln!(file, "{commit}")?;
            file.persist(self.path(name)).map_err(|error| error.error)?;
            Ok(())
        };
        let _ = write();
    }

    /// References may hold slashes; in the file name, what isn't plain is escaped as `%xx`.
    fn path(&self, name: &ActionName) -> PathBuf {
        let mut file = String::new();
        for byte in format!("{}@{}", name.repository_key(), name.reference).bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte) {
                file.push(char::from(byte));
            } else {
                file.push_str(&format!("%{byte:02x}"));
            }
        }
        if file.len() > NAME_CHARS {
            use sha2::{Digest, Sha256};
            file = Sha256::digest(file.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        }
        self.root.join(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(owner: &str, repo: &str, reference: &str) -> ActionRef {
        ActionRef::Repository {
            owner: owner.into(),
            repo: repo.into(),
            path: String::new(),
            reference: reference.into(),
        }
    }

    #[test]
    fn references_that_git_could_take_for_options_or_paths_are_refused() {
        for reference in
            ["--upload-pack=touch /tmp/x", "-x", "", "a..b", "a b", "x^{}", "a:b", "*", "/a", "a.lock"]
        {
            assert!(ActionName::new(&action("o", "r", reference)).is_err(), "{reference}");
        }
        for reference in ["v4", "feature/x", "refs/tags/v1", "1.2.3-rc.1", "größe"] {
            assert!(ActionName::new(&action("o", "r", reference)).is_ok(), "{reference}");
        }
    }

    #[test]
    fn owners_and_repositories_that_climb_out_of_a_mirror_are_refused() {
        for (owner, repo) in [
            ("..", "x"),
            ("o", ".."),
            ("o", "."),
            ("o", ".git"),
            ("-o", "r"),
            ("o", ""),
            ("o/x", "r"),
            ("o", "r%2f"),
        ] {
            assert!(ActionName::new(&action(owner, repo, "v1")).is_err(), "{owner}/{repo}");
        }
        assert!(ActionName::new(&action("o", ".github", "v1")).is_ok());
    }

    #[test]
    fn a_path_that_climbs_out_of_the_repository_is_refused() {
        let climbing = |path: &str| ActionRef::Repository {
            owner: "o".into(),
            repo: "r".into(),
            path: path.into(),
            reference: "v1".into(),
        };
        assert!(ActionName::new(&climbing("a/../../x")).is_err());
        assert!(ActionName::new(&climbing("a..b/c")).is_ok());
    }

    #[test]
    fn only_full_hashes_are_commits() {
        assert!(is_commit(&"a".repeat(40)));
        assert!(!is_commit(&"a".repeat(39)));
        assert!(!is_commit(&"g".repeat(40)));
    }
}
