//! The live part of the display: the jobs that run, with their steps, and how many wait.

use std::time::{Duration, Instant};

use model::Conclusion;

use super::board::{Board, Logs};
use super::job::{JobState, JobView};
use super::style::{Ink, seconds};
use super::terminal::Size;
use super::text::{fit, one_line};

/// What turns in front of a running step.
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// How long each of them stands.
const SPINNER_STEP: Duration = Duration::from_millis(100);

/// Rows that the region may take of a small terminal; of a larger one it is half, so that what happens stays in sight.
const FEW_ROWS: usize = 8;

/// Rows for the last lines of logs, shared by the jobs that run.
const LOG_ROWS: usize = 5;

/// How long a step runs before its log is shown: lines that come and go at once make rows jump and can't be read.
const LOG_AFTER: Duration = Duration::from_millis(500);

/// The rows of the region, none of them wider than the terminal; the first one is empty: the cursor rests there.
pub(super) fn region(board: &Board, size: Size, now: Instant) -> Vec<String> {
    let running: Vec<&JobView> =
        board.jobs().map(|(_, job)| job).filter(|job| job.conclusion().is_none()).collect();
    if running.is_empty() && board.waiting == 0 || size.rows < 2 {
        return Vec::new();
    }
    // A line that fills the last column would leave some terminals in doubt on which row the cursor is.
    let view = View { board, columns: size.columns.saturating_sub(1), now };
    let height = (size.rows / 2).max(FEW_ROWS).min(size.rows.saturating_sub(1));
    let budget = height.saturating_sub(2);
    let mut rows = vec![String::new()];
    rows.extend(view.jobs(&running, budget));
    rows.push(view.status(running.len()));
    rows
}

struct View<'a> {
    board: &'a Board,
    columns: usize,
    now: Instant,
}

impl View<'_> {
    /// A row for each job, with the end of its log where there is room, in so many rows.
    fn jobs(&self, running: &[&JobView], budget: usize) -> Vec<String> {
        let shown = if running.len() <= budget { running.len() } else { budget.saturating_sub(1) };
        let spare = (budget - shown).min(LOG_ROWS);
        let tail =
            if self.board.manner().logs == Logs::Folded { spare.checked_div(shown).unwrap_or(0) } else { 0 };
        let mut rows = Vec::new();
        for job in &running[..shown] {
            rows.push(self.job(job));
            rows.extend(self.tail(job, tail));
        }
        if shown < running.len() && budget > 0 {
            let text =
                format!("{}+{} more", " ".repeat(self.board.prefix_width() + 3), running.len() - shown);
            rows.push(self.faint(&text));
        }
        rows
    }

    /// `job │ ⠹ step  1.2s`: the step that began last; those that run beside it are counted.
    fn job(&self, job: &JobView) -> String {
        let (name, since) = match (&job.state, job.steps().last()) {
            (JobState::Starting { since }, _) => ("starting its machine", *since),
            (_, Some(step)) => (step.name.as_str(), step.since),
            (JobState::Running { .. } | JobState::Ended { .. }, None) => ("", self.now),
        };
        let beside = match job.steps().len() {
            0 | 1 => String::new(),
            steps => format!("  +{} in the background", steps - 1),
        };
        let took = format!("{beside}  {}", seconds(self.now.saturating_duration_since(since)));
        let taken = self.board.prefix_width() + " │ ⠹ ".chars().count() + took.chars().count();
        let name = fit(name, self.columns.saturating_sub(taken)).into_owned();
        let palette = self.board.manner().palette;
        let spinner = palette.paint(Ink::Job(job.place), self.spinner());
        format!("{} {spinner} {name}{}", self.board.prefix(job), palette.paint(Ink::Faint, &took))
    }

    /// The last lines of the step's log.
    fn tail(&self, job: &JobView, count: usize) -> Vec<String> {
        let Some(step) = job.steps().last() else { return Vec::new() };
        if self.now.saturating_duration_since(step.since) < LOG_AFTER {
            return Vec::new();
        }
        let room = self.columns.saturating_sub(self.board.prefix_width() + " │   ".chars().count());
        let row = |line: &str| {
            let text = fit(&one_line(line), room).into_owned();
            format!(
                "{}   {}",
                self.board.prefix_below(job),
                self.board.manner().palette.paint(Ink::Faint, &text)
            )
        };
        step.tail.last(count).map(row).collect()
    }

    /// `2 running · 3 waiting · 5 done, 1 failed  14.2s`
    fn status(&self, running: usize) -> String {
        let ended: Vec<Conclusion> = self.board.jobs().filter_map(|(_, job)| job.conclusion()).collect();
        let failed = ended.iter().filter(|conclusion| **conclusion == Conclusion::Failure).count();
        let mut text = format!("{running} running");
        for (count, word) in [(self.board.waiting, "waiting"), (ended.len(), "done"), (failed, "failed")] {
            if count > 0 {
                text.push_str(&format!(" · {count} {word}"));
            }
        }
        text.push_str(&format!("  {}", seconds(self.now.saturating_duration_since(self.board.began))));
        self.faint(&text)
    }

    fn faint(&self, text: &str) -> String {
        self.board.manner().palette.paint(Ink::Faint, &fit(text, self.columns))
    }

    fn spinner(&self) -> &'static str {
        let turned =
            self.now.saturating_duration_since(self.board.began).as_millis() / SPINNER_STEP.as_millis();
        SPINNER[usize::try_from(turned % SPINNER.len() as u128).unwrap_or(0)]
    }
}
