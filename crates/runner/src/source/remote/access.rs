//! How git is let in by the server that a step names: with its token over HTTP, with its key over SSH.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::git::Git;
use crate::memory_file::MemoryFile;
use crate::{CheckoutRequest, SshAccess, ssh};

/// What is shown to that server, and to no mirror, nor to anybody who looks at the list of processes or at a disk.
pub(super) struct Access {
    settings: Vec<(String, String)>,
    ssh: Option<Ssh>,
}

/// The files are gone with this.
struct Ssh {
    command: String,
    _key: MemoryFile,
    _known_hosts: MemoryFile,
}

impl Access {
    /// `server`: scheme, host, and port. `ssh_command`: the user's own, instead of an `ssh` that reads no settings of
    /// the user.
    pub(super) fn new(
        request: &CheckoutRequest,
        server: &str,
        ssh_command: Option<&str>,
    ) -> Result<Self, String> {
        let mut settings = Vec::new();
        if !request.token.0.is_empty() {
            settings.push((format!("http.{server}/.extraheader"), authorization(&request.token.0)));
        }
        let ssh = match &request.ssh {
            Some(access) if !ssh::is_user(&access.user) => {
                return Err(format!("'ssh-user: {}' is no name of a user", access.user));
            }
            Some(access) => Some(
                Ssh::new(access, ssh_command)
                    .map_err(|error| format!("can't keep 'ssh-key' in memory: {error}"))?,
            ),
            None => {
                // Submodules that are named for SSH come the same way as the rest.
                settings.push((format!("url.{server}/.insteadOf"), format!("git@{}:", ssh::host(server))));
                None
            }
        };
        Ok(Access { settings, ssh })
    }

    /// Lets this call in, with some settings of its own.
    pub(super) fn apply(&self, git: Git, more: &[(String, String)]) -> Git {
        let settings: Vec<_> = self.settings.iter().chain(more).cloned().collect();
        let git = git.unseen_settings(&settings);
        match &self.ssh {
            Some(ssh) => git.env("GIT_SSH_COMMAND", ssh.command.as_str()),
            None => git,
        }
    }
}

impl Ssh {
    fn new(access: &SshAccess, command: Option<&str>) -> io::Result<Self> {
        let key = MemoryFile::new(access.key_file().as_bytes())?;
        let known_hosts = MemoryFile::new(access.known_hosts_file().as_bytes())?;
        let options = access.options(&key.path(), &known_hosts.path());
        let command = format!("{} {options}", command.unwrap_or("ssh -F none"));
        Ok(Ssh { command, _key: key, _known_hosts: known_hosts })
    }
}

/// The header that GitHub takes a token in.
fn authorization(token: &str) -> String {
    format!("AUTHORIZATION: basic {}", basic(token))
}

/// A token as the password of `x-access-token`.
pub(crate) fn basic(token: &str) -> String {
    BASE64_STANDARD.encode(format!("x-access-token:{token}"))
}
