//! Values that must not be seen: from standard input, or typed without being shown.

use std::io::{BufRead, IsTerminal, Read};

use anyhow::{Context, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

/// Bytes of a value: what the server takes, and one to see that there are more.
const VALUE_BYTES: u64 = 48 * 1024 + 1;

/// The value of `name`. What is piped in ends where the input does, without the last end of line.
pub(super) async fn value(name: &str, is_shown: bool) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut value = String::new();
        let read = std::io::stdin().take(VALUE_BYTES).read_to_string(&mut value);
        read.context("can't read the value from standard input as text")?;
        return Ok(without_end(value));
    }
    eprint!("Value of {name}: ");
    let quiet = if is_shown { None } else { Some(Quiet::enter()?) };
    let typed = line().await;
    drop(quiet);
    eprintln!();
    Ok(without_end(typed?))
}

fn without_end(mut value: String) -> String {
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    value
}

/// A line of the terminal, unless Ctrl-C comes before its end: the terminal must be put back then.
async fn line() -> Result<String> {
    let (sender, typed) = oneshot::channel();
    // It can't be stopped, and ends with the process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        let _ = sender.send(read.map(|_| line));
    });
    tokio::select! {
        typed = typed => Ok(typed.context("the terminal was closed")??),
        _ = tokio::signal::ctrl_c() => bail!("nothing was set"),
    }
}

/// The terminal shows nothing of what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn enter() -> Result<Quiet> {
        let before = tcgetattr(std::io::stdin()).context("can't ask the terminal for its mode")?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)
            .context("can't set the terminal's mode")?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_of_line_is_no_part_of_a_value() {
        for (given, value) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("", "")] {
            assert_eq!(without_end(given.to_owned()), value);
        }
    }
}
