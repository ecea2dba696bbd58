//! Which commit an event is about, and which two are compared for path filters.

use serde::{Deserialize, Serialize};

/// The commit of a push that made a ref, or removed it: there is none.
pub const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// A commit, as an event names it. [`crate::git::Mirror::resolve`] finds its sha.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitSpec {
    /// This one.
    Sha(String),
    /// The last commit of this branch (`main`), such as the default branch.
    Branch(String),
    /// The commit of this tag (`v1`).
    Tag(String),
    /// What the forge made of merging a pull request, to try it.
    Merge {
        /// Number of the pull request.
        pull: u64,
        /// Last commit of its own branch: the merge must be of this one.
        head: String,
        /// Commit of the branch that it would be merged into, as the event knew it.
        base: String,
    },
}

/// What path filters compare.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#git-diff-comparisons>
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diff {
    /// Nothing: the event changes no files.
    #[default]
    None,
    /// What a push changed: from before to after, in two dots.
    Push {
        /// The ref's commit before; [`NO_COMMIT`] where the push made the ref.
        before: String,
        /// The ref's commit now.
        after: String,
        /// The first of the pushed commits, where the event lists any.
        first: Option<String>,
        /// Whether the push made the ref.
        created: bool,
        /// Whether the push replaced commits.
        forced: bool,
    },
    /// What a pull request changes: from where its branch left the base to its head, in three dots.
    Pull {
        /// Commit of the branch that it would be merged into.
        base: String,
        /// Last commit of its own branch.
        head: String,
    },
}

/// Whether this is the name of a commit: hexadecimal digits of SHA-1 or SHA-256, and not all zeros. Payloads may
/// hold anything, and git's options are not to be given by them.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte != b'0')
}

/// Whether this says that there is no commit: [`NO_COMMIT`], or as many zeros as SHA-256 has digits.
pub fn is_no_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte == b'0')
}

/// Whether git takes this as the rest of a ref (`refs/heads/…`), by the rules of `git check-ref-format`.
/// <https://git-scm.com/docs/git-check-ref-format>
pub fn is_ref_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let part_is_fine = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(part_is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_of_a_commit_are_a_commit() {
        assert!(is_commit(&"a1".repeat(20)));
        assert!(is_commit(&"0a".repeat(32)));
        assert!(is_no_commit(NO_COMMIT) && is_no_commit(&"0".repeat(64)) && !is_no_commit(""));
        for wrong in ["", "HEAD", "--output=x", NO_COMMIT, &"g".repeat(40), &"a".repeat(41)] {
            assert!(!is_commit(wrong), "{wrong}");
        }
    }

    #[test]
    fn names_that_git_refuses_are_no_refs() {
        for right in ["main", "feature/ü", "v1.0", "-odd", "a@b", "@"] {
            assert!(is_ref_name(right), "{right}");
        }
        for wrong in
            ["", "a..b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a b", "a~1", "a^", "a:b", "a*", "a."]
        {
            assert!(!is_ref_name(wrong), "{wrong}");
        }
        assert!(!is_ref_name("a@{1}") && !is_ref_name("a\\b") && !is_ref_name("a\nb") && !is_ref_name("a[b"));
    }
}
