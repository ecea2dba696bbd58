//! Where lines for people go: one after the other, or onto a terminal with a live region below them.
//!
//! Between two frames the cursor rests in the first row of the region, which is empty, and every frame begins
//! there. So the terminal itself keeps account of the place, whatever a resize does to the rows below; what
//! others print in between is not overwritten; and when the run is killed, only the terminal's echo is to be
//! restored, which shells do.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;

/// Shows a frame at once, on terminals that can (DEC private mode 2026), so that it does not flicker.
const BEGIN_FRAME: &str = "\x1b[?2026h";
const END_FRAME: &str = "\x1b[?2026l";

/// A row that is wider than the terminal believes is cut, and does not move the rows below it.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

/// Erases from the cursor to the end of the row, or of the screen.
const ERASE_ROW: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// Bytes of lines for a file that are written at once: few system calls for logs of many lines.
const BUFFER_BYTES: usize = 64 * 1024;

/// Standard output. Not through `Stdout`, which would cut what is to be one write at the ends of lines.
pub(super) type Out = Box<dyn Write + Send>;

/// Where lines go. A reader that has gone away must not end the run: its jobs still clean up.
pub(super) enum Paper {
    /// A file, a pipe, or a terminal that can't do more.
    Lines(BufWriter<Out>),
    /// A terminal.
    Live(Live<Out>),
}

/// A terminal with a region that is drawn anew.
pub(super) struct Live<W> {
    out: W,
    region: Vec<String>,
}

impl Paper {
    /// Standard output, line by line.
    pub(super) fn lines() -> Paper {
        Paper::Lines(BufWriter::with_capacity(BUFFER_BYTES, standard_output()))
    }

    /// Standard output, a terminal.
    pub(super) fn live() -> Paper {
        Paper::Live(Live::new(standard_output()))
    }

    /// Adds lines that stay, each with its end.
    pub(super) fn write(&mut self, lines: &str) {
        match self {
            Paper::Lines(out) => drop(out.write_all(lines.as_bytes())),
            Paper::Live(live) => live.draw(lines, live.region.clone()),
        }
    }

    /// Brings buffered lines to the reader.
    pub(super) fn flush(&mut self) {
        if let Paper::Lines(out) = self {
            let _ = out.flush();
        }
    }
}

fn standard_output() -> Out {
    match std::io::stdout().as_fd().try_clone_to_owned() {
        Ok(out) => Box::new(File::from(out)),
        Err(_) => Box::new(std::io::stdout()),
    }
}

impl<W: Write> Live<W> {
    /// A terminal behind `out`, with nothing on it.
    pub(super) fn new(out: W) -> Live<W> {
        Live { out, region: Vec::new() }
    }

    /// Adds lines that stay, each with its end, and draws the region below them.
    pub(super) fn draw(&mut self, lines: &str, region: Vec<String>) {
        if lines.is_empty() && region == self.region {
            return;
        }
        let frame = frame(lines, &region);
        self.region = region;
        let _ = self.out.write_all(frame.as_bytes());
    }

    /// What is behind the terminal.
    #[cfg(test)]
    pub(super) fn out(&mut self) -> &mut W {
        &mut self.out
    }
}

/// What to write for lines that stay and a region below them; begins and ends in the first row of the region.
fn frame(lines: &str, region: &[String]) -> String {
    let mut frame = format!("{BEGIN_FRAME}\r");
    if !lines.is_empty() || region.is_empty() {
        frame.push_str(ERASE_BELOW);
    }
    frame.push_str(&lines.replace('\n', "\r\n"));
    if let Some((last, rows)) = region.split_last() {
        frame.push_str(WRAP_OFF);
        for row in rows {
            frame.push_str(&format!("{row}{ERASE_ROW}\r\n"));
        }
        frame.push_str(&format!("{last}{ERASE_BELOW}\r"));
        if !rows.is_empty() {
            frame.push_str(&format!("\x1b[{}A", rows.len()));
        }
        frame.push_str(WRAP_ON);
    }
    frame.push_str(END_FRAME);
    frame
}
