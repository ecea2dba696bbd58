//! Where actions are fetched from: URL templates.

use std::fmt;
use std::str::FromStr;

/// Schemes that git fetches over without running a program of the URL's choice (`ext::` does).
const SCHEMES: [&str; 5] = ["https", "http", "file", "ssh", "git"];

/// A URL with `{owner}` and `{repo}` in it: `file:///srv/git/{owner}/{repo}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorTemplate(String);

/// Why a mirror template is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{template}' is no mirror template: {reason}; write one like 'file:///srv/git/{{owner}}/{{repo}}' or 'https://git.example.com/{{owner}}/{{repo}}'"
)]
pub struct MirrorTemplateError {
    /// What was given.
    pub template: String,
    /// What is wrong with it.
    pub reason: String,
}

impl MirrorTemplate {
    /// `https://github.com/{owner}/{repo}`.
    pub fn github() -> Self {
        MirrorTemplate("https://github.com/{owner}/{repo}".to_owned())
    }

    /// The URL of a repository. Neither name may hold what a URL or a path gives a meaning.
    pub fn url(&self, owner: &str, repo: &str) -> String {
        self.0.replace("{owner}", owner).replace("{repo}", repo)
    }
}

impl fmt::Display for MirrorTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MirrorTemplate {
    type Err = MirrorTemplateError;

    fn from_str(template: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| MirrorTemplateError { template: template.to_owned(), reason };
        let url = if template.starts_with('/') { format!("file://{template}") } else { template.to_owned() };
        let scheme = url.split_once("://").map(|(scheme, _rest)| scheme);
        if !scheme.is_some_and(|scheme| SCHEMES.contains(&scheme)) {
            return Err(error(format!(
                "it must start with one of {}:// or be an absolute path",
                SCHEMES.join("://, ")
            )));
        }
        for placeholder in placeholders(&url) {
            if !["owner", "repo"].contains(&placeholder) {
                return Err(error(format!("{{{placeholder}}} is not a placeholder")));
            }
        }
        for wanted in ["{owner}", "{repo}"] {
            if !url.contains(wanted) {
                return Err(error(format!("it lacks {wanted}")));
            }
        }
        Ok(MirrorTemplate(url))
    }
}

/// What stands between braces.
fn placeholders(url: &str) -> impl Iterator<Item = &str> {
    url.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_owner_and_repo() {
        let template: MirrorTemplate = "file:///srv/git/{owner}/{repo}.git".parse().unwrap();
        assert_eq!(template.url("a", "b"), "file:///srv/git/a/b.git");
        let path: MirrorTemplate = "/srv/{owner}/{repo}".parse().unwrap();
        assert_eq!(path.url("a", "b"), "file:///srv/a/b");
    }

    #[test]
    fn bad_templates_are_refused_with_the_reason() {
        for (template, reason) in [
            ("file:///srv/git/x", "it lacks {owner}"),
            ("file:///srv/{owner}/x", "it lacks {repo}"),
            ("file:///srv/{owner}/{repo}/{ref}", "{ref} is not a placeholder"),
            ("ext::sh -c {owner}{repo}", "it must start with"),
            ("--upload-pack=x://{owner}/{repo}", "it must start with"),
            ("", "it must start with"),
        ] {
            let error = template.parse::<MirrorTemplate>().unwrap_err();
            assert!(error.reason.starts_with(reason), "{template}: {error}");
        }
    }
}
