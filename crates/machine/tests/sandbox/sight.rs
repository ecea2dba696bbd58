//! What a job can see, and what it can't.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use machine::sandbox::Without;
use machine::{Driver, MachineSpec, Network};

use crate::house::{Caller, House, for_each_caller, run, spec};

for_each_caller! {
    async fn a_job_sees_the_distribution_and_nothing_else_of_the_host(house: &House) {
        let machine = house.start().await;
        let top = run(&machine, "ls -A /").await.output;
        let known = [
            "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc",
            "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
        ];
        for name in top.lines() {
            assert!(known.contains(&name), "/{name} is visible");
        }
        for empty in ["/root", "/tmp", "/var/tmp", "/mnt", "/media", "/srv", "/var/mail", "/var/spool", "/run/user"] {
            assert_eq!(run(&machine, &format!("ls -A {empty}")).await.output, "", "{empty}");
        }
        assert_eq!(run(&machine, "ls -A /home").await.output, "runner\n");
        let data = house.data().display().to_string();
        assert!(!run(&machine, &format!("ls {data}")).await.ok(), "Hearth's data folder is visible");
    }

    async fn a_job_cannot_read_the_hosts_secrets(house: &House) {
        let machine = house.start().await;
        assert_eq!(run(&machine, "cat /etc/shadow").await.output, "root:*:::::::\n");
        for path in ["/etc/sudoers", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssl/private", "/proc/1/environ", "/proc/kcore"] {
            let ran = run(&machine, &format!("cat {path} 2>/dev/null; ls -A {path} 2>/dev/null | grep -v '^{path}$'")).await;
            assert_eq!(ran.output, "", "{path}");
        }
    }

    async fn a_job_sees_no_process_of_the_host(house: &House) {
        let machine = house.start().await;
        let ran = run(&machine, "ls /proc | grep -c '^[0-9]'; cat /proc/1/comm").await;
        let (count, first) = ran.output.trim().split_once('\n').expect("two lines");
        assert!(count.parse::<u32>().expect("a number") <= 5, "{count} processes");
        assert_eq!(first, "hearth-agent");
    }

    async fn a_job_finds_no_way_out_through_proc_or_links(house: &House) {
        let marker = house.folder().join("host-only");
        fs::write(&marker, "host").expect("written");
        let machine = house.start().await;
        let path = marker.display();
        for start in ["/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/self/cwd/../../../..", "/proc/self/root/../.."] {
            let ran = run(&machine, &format!("cat {start}{path}")).await;
            assert!(!ran.ok(), "{start}: {}", ran.output);
        }
        let script = format!("ln -s ../../../../../../..{path} link; cat link; ln -s {path} other; cat other");
        assert!(!run(&machine, &script).await.ok());
        let ran = run(&machine, "ls -l /proc/1/fd; cat /proc/1/maps; head -c 1 /proc/1/mem").await;
        assert!(!ran.ok() && !ran.output.contains("socket:"), "the agent lies open: {}", ran.output);
    }

    async fn a_file_that_the_caller_left_open_does_not_reach_the_job(house: &House) {
        let secret = house.folder().join("open-secret");
        fs::write(&secret, "secret").expect("written");
        let flags = nix::fcntl::OFlag::O_RDONLY; // and not O_CLOEXEC
        let open = nix::fcntl::open(&secret, flags, nix::sys::stat::Mode::empty()).expect("opened");
        let machine = house.start().await;
        // Everything beside the standard streams is the listing itself.
        let ran = run(&machine, "for fd in /proc/self/fd/*; do readlink $fd; done").await;
        assert!(!ran.output.contains("open-secret"), "{}", ran.output);
        drop(open);
    }

    async fn two_machines_see_nothing_of_each_other(house: &House) {
        let (one, other) = tokio::join!(house.start(), house.start());
        assert!(run(&one, "echo mine > /tmp/mine; echo mine > /usr/local/bin/mine; sleep 918273 & echo $!").await.ok());
        let seen = run(&other, "ls /tmp/mine /usr/local/bin/mine; grep -l 91827[3] /proc/[0-9]*/cmdline; ls /dev/mqueue /dev/shm").await;
        assert!(!seen.output.contains("cmdline") && seen.output.contains("cannot access"), "{}", seen.output);
        assert_eq!(run(&one, "cat /tmp/mine").await.output, "mine\n");
        if house.caller == Caller::Root {
            let (a, b) = (run(&one, "cat /proc/self/uid_map").await, run(&other, "cat /proc/self/uid_map").await);
            assert_ne!(a.output, b.output, "two machines have the same ids on the host");
        }
    }

    async fn without_a_network_there_is_the_loopback_only(house: &House) {
        let host = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = host.local_addr().expect("an address").port();
        let machine = house.start().await;
        assert_eq!(run(&machine, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '").await.output, "lo\n");
        assert_eq!(run(&machine, "tail -n +2 /proc/net/route").await.output, "");
        let reached = run(&machine, &format!("bash -c 'echo > /dev/tcp/127.0.0.1/{port}'")).await;
        assert!(!reached.ok(), "the host's loopback is in reach");
        // The loopback itself works.
        let own = run(&machine, "bash -c 'echo > /dev/tcp/127.0.0.1/9' 2>&1").await;
        assert!(own.output.contains("refused"), "{}", own.output);
    }

    async fn with_the_hosts_network_its_ports_are_in_reach_and_its_abstract_sockets_are_not(house: &House) {
        let host = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let port = host.local_addr().expect("an address").port();
        let name = format!("hearth-test-{port}");
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let _abstract = UnixListener::bind_addr(&address).expect("an abstract socket");
        let machine = house.start_as(MachineSpec { network: Network::Host, ..spec() }).await;
        assert!(run(&machine, &format!("bash -c 'echo > /dev/tcp/127.0.0.1/{port}'")).await.ok());
        let python = format!("import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')");
        let script = format!("command -v python3 >/dev/null || exit 77; python3 -c \"{python}\"");
        let reached = run(&machine, &script).await;
        let walled = !machine.notes.iter().any(|note| note.contains("Landlock"));
        if walled {
            assert!(!reached.ok(), "an abstract socket of the host is in reach");
            assert!(reached.status == guest::client::ExitStatus::Code(77) || reached.output.contains("PermissionError"), "{}", reached.output);
        }
    }

    async fn exposed_folders_are_there_to_read_and_no_more(house: &House) {
        let tools = house.folder().join("tools/bin");
        fs::create_dir_all(&tools).expect("a folder");
        fs::write(house.folder().join("tools/credentials"), "secret").expect("written");
        let tool = tools.join("tool");
        fs::File::create(&tool).and_then(|mut file| file.write_all(b"#!/bin/sh\necho works\n")).expect("written");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("made a program");
        let machine = house.start_as(MachineSpec { expose: vec![tools.clone()], ..spec() }).await;
        assert_eq!(run(&machine, &tool.display().to_string()).await.output, "works\n");
        let changed = run(&machine, &format!("echo > {}; touch {}/new", tool.display(), tools.display())).await;
        assert!(!changed.ok() && changed.output.contains("Read-only"), "{}", changed.output);
        assert_eq!(run(&machine, &format!("ls {}/..", tools.display())).await.output, "bin\n");
    }

    async fn a_machine_knows_its_own_name(house: &House) {
        let spec = spec();
        let id = spec.id.0.clone();
        let machine = house.start_as(spec).await;
        assert_eq!(run(&machine, "uname -n; cat /etc/hostname").await.output, format!("{id}\n{id}\n"));
        assert!(run(&machine, &format!("grep -q {id} /etc/hosts && getent hosts localhost")).await.ok());
    }
}

#[tokio::test]
async fn what_the_host_does_not_let_everyone_read_root_in_a_machine_cannot_read() {
    let Some(house) = House::of(Caller::Root) else { return };
    let machine = house.start().await;
    let mut checked = 0;
    for path in private_files(Path::new("/etc")) {
        let host = fs::read(&path).expect("root reads everything");
        let ran = run(&machine, &format!("cat '{}' 2>/dev/null", path.display())).await;
        assert!(!ran.ok() || ran.output.as_bytes() != host, "{} can be read", path.display());
        checked += 1;
    }
    assert!(checked > 0, "this host has no private file to check with");
}

#[tokio::test]
async fn without_id_maps_the_hosts_files_are_nobodys_and_it_says_so() {
    let without = Without { idmap: true, ..Without::default() };
    let Some(house) = House::with(Caller::Root, without) else { return };
    let machine = house.start().await;
    assert!(machine.notes.iter().any(|note| note.starts_with("no id-mapped mounts")), "{:?}", machine.notes);
    assert_eq!(run(&machine, "stat -c %U /usr/bin/env").await.output, "nobody\n");
    assert!(run(&machine, "touch /usr/new /usr/local/bin/new /etc/new && mkdir /opt/new").await.ok());
}

#[tokio::test]
async fn a_folder_that_holds_hearths_data_cannot_be_exposed() {
    let Some(house) = House::of(Caller::Ordinary) else { return };
    for expose in [house.data(), house.folder().to_path_buf(), PathBuf::from("/")] {
        let refused = house.driver.start(MachineSpec { expose: vec![expose.clone()], ..spec() }).await;
        let error = refused.err().unwrap_or_else(|| panic!("{} was exposed", expose.display()));
        assert!(error.to_string().contains("exposing host folders"), "{error}");
    }
}

fn private_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let Ok(kind) = entry.metadata() else { continue };
        if kind.is_dir() {
            found.extend(private_files(&entry.path()));
        } else if kind.is_file() && kind.len() > 0 && kind.permissions().mode() & 0o004 == 0 {
            found.push(entry.path());
        }
    }
    found
}
