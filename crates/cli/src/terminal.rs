//! This terminal, lent to a program in a machine.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use guest::client::TtySize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// Pieces of input that wait for the connection.
const QUEUED_KEYS: usize = 16;

/// Bytes of input that are read at once: a paste is longer, and becomes several.
const KEYS_BYTES: usize = 4096;

/// Refuses to go on without a terminal; `instead` says what works without.
pub(crate) fn require(instead: &str) -> Result<()> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!("a shell needs a terminal on standard input and output; {instead} does not");
    }
    Ok(())
}

/// How large it is.
pub(crate) fn size() -> Result<TtySize> {
    let size = tcgetwinsize(std::io::stdout()).context("can't ask the terminal for its size")?;
    Ok(TtySize { rows: size.ws_row, columns: size.ws_col })
}

/// Keys as they are typed. The thread that reads them can't be stopped, and ends with the process.
pub(crate) fn keys() -> mpsc::Receiver<Vec<u8>> {
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
pub(crate) struct Raw(Termios);

impl Raw {
    /// Takes the terminal.
    pub(crate) fn enter() -> Result<Raw> {
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
