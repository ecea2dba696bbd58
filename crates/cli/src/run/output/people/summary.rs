//! The end of a run: what failed and why, remarks with the lines that they are about, and how each job ended.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Annotation, Conclusion, JobId};

use super::super::RunEnd;
use super::annotation::{describe, label};
use super::board::Board;
use super::job::{FailedStep, JobState, JobView};
use super::style::{Ink, elapsed, word};
use super::text::{one_line, pad, width};

/// Failed jobs of which the end of the log is shown; when more fail, they mostly fail alike.
const FAILED_LOGS: usize = 8;

/// Jobs up to which every one is listed; of more, those that succeeded are counted.
const LISTED_JOBS: usize = 20;

/// Widest name of a job in the list.
const NAME_WIDTH: usize = 60;

/// What the runner remarks on every job that is cancelled; the job's mark says so already.
const CANCELLED: &str = "The operation was canceled.";

/// What the summary asks about the world.
pub(super) struct World<'a> {
    /// The line that an annotation is about.
    pub(super) source_line: &'a dyn Fn(&Annotation) -> Option<String>,
    /// Where the whole log of a job is, if it is kept.
    pub(super) log_of: &'a dyn Fn(JobId) -> Option<PathBuf>,
    /// The folder with all logs, if they are kept.
    pub(super) logs: Option<&'a Path>,
}

/// The lines.
pub(super) fn summary(board: &Board, end: &RunEnd<'_>, world: &World<'_>, now: Instant) -> Vec<String> {
    let summary = Summary { board, world };
    let mut lines = Vec::new();
    let mut logs_left = FAILED_LOGS;
    for (id, job) in board.jobs() {
        let log = job.failure.as_ref().filter(|_| logs_left > 0);
        logs_left -= usize::from(log.is_some());
        lines.extend(summary.findings(id, job, log));
    }
    lines.extend(summary.jobs());
    let places = [("Artifacts", end.artifacts), ("Logs", world.logs)];
    let places = places.into_iter().filter_map(|(what, place)| Some((what, place?)));
    let places: Vec<String> = places.map(|(what, place)| format!("{what}: {}", place.display())).collect();
    lines.extend(section(places));
    let took =
        summary.paint(Ink::Faint, &format!("  {}", elapsed(now.saturating_duration_since(board.began))));
    let mark = board.manner().palette.mark(end.conclusion);
    lines.extend(section(vec![format!("{mark} run {}{took}", word(end.conclusion))]));
    lines
}

/// Lines with an empty one before them, if there are any.
fn section(mut lines: Vec<String>) -> Vec<String> {
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

struct Summary<'a> {
    board: &'a Board,
    world: &'a World<'a>,
}

impl Summary<'_> {
    fn paint(&self, ink: Ink, text: &str) -> String {
        self.board.manner().palette.paint(ink, text)
    }

    /// The end of the failed step's log, and the annotations.
    fn findings(&self, id: JobId, job: &JobView, log: Option<&FailedStep>) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(failure) = &job.failure {
            lines.push(self.paint(Ink::StrongBad, &format!("{} › {}", job.name, failure.name)));
        }
        if let Some(failure) = log {
            lines.extend(self.before(id, failure));
            lines.extend(failure.tail.lines().map(|line| format!("  {line}")));
        } else if let Some(path) = job.failure.as_ref().and_then(|_| (self.world.log_of)(id)) {
            lines.push(self.paint(Ink::Faint, &format!("  its log: {}", path.display())));
        }
        let cancelled = job.conclusion() == Some(Conclusion::Cancelled);
        for annotation in job.annotations.iter().filter(|one| !(cancelled && one.message == CANCELLED)) {
            self.annotation(annotation, &mut lines);
        }
        if job.more_annotations > 0 {
            lines.push(format!("  and {} more annotations", job.more_annotations));
        }
        if !lines.is_empty() && job.failure.is_none() {
            lines.insert(0, self.paint(Ink::Strong, &job.name));
        }
        section(lines.iter().map(|line| line.trim_end().to_owned()).collect())
    }

    /// How much of the log is not shown, and where it is.
    fn before(&self, id: JobId, failure: &FailedStep) -> Option<String> {
        let count = failure.tail.dropped();
        if count == 0 {
            return None;
        }
        let place = match (self.world.log_of)(id) {
            Some(path) => format!("are in {}", path.display()),
            None => "stand above".to_owned(),
        };
        Some(self.paint(Ink::Faint, &format!("  ⋮ {count} lines before these {place}")))
    }

    fn annotation(&self, annotation: &Annotation, lines: &mut Vec<String>) {
        let (ink, word) = label(annotation.level);
        // What the last lines of the failed step say already, with the place, is not said twice.
        let message = annotation.message.to_lowercase();
        let file = annotation.file.as_deref().unwrap_or_default();
        if !lines.iter().any(|line| line.contains(file) && line.to_lowercase().contains(&message)) {
            lines.push(format!("  {} {}", self.paint(ink, word), describe(annotation)));
        }
        let source = (self.world.source_line)(annotation);
        lines.extend(source.map(|line| format!("    {}", self.paint(Ink::Faint, &line))));
    }

    /// How each job ended. One job ended as the run did.
    fn jobs(&self) -> Vec<String> {
        let all: Vec<&JobView> = self.board.jobs().map(|(_, job)| job).collect();
        if all.len() == 1 {
            return Vec::new();
        }
        let succeeded = |job: &&JobView| job.conclusion() == Some(Conclusion::Success);
        let (counted, listed): (Vec<_>, Vec<_>) =
            all.iter().copied().partition(|job| all.len() > LISTED_JOBS && succeeded(job));
        let columns = listed.iter().map(|job| width(&job.name)).max().unwrap_or(0).min(NAME_WIDTH);
        let mut lines: Vec<String> = listed.iter().map(|job| self.job(job, columns)).collect();
        if !counted.is_empty() {
            let mark = self.board.manner().palette.mark(Conclusion::Success);
            let others = if listed.is_empty() { "jobs" } else { "other jobs" };
            lines.push(format!("  {mark} {} {others} succeeded", counted.len()));
        }
        section(lines)
    }

    fn job(&self, job: &JobView, columns: usize) -> String {
        let (conclusion, took, reason) = match &job.state {
            JobState::Ended { conclusion, took, reason } => (*conclusion, *took, reason.as_deref()),
            JobState::Starting { .. } | JobState::Running { .. } => (Conclusion::Cancelled, None, None),
        };
        let mark = self.board.manner().palette.mark(conclusion);
        let (name, word) = (pad(&job.name, columns), word(conclusion));
        let took = took.map(|took: Duration| elapsed(took)).unwrap_or_default();
        let reason = reason.map(|reason| format!("  {}", one_line(reason))).unwrap_or_default();
        format!("  {mark} {name}  {word:<9}  {took}{reason}").trim_end().to_owned()
    }
}
