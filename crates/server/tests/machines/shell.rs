//! Terminals.

use bytes::Bytes;
use server::machines::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::fixture::{Server, until};

async fn input(shell: &mut (impl AsyncWrite + Unpin), keys: &'static str) {
    Frame::Input(Bytes::from_static(keys.as_bytes())).write(shell).await.unwrap();
}

/// Reads output until it has this in it.
async fn see(shell: &mut (impl AsyncRead + Unpin), wanted: &str) {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        match Frame::read(shell).await.unwrap() {
            Some(Frame::Output(data)) => seen.push_str(&String::from_utf8_lossy(&data)),
            other => panic!("{other:?} after {seen:?}"),
        }
    }
}

async fn last(shell: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    loop {
        match Frame::read(shell).await.unwrap() {
            Some(Frame::Output(_)) => {}
            other => return other,
        }
    }
}

#[tokio::test]
async fn a_shell_takes_keys_sizes_and_tells_its_exit_code() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let path = format!("/api/vms/{id}/shell?rows=30&columns=100&term=vt100");
    let mut shell = ann.client.upgrade(&path).await.unwrap();
    input(&mut shell, "echo size=$(stty size) term=$TERM\r").await;
    see(&mut shell, "size=30 100 term=vt100").await;
    Frame::Resize { rows: 50, columns: 120 }.write(&mut shell).await.unwrap();
    input(&mut shell, "echo now=$(stty size)\r").await;
    see(&mut shell, "now=50 120").await;
    input(&mut shell, "exit 7\r").await;
    assert_eq!(last(&mut shell).await, Some(Frame::Exited(7)));
    until("its session has ended", async || ann.get("/api/pool").await.json()["caller"]["sessions"] == 0)
        .await;
}

#[tokio::test]
async fn a_shell_that_ends_leaves_its_users_screen_alone() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let mut shell = ann.client.upgrade(&format!("/api/vms/{id}/shell")).await.unwrap();
    // Debian's `.bash_logout` clears the screen, with all that is above it, when a shell of level 1 ends.
    input(&mut shell, "test $SHLVL = 2; exit\r").await;
    assert_eq!(last(&mut shell).await, Some(Frame::Exited(0)));
}

#[tokio::test]
async fn a_command_in_a_terminal_is_interrupted_by_its_key() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let command = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.01; done";
    let command = server::client::escaped(command);
    let mut shell = ann.client.upgrade(&format!("/api/vms/{id}/shell?command={command}")).await.unwrap();
    see(&mut shell, "ready").await;
    input(&mut shell, "\u{3}").await;
    see(&mut shell, "caught").await;
    assert_eq!(last(&mut shell).await, Some(Frame::Exited(3)));
}

#[tokio::test]
async fn a_shell_dies_with_its_client() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let mut shell = ann.client.upgrade(&format!("/api/vms/{id}/shell")).await.unwrap();
    input(&mut shell, "echo pid=$$=; sleep 600\r").await;
    let mut seen = String::new();
    let pid = loop {
        if let Some(Frame::Output(data)) = Frame::read(&mut shell).await.unwrap() {
            seen.push_str(&String::from_utf8_lossy(&data));
        }
        let told = seen.split("pid=").filter_map(|rest| rest.split_once('=')).map(|(pid, _)| pid.to_owned());
        if let Some(pid) = told.into_iter().find(|pid| pid.parse::<u32>().is_ok()) {
            break pid;
        }
    };
    drop(shell);
    until("it is dead", async || !std::path::Path::new("/proc").join(&pid).exists()).await;
    until("its session has ended", async || ann.get("/api/pool").await.json()["caller"]["sessions"] == 0)
        .await;
}

#[tokio::test]
async fn deleting_the_machine_ends_its_shells_with_a_word() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let mut shell = ann.client.upgrade(&format!("/api/vms/{id}/shell")).await.unwrap();
    input(&mut shell, "echo up=$((1+1))\r").await;
    see(&mut shell, "up=2").await;
    ann.delete(&format!("/api/vms/{id}")).await.ok(200);
    let Some(Frame::Error(reason)) = last(&mut shell).await else { panic!("no reason") };
    assert!(reason.contains("deleted"), "{reason}");
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_or_cut_off() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let mut shell = ann.client.upgrade(&format!("/api/vms/{id}/shell")).await.unwrap();
    Frame::Exited(0).write(&mut shell).await.unwrap();
    assert!(matches!(last(&mut shell).await, Some(Frame::Error(_))));
    let mut shell = ann.client.upgrade(&format!("/api/vms/{id}/shell")).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut shell, &[0xff; 64]).await.unwrap();
    // Hung up on, with the rest of the nonsense unread.
    while let Ok(Some(frame)) = Frame::read(&mut shell).await {
        assert!(matches!(frame, Frame::Output(_)), "{frame:?}");
    }
    until("no session is left", async || ann.get("/api/pool").await.json()["caller"]["sessions"] == 0).await;
}

#[tokio::test]
async fn what_is_no_terminal_is_refused() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    assert!(ann.get(&format!("/api/vms/{id}/shell")).await.refused(426).contains("hearth-shell/1"));
    for query in ["rows=many", "rows=70000", "term=a%20b", "term=", "tty=1"] {
        let refused = ann.client.upgrade(&format!("/api/vms/{id}/shell?{query}")).await;
        assert!(refused.is_err(), "{query}");
    }
    assert!(ann.client.upgrade("/api/vms/vm-0/shell").await.is_err());
}
