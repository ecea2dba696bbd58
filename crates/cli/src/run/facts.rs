//! What git knows of the folder: repository, commit, branch, changed files.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::Command;

/// The commit of a folder that has none.
pub(super) const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// Branches that are taken for the default where nothing names one; the first also where none exists.
const DEFAULT_BRANCHES: [&str; 2] = ["main", "master"];

/// What is known of the repository and of its current commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `owner/name`.
    pub(crate) repository: String,
    /// The commit, 40 hexadecimal digits; zeros where there is none.
    pub(crate) sha: String,
    /// The full ref (`refs/heads/main`).
    pub(crate) reference: String,
    /// The default branch's name.
    pub(crate) default_branch: String,
    /// Message of the commit.
    pub(crate) message: String,
    /// Author's name.
    pub(crate) author: String,
    /// Author's address.
    pub(crate) email: String,
    /// The parent commit; zeros where there is none.
    pub(crate) before: String,
}

impl Facts {
    /// Asks git about the folder. A folder that is no repository has facts too, made up from its name.
    ///
    /// Two questions at once are all that the usual repository costs: each is a process.
    pub(crate) async fn of(root: &Path) -> Result<Facts> {
        let git = Git { root };
        let format = "--format=%H%x00%P%x00%an%x00%ae%x00%D%x00%B";
        // Users may have git say more of a commit than it is asked for.
        let commit = ["log", "-1", "--no-show-signature", "--decorate=full", format];
        let remote = ["config", "--get", "remote.origin.url"];
        let (commit, remote) = tokio::try_join!(git.ask(&commit), git.ask(&remote))?;
        let head = Head::of(commit.as_deref().unwrap_or_default());
        let default_branch = git.default_branch(remote.is_some(), head.branch.as_deref()).await?;
        let branch = match (&head.branch, &commit) {
            // Before the first commit only this knows the branch.
            (None, None) => git.ask(&["symbolic-ref", "--quiet", "HEAD"]).await?,
            (branch, _) => branch.clone(),
        };
        let reference = branch.or(head.tag).unwrap_or_else(|| format!("refs/heads/{default_branch}"));
        let repository = remote.as_deref().and_then(owner_and_name).unwrap_or_else(|| local_name(root));
        Ok(Facts {
            repository,
            sha: head.sha,
            reference,
            default_branch,
            message: head.message,
            author: head.author,
            email: head.email,
            before: head.before,
        })
    }

    /// The branch or tag with the commit's first digits, to show.
    pub(crate) fn short(&self) -> String {
        let name = self.reference.strip_prefix("refs/heads/").or(self.reference.strip_prefix("refs/tags/"));
        let name = name.unwrap_or(&self.reference);
        if self.sha == NO_COMMIT {
            name.to_owned()
        } else {
            format!("{name}@{}", &self.sha[..7.min(self.sha.len())])
        }
    }

    /// Whom the run is for: the commit's author, as one word, since logins have no spaces.
    pub(crate) fn actor(&self) -> String {
        let name = self.email.split('@').next().unwrap_or_default();
        if name.is_empty() { "local".to_owned() } else { name.replace(' ', "-") }
    }
}

/// Asks git about a folder.
pub(super) struct Git<'a> {
    pub(super) root: &'a Path,
}

impl Git<'_> {
    /// What git answers, trimmed at the end; `None` when it refuses.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<Option<String>> {
        let mut command = Command::new("git");
        // Started from a hook, git would look at the hook's repository instead of this folder.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"] {
            command.env_remove(name);
        }
        let output = command
            .arg("-C")
            .arg(self.root)
            .args(args)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .await
            .context("can't run git; install it")?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(output
            .status
            .success()
            .then(|| text.trim_end_matches('\n').to_owned())
            .filter(|text| !text.is_empty()))
    }

    /// What `origin` calls its default branch, as far as this clone knows it; else the usual name that exists here.
    async fn default_branch(&self, has_origin: bool, current: Option<&str>) -> Result<String> {
        let head = match has_origin {
            true => self.ask(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]).await?,
            false => None,
        };
        if let Some(branch) = head.as_deref().and_then(|head| head.strip_prefix("refs/remotes/origin/")) {
            return Ok(branch.to_owned());
        }
        let is_usual = |name: &str| DEFAULT_BRANCHES.contains(&name);
        let current = current.and_then(|name| name.strip_prefix("refs/heads/"));
        if let Some(branch) = current.filter(|name| is_usual(name)) {
            return Ok(branch.to_owned());
        }
        let known = self.ask(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]).await?;
        let known: Vec<&str> = known.iter().flat_map(|names| names.lines()).collect();
        let usual = DEFAULT_BRANCHES.into_iter().find(|name| known.contains(name));
        let only = if let [only] = known[..] { Some(only) } else { None };
        Ok(usual.or(only).unwrap_or(DEFAULT_BRANCHES[0]).to_owned())
    }
}

/// The current commit, as `git log` tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    sha: String,
    before: String,
    author: String,
    email: String,
    branch: Option<String>,
    tag: Option<String>,
    message: String,
}

impl Head {
    /// Reads hash, parents, name, address, decoration, and message, with NUL between them.
    fn of(log: &str) -> Head {
        let mut fields = log.splitn(6, '\0').map(str::trim_end);
        let mut field = || fields.next().unwrap_or_default();
        let (sha, parents, author, email, decoration) = (field(), field(), field(), field(), field());
        let decorations = || decoration.split(", ");
        let or_none = |sha: &str| if sha.is_empty() { NO_COMMIT.to_owned() } else { sha.to_owned() };
        Head {
            sha: or_none(sha),
            before: or_none(parents.split(' ').next().unwrap_or_default()),
            author: author.to_owned(),
            email: email.to_owned(),
            branch: decorations().find_map(|name| name.strip_prefix("HEAD -> ")).map(str::to_owned),
            tag: decorations().find_map(|name| name.strip_prefix("tag: ")).map(str::to_owned),
            message: field().to_owned(),
        }
    }
}

/// `owner/name` of a remote's URL: its last two parts, whatever the host.
fn owner_and_name(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    let mut parts = url.rsplit(['/', ':']).filter(|part| !part.is_empty());
    let (name, owner) = (parts.next()?, parts.next()?);
    Some(format!("{owner}/{name}"))
}

fn local_name(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().map(|c| if plain(c) { c } else { '-' }).collect();
    if name.is_empty() { "local/workspace".to_owned() } else { format!("local/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_name_come_from_any_form_of_url() {
        for url in [
            "https://github.com/octo/hello.git",
            "git@github.com:octo/hello.git",
            "ssh://git@host:22/octo/hello/",
            "https://token:x@example.com/group/octo/hello",
        ] {
            assert_eq!(owner_and_name(url).as_deref(), Some("octo/hello"), "{url}");
        }
        assert_eq!(owner_and_name("hello"), None);
    }

    #[test]
    fn a_folder_without_a_name_that_fits_gets_one() {
        assert_eq!(local_name(Path::new("/x/Grüße bar")), "local/Gr--e-bar");
        assert_eq!(local_name(Path::new("/")), "local/workspace");
    }

    #[test]
    fn a_first_commit_has_no_commit_before_it() {
        let head = Head::of("abc\0\0Ada\0ada@x\0HEAD -> refs/heads/ä, tag: refs/tags/v1\0Add\n\nbody\n");
        assert_eq!((head.sha.as_str(), head.before.as_str()), ("abc", NO_COMMIT));
        assert_eq!(head.message, "Add\n\nbody");
        assert_eq!(
            (head.branch.as_deref(), head.tag.as_deref()),
            (Some("refs/heads/ä"), Some("refs/tags/v1"))
        );
    }

    #[tokio::test]
    async fn the_commit_is_told_though_the_user_has_signatures_shown() {
        let folder = tempfile::tempdir().unwrap();
        let signer = folder.path().join("gpg");
        let script = "#!/bin/sh\ncase \"$*\" in\n*--verify*) echo gpg: Good signature >&2; echo '[GNUPG:] GOODSIG 1 x' ;;\n*) \
                      cat >/dev/null; echo '[GNUPG:] SIG_CREATED D' >&2; printf -- '-----%s PGP SIGNATURE-----\\n' BEGIN END ;;\nesac\n";
        std::fs::write(&signer, script).unwrap();
        std::fs::set_permissions(&signer, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let git = |args: &[&str]| {
            let done =
                std::process::Command::new("git").arg("-C").arg(folder.path()).args(args).output().unwrap();
            assert!(done.status.success(), "{done:?}");
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "-q", "-b", "main"]);
        let settings = [
            ("user.name", "t"),
            ("user.email", "t@example.com"),
            ("gpg.program", signer.to_str().unwrap()),
            ("log.showSignature", "true"),
        ];
        settings.iter().for_each(|(key, value)| drop(git(&["config", key, value])));
        git(&["commit", "-q", "-S", "--allow-empty", "-m", "one"]);
        let sha = git(&["rev-parse", "HEAD"]);
        assert_eq!(Facts::of(folder.path()).await.unwrap().sha, sha);
    }

    #[tokio::test]
    async fn a_folder_that_is_no_repository_has_facts_too() {
        let folder = tempfile::tempdir().unwrap();
        let facts = Facts::of(folder.path()).await.unwrap();
        assert_eq!(facts.sha, NO_COMMIT);
        assert_eq!(facts.reference, "refs/heads/main");
    }

    #[tokio::test]
    async fn without_a_remote_the_default_branch_is_the_usual_one_that_exists_or_the_only_one() {
        for (branches, default) in [
            (&["master", "topic"][..], "master"),
            (&["topic", "main", "master"], "main"),
            (&["trunk"], "trunk"),
            (&["a", "b"], "main"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let git = |args: &[&str]| {
                let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"];
                let mut command = std::process::Command::new("git");
                let done = command.args(identity).arg(folder.path()).args(args).output().unwrap();
                assert!(done.status.success(), "{done:?}");
            };
            git(&["init", "-q", "-b", branches[0]]);
            git(&["commit", "-q", "--allow-empty", "-m", "one"]);
            branches[1..].iter().for_each(|branch| git(&["branch", branch]));
            git(&["checkout", "-q", branches[branches.len() / 2]]);
            assert_eq!(Facts::of(folder.path()).await.unwrap().default_branch, default, "{branches:?}");
        }
    }
}
