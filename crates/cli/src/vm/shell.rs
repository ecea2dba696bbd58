//! `hearth vm shell`: this terminal, in a machine.

use std::io::{IsTerminal, Read, Write};

use anyhow::{Context, Result, bail};
use guest::client::TtySize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use server::machines::client::{Client, escaped};
use server::machines::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Pieces of input that wait for the connection.
const QUEUED_KEYS: usize = 16;

/// Bytes of input that are read at once: a paste is longer, and becomes several.
const KEYS_BYTES: usize = 4096;

/// Opens it. The exit code of what ran in it.
pub(super) async fn shell(client: &Client, id: &str, command: Option<&str>) -> Result<u8> {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    if !input.is_terminal() || !output.is_terminal() {
        bail!("a shell needs a terminal on standard input and output; `hearth vm exec` does not");
    }
    let TtySize { rows, columns } = size()?;
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
        sent = send(to, keys(), &mut resized) => sent.and_then(|()| bail!("the server hung up")),
    };
    drop(raw);
    ended
}

fn size() -> Result<TtySize> {
    let size = tcgetwinsize(std::io::stdout()).context("can't ask the terminal for its size")?;
    Ok(TtySize { rows: size.ws_row, columns: size.ws_col })
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
                let TtySize { rows, columns } = size()?;
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

/// Keys as they are typed. The thread that reads them can't be stopped, and ends with the process.
fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (typed, keys) = mpsc::channel(QUEUED_KEYS);
    std::thread::spawn(move || {
        let mut buffer = [0; KEYS_BYTES];
        while let Ok(read) = std::io::stdin().read(&mut buffer) {
            if read == 0 || typed.blocking_send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    keys
}

/// The terminal in raw mode: every key goes to the machine. As it was, when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Result<Raw> {
        let before = tcgetattr(std::io::stdin()).context("can't ask the terminal for its mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).context("can't set the terminal's mode")?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}
