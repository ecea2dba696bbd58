//! What the `ref` input means to a remote.

use std::time::Duration;

use crate::action_store::fetch::RemoteError;
use crate::action_store::reference::is_commit;

use super::Wanted;

/// Time to list a few references of a remote.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// What is fetched and checked out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A commit by its full hash.
    Commit(String),
    /// A reference: its full name at the remote, and the hash that it had there.
    Reference { name: String, hash: String },
}

impl Target {
    pub(super) fn object_format(&self) -> &'static str {
        let (Target::Commit(hash) | Target::Reference { hash, .. }) = self;
        if hash.len() == 64 { "sha256" } else { "sha1" }
    }

    pub(super) fn branch(&self) -> Option<String> {
        self.short_name("refs/heads/")
    }

    pub(super) fn tag(&self) -> Option<String> {
        self.short_name("refs/tags/")
    }

    fn short_name(&self, prefix: &str) -> Option<String> {
        let Target::Reference { name, .. } = self else { return None };
        name.strip_prefix(prefix).map(str::to_owned)
    }

    /// What names it in the clone: branches lie below `refs/remotes/origin`, a pull request below
    /// `refs/remotes/pull`, tags where they are.
    pub(super) fn local(&self) -> String {
        match self {
            Target::Commit(hash) => hash.clone(),
            Target::Reference { name, .. } => {
                if let Some(branch) = name.strip_prefix("refs/heads/") {
                    return format!("refs/remotes/origin/{branch}");
                }
                match name.strip_prefix("refs/") {
                    Some(rest) if !rest.starts_with("tags/") => format!("refs/remotes/{rest}"),
                    _ => name.clone(),
                }
            }
        }
    }

    /// What to ask for: this alone, or for a whole clone all branches and tags with it.
    pub(super) fn refspecs(&self, whole: bool, tags: bool) -> Vec<String> {
        let mut specs = vec![match self {
            Target::Commit(hash) => hash.clone(),
            Target::Reference { name, .. } => format!("+{name}:{}", self.local()),
        }];
        if whole {
            specs.push("+refs/heads/*:refs/remotes/origin/*".to_owned());
        }
        if whole || tags {
            specs.push("+refs/tags/*:refs/tags/*".to_owned());
        }
        specs
    }

    /// The same for a server that gives out only what it has names for.
    pub(super) fn all_refspecs(&self) -> Vec<String> {
        let mut specs = self.refspecs(true, true);
        specs.retain(|spec| spec.starts_with('+'));
        specs
    }
}

impl Wanted<'_> {
    /// Like `actions/checkout`: the default branch where nothing is asked for; a full hash is a commit; a
    /// branch goes before a tag of the same name.
    pub(super) async fn resolve(&self, url: &str) -> Result<Target, RemoteError> {
        let reference = self.request.reference.as_str();
        if is_commit(reference) {
            return Ok(Target::Commit(reference.to_ascii_lowercase()));
        }
        let candidates = match reference {
            "" | "HEAD" => vec!["HEAD".to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            name => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
        };
        let listing = self
            .git(url, "ls-remote")
            .timeout(RESOLVE_TIMEOUT)
            .args(["--quiet", "--symref", "--", url])
            .args(&candidates)
            .text()
            .await
            .map_err(|error| RemoteError::from_git(url, &error))?;
        find(&listing, &candidates).ok_or_else(|| match reference {
            "" | "HEAD" => RemoteError::refused(url, "it has no default branch; name a 'ref'".to_owned()),
            reference => RemoteError::no_such_ref(url, reference),
        })
    }
}

/// The first candidate in what `ls-remote --symref` lists.
fn find(listing: &str, candidates: &[String]) -> Option<Target> {
    let lines = || listing.lines().filter_map(|line| line.split_once('\t'));
    candidates.iter().find_map(|wanted| {
        let named = || lines().filter(|(_value, name)| name == wanted);
        let (hash, _name) = named().find(|(value, _name)| is_commit(value))?;
        let points_to = named().find_map(|(value, _name)| value.strip_prefix("ref: "));
        Some(match points_to.or((wanted != "HEAD").then_some(wanted)) {
            Some(name) => Target::Reference { name: name.to_owned(), hash: hash.to_owned() },
            None => Target::Commit(hash.to_owned()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_branch_goes_by_its_name_and_a_branch_before_a_tag() {
        let hash = "a".repeat(40);
        let reference = |name: &str| Some(Target::Reference { name: name.to_owned(), hash: hash.clone() });
        let head = ["HEAD".to_owned()];
        assert_eq!(find(&format!("ref: refs/heads/x\tHEAD\n{hash}\tHEAD"), &head), reference("refs/heads/x"));
        assert_eq!(find(&format!("{hash}\tHEAD"), &head), Some(Target::Commit(hash.clone())));
        let both = ["refs/heads/v1".to_owned(), "refs/tags/v1".to_owned()];
        let listing = format!("{hash}\trefs/tags/v1\n{hash}\trefs/heads/v1");
        assert_eq!(find(&listing, &both), reference("refs/heads/v1"));
        assert_eq!(find(&format!("{hash}\tx/refs/heads/v1"), &both), None);
    }
}
