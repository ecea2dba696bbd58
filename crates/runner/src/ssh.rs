//! How `ssh` is called for a checkout with a key: on the host to fetch, and in the machine by later steps.

use crate::SshAccess;

/// GitHub's host keys, which are always known:
/// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints>.
const GITHUB_HOSTS: &str = "\
github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl
github.com ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=
";

impl SshAccess {
    /// The key as a file holds it.
    pub(crate) fn key_file(&self) -> String {
        format!("{}\n", self.key.0.trim())
    }

    /// The `known_hosts` file: what the step names, and GitHub.
    pub(crate) fn known_hosts_file(&self) -> String {
        format!("{}\n{GITHUB_HOSTS}", self.known_hosts.trim())
    }

    /// Options for `ssh` in a shell. The key alone is shown: neither another of the user's own nor one of an agent.
    /// Hosts that the user knows are known too. Both paths may hold what a shell expands within double quotes.
    pub(crate) fn options(&self, key: &str, known_hosts: &str) -> String {
        let checking = match self.is_strict {
            true => "-o StrictHostKeyChecking=yes -o CheckHostIP=no",
            false => "-o StrictHostKeyChecking=accept-new",
        };
        format!(
            "-i \"{key}\" -o IdentitiesOnly=yes -o IdentityAgent=none -o UpdateHostKeys=no {PATIENCE} \
             {checking} -o \"UserKnownHostsFile={known_hosts} ~/.ssh/known_hosts\""
        )
    }

    /// Address of a repository on the server of this origin (`https://host:port`).
    pub(crate) fn url(&self, server: &str, owner: &str, repo: &str) -> String {
        format!("{}@{}:{owner}/{repo}.git", self.user, host(server))
    }
}

/// Asks nobody anything, and is done with a server that says nothing for a minute.
pub(crate) const PATIENCE: &str =
    "-o BatchMode=yes -o ConnectTimeout=60 -o ServerAliveInterval=15 -o ServerAliveCountMax=4";

/// The name of a server without scheme and port.
pub(crate) fn host(server: &str) -> &str {
    let host = server.split_once("://").map_or(server, |(_scheme, host)| host);
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether `ssh` can be given this name, and a shell that sees it in a URL.
pub(crate) fn is_user(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_has_the_user_and_no_port() {
        let access = SshAccess { user: "me".to_owned(), ..SshAccess::default() };
        assert_eq!(access.url("https://git.example.com:8443", "o", "r"), "me@git.example.com:o/r.git");
        assert_eq!(host("https://[::1]"), "[::1]");
        assert!(is_user("git") && !is_user("-oProxyCommand=x") && !is_user("a@b"));
    }

    #[test]
    fn only_a_strict_check_refuses_hosts_that_are_not_known() {
        let options = |is_strict| SshAccess { is_strict, ..SshAccess::default() }.options("$K", "$H");
        assert!(options(true).contains("StrictHostKeyChecking=yes -o CheckHostIP=no"));
        assert!(options(false).contains("StrictHostKeyChecking=accept-new"));
    }
}
