//! What is typed while a part of the screen is drawn anew: it would stand there, and Enter would move the rest.

use std::io::{Stdout, stdout};

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The terminal's echo. Off, keys are still read by whoever reads next, and Ctrl-C is a signal as ever.
#[derive(Default)]
pub(super) struct Echo {
    /// The terminal's modes with the echo on, while it is off.
    before: Option<Termios>,
}

impl Echo {
    /// Keys are not shown from now on, if the terminal is this process's to say so.
    pub(super) fn off(&mut self) {
        if self.before.is_some() || !is_ours(&stdout()) {
            return;
        }
        let Ok(before) = tcgetattr(stdout()) else { return };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        if before.local_modes.contains(LocalModes::ECHO)
            && tcsetattr(stdout(), OptionalActions::Now, &quiet).is_ok()
        {
            self.before = Some(before);
        }
    }

    /// Keys are shown as before.
    pub(super) fn back(&mut self) {
        // Whoever has the terminal now has seen to it.
        if let Some(before) = self.before.take().filter(|_| is_ours(&stdout())) {
            let _ = tcsetattr(stdout(), OptionalActions::Now, &before);
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.back();
    }
}

/// Whether this process may change the terminal. One in the background would be stopped.
fn is_ours(terminal: &Stdout) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}
