//! `persist-credentials`: lets later steps talk to the server as the checkout did, until the job's end.
//!
//! As `actions/checkout` does since version 6, the credentials lie in files of their own in `RUNNER_TEMP`; the clone's
//! settings only name the file. <https://github.com/actions/checkout#readme>

use guest::client::GuestError;
use model::Secret;

use crate::SshAccess;
use crate::action::ActionInstance;
use crate::environment::Variables;
use crate::job::{JobRun, WorkError};
use crate::source::{basic, server};
use crate::ssh;
use crate::step::StepRun;

use super::request::{input, is_true, ssh_access};

/// Entries of `.git/modules` that are looked through for clones of submodules; their packs are few, their hooks none.
const MODULE_ENTRIES: usize = 100_000;

/// State in which a step notes what it has written, for its post: files to remove, a line each.
const FILES: &str = "files";

/// The same for settings of clones that name such a file.
const SETTINGS: &str = "settings";

/// What a step lets later steps use.
pub(super) struct Credentials {
    server: String,
    /// `owner/name` that was checked out.
    repository: String,
    token: Secret,
    ssh: Option<SshAccess>,
}

/// Paths in the machine.
struct Places {
    settings: String,
    key: String,
    known_hosts: String,
}

impl Credentials {
    /// What the step has, unless it keeps it to itself.
    pub(super) fn of(inputs: &Variables, repository: &str) -> Result<Option<Self>, String> {
        let (token, ssh) = (input(inputs, "token"), ssh_access(inputs));
        if !is_true(input(inputs, "persist-credentials")) || (token.is_empty() && ssh.is_none()) {
            return Ok(None);
        }
        if let Some(ssh) = ssh.as_ref().filter(|ssh| !ssh::is_user(&ssh.user)) {
            return Err(format!("'ssh-user: {}' is no name of a user", ssh.user));
        }
        Ok(Some(Credentials {
            server: server(input(inputs, "github-server-url"))?,
            repository: repository.to_owned(),
            token: Secret(token.to_owned()),
            ssh,
        }))
    }

    /// The settings file of git. With a token, what is named for SSH is reached over HTTP; with a key, the repository
    /// over SSH.
    fn settings(&self, places: &Places) -> String {
        let Credentials { server, repository, token, ssh } = self;
        let mut text = String::new();
        if !token.0.is_empty() {
            let basic = basic(&token.0);
            text += &format!("[http \"{server}/\"]\n\textraheader = AUTHORIZATION: basic {basic}\n");
        }
        let host = ssh::host(server);
        match ssh {
            Some(access) => {
                let options = access.options(&places.key, &places.known_hosts);
                let command = format!("ssh {options}").replace('\\', "\\\\").replace('"', "\\\"");
                let user = &access.user;
                text += &format!("[core]\n\tsshCommand = \"{command}\"\n");
                text +=
                    &format!("[url \"{user}@{host}:{repository}\"]\n\tinsteadOf = {server}/{repository}\n");
            }
            None => text += &format!("[url \"{server}/\"]\n\tinsteadOf = git@{host}:\n"),
        }
        text
    }
}

/// The lines with which a clone's settings name the file.
fn include(file: &str) -> String {
    format!("[include]\n\tpath = \"{}\"\n", file.replace('\\', "\\\\").replace('"', "\\\""))
}

impl JobRun<'_> {
    /// Writes them for the clone in `target`, and its submodules; nothing where there is no clone.
    pub(super) async fn persist(
        &self,
        credentials: &Credentials,
        target: &str,
        instance: &mut ActionInstance,
    ) -> Result<(), WorkError> {
        let clones = self.clones(target).await?;
        if clones.is_empty() {
            return Ok(());
        }
        let base = format!("{}/git-credentials-{}", self.place.temp, self.names.next());
        let places = Places {
            settings: format!("{base}.config"),
            key: format!("{base}.key"),
            known_hosts: format!("{base}.known_hosts"),
        };
        let mut files = vec![(&places.settings, credentials.settings(&places))];
        if let Some(ssh) = &credentials.ssh {
            files.push((&places.key, ssh.key_file()));
            files.push((&places.known_hosts, ssh.known_hosts_file()));
        }
        instance.post = Some("always()".to_owned());
        let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        instance.state.insert(FILES.to_owned(), names.join("\n"));
        instance.state.insert(SETTINGS.to_owned(), clones.join("\n"));
        for (path, text) in &files {
            self.guest.write_file(path, 0o600, text.clone().into()).await?;
        }
        for clone in &clones {
            let text = self.read_small(clone).await?.unwrap_or_default();
            self.guest.write_file(clone, 0o644, (text + &include(&places.settings)).into()).await?;
        }
        Ok(())
    }

    /// Takes back what [`Self::persist`] wrote: the post of the step.
    pub(super) async fn forget(&self, instance: &ActionInstance, run: &StepRun) -> Result<(), WorkError> {
        let state = |name: &str| instance.state.get(name).map_or("", String::as_str).lines();
        for file in state(FILES) {
            self.guest.remove(file).await?;
        }
        for clone in state(SETTINGS) {
            let Some(mut text) = self.read_small(clone).await? else { continue };
            for file in state(FILES) {
                text = text.replace(&include(file), "");
            }
            self.guest.write_file(clone, 0o644, text.into()).await?;
        }
        self.log.note(run.at, "The credentials of the checkout are removed.");
        Ok(())
    }

    /// The settings files of a clone and of its submodules.
    async fn clones(&self, target: &str) -> Result<Vec<String>, WorkError> {
        let own = format!("{target}/.git/config");
        if self.guest.stat(&own).await?.is_none() {
            return Ok(Vec::new());
        }
        let modules = format!("{target}/.git/modules");
        let mut clones = vec![own];
        if self.guest.stat(&modules).await?.is_none() {
            return Ok(clones);
        }
        let found = match self.guest.walk(&modules, MODULE_ENTRIES).await {
            Ok(found) => found,
            Err(error @ GuestError::Refused { .. }) => return Err(WorkError::Step(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let paths = found.iter().map(|stat| stat.path.as_str());
        let configs = paths.filter(|path| path.ends_with("/config") && !path.contains("/refs/"));
        clones.extend(configs.map(|path| format!("{modules}/{path}")));
        Ok(clones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(ssh: Option<SshAccess>) -> Credentials {
        Credentials {
            server: "https://git.example.com:8443".to_owned(),
            repository: "o/r".to_owned(),
            token: Secret("t".to_owned()),
            ssh,
        }
    }

    fn places() -> Places {
        let place = |name: &str| format!("/t/{name}");
        Places { settings: place("settings"), key: place("key"), known_hosts: place("hosts") }
    }

    #[test]
    fn a_token_is_for_its_server_alone() {
        let text = credentials(None).settings(&places());
        let expected = "[http \"https://git.example.com:8443/\"]\n\textraheader = AUTHORIZATION: basic \
                        eC1hY2Nlc3MtdG9rZW46dA==\n[url \"https://git.example.com:8443/\"]\n\tinsteadOf = \
                        git@git.example.com:\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_step_that_keeps_its_credentials_leaves_none() {
        let inputs = |persist: &str, token: &str| -> Variables {
            [("persist-credentials", persist), ("token", token)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect()
        };
        assert!(Credentials::of(&inputs("true", "t"), "o/r").unwrap().is_some());
        assert!(Credentials::of(&inputs("false", "t"), "o/r").unwrap().is_none());
        assert!(Credentials::of(&inputs("true", ""), "o/r").unwrap().is_none());
    }
}
