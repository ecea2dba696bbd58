//! A program in a terminal, and what the terminal shows over time.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroU16;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::pty::{Winsize, openpty};

/// Shortest time for which a picture stands: faster changes can't be seen, and cost room.
const SHORTEST: Duration = Duration::from_millis(100);

/// Size of a terminal, in characters.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) columns: u16,
    pub(super) rows: u16,
}

/// Text in one style.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) text: String,
    /// The colour's number, of the first 16.
    pub(super) colour: Option<u8>,
    pub(super) bold: bool,
}

/// What the terminal shows from some time on.
pub(super) struct Frame {
    /// Since the start.
    pub(super) at: Duration,
    pub(super) rows: Vec<Vec<Span>>,
}

/// What a program showed.
pub(super) struct Recording {
    pub(super) frames: Vec<Frame>,
    pub(super) succeeded: bool,
}

impl Recording {
    /// The last picture, without styles.
    pub(super) fn last_text(&self) -> String {
        let rows = self.frames.iter().next_back().map(|frame| &frame.rows);
        let text = |row: &Vec<Span>| row.iter().map(|span| span.text.as_str()).collect::<String>() + "\n";
        rows.into_iter().flatten().map(text).collect()
    }
}

/// Runs a program to its end in a terminal that shows `prompt` already.
pub(super) fn record(mut command: Command, size: Size, prompt: &str) -> Result<Recording> {
    let window = Winsize { ws_col: size.columns, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&window, None).context("can't open a terminal")?;
    let end = || pty.slave.try_clone().map(Stdio::from).context("can't open a terminal");
    command.stdin(end()?).stdout(end()?).stderr(end()?);
    command.env("TERM", "xterm-256color").env_remove("CI").env_remove("NO_COLOR");
    let mut child = command.spawn().context("can't run the example")?;
    drop((command, pty.slave));
    let mut terminal = File::from(pty.master);
    let cells = |count| NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN);
    let mut screen = vt100::Parser::new(cells(size.rows), cells(size.columns), 0);
    screen.process(prompt.as_bytes());
    let start = Instant::now();
    let mut frames = vec![Frame { at: Duration::ZERO, rows: rows(screen.screen()) }];
    let mut buffer = [0; 65536];
    // A terminal that nobody has open any more gives an error.
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        screen.process(&buffer[..count]);
        let (at, rows) = (start.elapsed(), rows(screen.screen()));
        match frames.last_mut() {
            Some(last) if last.rows == rows => {}
            Some(last) if at.saturating_sub(last.at) < SHORTEST && !last.at.is_zero() => last.rows = rows,
            _ => frames.push(Frame { at, rows }),
        }
    }
    let succeeded = child.wait().context("can't wait for the example")?.success();
    Ok(Recording { frames, succeeded })
}

fn rows(screen: &vt100::Screen) -> Vec<Vec<Span>> {
    let (rows, columns) = screen.size();
    (0..rows.get()).map(|row| spans(screen, row, columns.get())).collect()
}

/// One row, cut where its style changes.
fn spans(screen: &vt100::Screen, row: u16, columns: u16) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else {
            continue;
        };
        let colour = match cell.fgcolor() {
            vt100::Color::Idx(number) => Some(number),
            _ => None,
        };
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match spans.last_mut() {
            Some(span) if (span.colour, span.bold) == (colour, cell.bold()) => span.text.push_str(text),
            _ => spans.push(Span { text: text.to_owned(), colour, bold: cell.bold() }),
        }
    }
    if let Some(last) = spans.last_mut() {
        last.text.truncate(last.text.trim_end().len());
    }
    spans.retain(|span| !span.text.is_empty());
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_recorded_with_its_colours() {
        let mut command = Command::new("printf");
        command.arg("a \\033[1;32mok\\033[0m");
        let recording = record(command, Size { columns: 10, rows: 2 }, "$ ").unwrap();
        assert!(recording.succeeded);
        assert_eq!(recording.last_text(), "$ a ok\n\n");
        let span = &recording.frames.last().unwrap().rows[0][1];
        assert_eq!(*span, Span { text: "ok".to_owned(), colour: Some(2), bold: true });
    }
}
