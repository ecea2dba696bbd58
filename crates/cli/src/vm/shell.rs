//! `hearth vm shell`: this terminal, in a machine.

use std::io::Write;

use anyhow::{Context, Result, bail};
use guest::client::TtySize;
use server::client::{Client, escaped};
use server::machines::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::terminal::{self, Raw};

/// Opens it. The exit code of what ran in it.
pub(super) async fn shell(client: &Client, id: &str, command: Option<&str>) -> Result<u8> {
    terminal::require("`hearth vm exec`")?;
    let TtySize { rows, columns } = terminal::size()?;
    let mut path = format!("{}/shell?rows={rows}&columns={columns}", super::machine(id));
    if let Ok(term) = std::env::var("TERM") {
        path.push_str(&format!("&term={}", escaped(&term)));
    }
    if let Some(command) = command {
        path.push_str(&format!("&command={}", escaped(command)));
    }
    let mut resized = signal(SignalKind::window_change())?;
    let connection = client.upgrade(&path).await?;
    let raw = Raw::enter()?;
    let (from, to) = tokio::io::split(connection);
    let ended = tokio::select! {
        ended = show(from) => ended,
        sent = send(to, terminal::keys(), &mut resized) => sent.and_then(|()| bail!("the server hung up")),
    };
    drop(raw);
    ended
}

/// Writes what comes until its end. The exit code.
async fn show(mut from: impl AsyncRead + Unpin) -> Result<u8> {
    loop {
        match Frame::read(&mut from).await.context("the connection to the machine broke")? {
            Some(Frame::Output(data)) => {
                let mut output = std::io::stdout();
                output.write_all(&data).and_then(|()| output.flush())?;
            }
            Some(Frame::Exited(code)) => return Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            Some(Frame::Error(reason)) => bail!("{reason}"),
            Some(Frame::Input(_) | Frame::Resize { .. }) => bail!("the server sent what only clients send"),
            None => bail!("the server hung up"),
        }
    }
}

async fn send(
    mut to: impl AsyncWrite + Unpin,
    mut keys: mpsc::Receiver<Vec<u8>>,
    resized: &mut Signal,
) -> Result<()> {
    loop {
        let frame = tokio::select! {
            typed = keys.recv() => Frame::Input(typed.unwrap_or_default().into()),
            _ = resized.recv() => {
                let TtySize { rows, columns } = terminal::size()?;
                Frame::Resize { rows, columns }
            }
        };
        let is_end = matches!(&frame, Frame::Input(keys) if keys.is_empty());
        frame.write(&mut to).await.context("the connection to the machine broke")?;
        if is_end {
            // No more keys: what runs may still end by itself.
            return std::future::pending().await;
        }
    }
}
