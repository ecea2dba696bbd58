//! A real `sshd` on loopback, and the real `ssh`.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use model::Secret;
use runner::source::RemoteRepositories;
use runner::{CheckoutRequest, SshAccess};

use crate::fixture::{Fixture, at, data, git, git_texts, request};

/// Serves the remotes of a fixture to whoever has the key.
struct Sshd {
    folder: PathBuf,
    port: u16,
}

fn key_pair(file: &Path) -> String {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status();
    assert!(made.expect("ssh-keygen runs").success());
    fs::read_to_string(file.with_extension("pub")).unwrap()
}

fn script(file: &Path, text: &str) {
    fs::write(file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Sshd {
    /// Each connection gets an `sshd` of its own, as from inetd: it ends with the connection, and the port is ours
    /// from the start.
    fn start(fixture: &Fixture) -> Sshd {
        let folder = fixture.folder.path().join("sshd");
        fs::create_dir(&folder).unwrap();
        key_pair(&folder.join("host"));
        let public = key_pair(&folder.join("user"));
        fs::write(folder.join("authorized_keys"), public).unwrap();
        let remotes = fixture.folder.path().join("remotes");
        script(
            &folder.join("serve"),
            &format!(
                "set -- $SSH_ORIGINAL_COMMAND\n[ \"$1\" = git-upload-pack ] || exit 1\n\
                 path=$(echo \"$2\" | tr -d \"'\")\n\
                 exec git -c safe.directory='*' upload-pack \"{}/${{path%.git}}\"",
                remotes.display()
            ),
        );
        let at = |name: &str| folder.join(name).display().to_string();
        let settings = [
            format!("HostKey {}", at("host")),
            format!("AuthorizedKeysFile {}", at("authorized_keys")),
            format!("ForceCommand {}", at("serve")),
            "AcceptEnv GIT_PROTOCOL\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no".into(),
        ];
        fs::write(folder.join("config"), settings.join("\n") + "\n").unwrap();
        // What a service manager makes before sshd starts.
        let _ = fs::create_dir_all("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = folder.join("config");
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let socket = OwnedFd::from(connection.unwrap());
                let mut sshd = Command::new("/usr/sbin/sshd");
                sshd.arg("-i").arg("-f").arg(&config).stderr(Stdio::null());
                sshd.stdin(socket.try_clone().unwrap()).stdout(socket);
                let mut sshd = sshd.spawn().expect("sshd runs; install openssh-server");
                std::thread::spawn(move || sshd.wait());
            }
        });
        Sshd { folder, port }
    }

    /// A line of `known_hosts`.
    fn host(&self) -> String {
        let key = fs::read_to_string(self.folder.join("host.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }

    fn access(&self) -> SshAccess {
        SshAccess {
            key: Secret(fs::read_to_string(self.folder.join("user")).unwrap()),
            known_hosts: self.host(),
            is_strict: true,
            user: user(),
        }
    }

    /// An `ssh` that knows the port, and notes what it was called with.
    fn source(&self, fixture: &Fixture) -> RemoteRepositories {
        let program = self.folder.join("ssh");
        let log = self.folder.join("calls");
        script(
            &program,
            &format!("echo \"$@\" >> {}\nexec ssh -F none -p {} \"$@\"", log.display(), self.port),
        );
        let command = Some(program.display().to_string());
        RemoteRepositories::open(fixture.data(), Vec::new(), false).unwrap().with_ssh_command(command)
    }
}

fn over_ssh(access: SshAccess, reference: &str) -> CheckoutRequest {
    CheckoutRequest { server: "http://127.0.0.1".to_owned(), ssh: Some(access), ..at(reference) }
}

/// What the files below hold, to look for what no disk may.
fn everything_in(folder: &Path) -> String {
    let output = Command::new("grep").args(["-r", "-a", "", "."]).current_dir(folder).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_key_opens_a_repository_over_ssh_and_is_left_nowhere() {
    let fixture = Fixture::new();
    let sshd = Sshd::start(&fixture);
    let source = sshd.source(&fixture);
    let access = sshd.access();
    for reference in ["v1", ""] {
        let workspace = fixture.check_out_from(&source, over_ssh(access.clone(), reference)).await.unwrap();
        assert_eq!(data(&workspace), if reference == "v1" { "first" } else { "second" });
        let origin = git(&workspace, &["remote", "get-url", "origin"]);
        assert_eq!(origin, format!("{}@127.0.0.1:acme/data.git", user()));
        let secret = access.key.0.lines().nth(1).unwrap();
        assert!(!git_texts(&workspace).contains(secret));
        let calls = fs::read_to_string(sshd.folder.join("calls")).unwrap();
        assert!(calls.contains("git-upload-pack") && !calls.contains(secret), "{calls}");
        assert!(!everything_in(&fixture.data()).contains(secret));
    }
}

#[tokio::test]
async fn hosts_must_be_known_unless_the_step_says_otherwise() {
    let fixture = Fixture::new();
    let sshd = Sshd::start(&fixture);
    let source = sshd.source(&fixture);
    let unknown = SshAccess { known_hosts: String::new(), ..sshd.access() };
    let error = fixture.check_out_from(&source, over_ssh(unknown.clone(), "v1")).await.unwrap_err();
    assert!(error.contains("host key is known") && error.contains("ssh-known-hosts"), "{error}");
    let lenient = SshAccess { is_strict: false, ..unknown };
    assert_eq!(
        data(&fixture.check_out_from(&source, over_ssh(lenient.clone(), "v1")).await.unwrap()),
        "first"
    );
    key_pair(&sshd.folder.join("other"));
    let other = fs::read_to_string(sshd.folder.join("other.pub")).unwrap();
    let known_hosts = format!("[127.0.0.1]:{} {other}", sshd.port);
    let changed = SshAccess { known_hosts, ..lenient };
    let error = fixture.check_out_from(&source, over_ssh(changed, "v1")).await.unwrap_err();
    assert!(error.contains("HOST IDENTIFICATION HAS CHANGED"), "{error}");
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_told_from_one_that_is_none() {
    let fixture = Fixture::new();
    let sshd = Sshd::start(&fixture);
    let source = sshd.source(&fixture);
    key_pair(&sshd.folder.join("other"));
    let key = Secret(fs::read_to_string(sshd.folder.join("other")).unwrap());
    let error = fixture.check_out_from(&source, over_ssh(SshAccess { key, ..sshd.access() }, "v1")).await;
    let error = error.unwrap_err();
    assert!(error.contains("Permission denied (publickey") && error.contains("public half"), "{error}");
    let key = Secret("gibberish".to_owned());
    let error = fixture.check_out_from(&source, over_ssh(SshAccess { key, ..sshd.access() }, "v1")).await;
    let error = error.unwrap_err();
    assert!(error.contains("must be a whole private key") && !error.contains("gibberish"), "{error}");
    let user = "-oProxyCommand=touch /tmp/x".to_owned();
    let request = over_ssh(SshAccess { user, ..sshd.access() }, "v1");
    let error = fixture.check_out_from(&source, request).await.unwrap_err();
    assert!(error.contains("is no name of a user"), "{error}");
}

#[tokio::test]
async fn submodules_with_relative_addresses_come_with_the_same_key() {
    let fixture = Fixture::new();
    let sshd = Sshd::start(&fixture);
    fixture.add_submodule("../data.git");
    let request = CheckoutRequest { submodules: "true".to_owned(), ..over_ssh(sshd.access(), "main") };
    let workspace = fixture.check_out_from(&sshd.source(&fixture), request).await.unwrap();
    assert_eq!(data(&workspace.join("lib")), "first");
}

#[tokio::test]
async fn a_run_without_network_does_not_use_ssh() {
    let fixture = Fixture::new();
    let source = RemoteRepositories::open(fixture.data(), Vec::new(), true).unwrap();
    let request =
        CheckoutRequest { ssh: Some(SshAccess { user: "git".into(), ..SshAccess::default() }), ..request() };
    let error = fixture.check_out_from(&source, request).await.unwrap_err();
    assert!(error.contains("may not use the network"), "{error}");
}
