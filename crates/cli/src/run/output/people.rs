//! Lines for people: each with its job, steps with marks and times, a summary at the end.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Annotation, AnnotationLevel, Conclusion, JobEvent, JobId, LogLine, StepPhase, StepRef};

use super::{JobTitle, Output, RunEnd};

/// Log lines of a failed step that the summary repeats.
const ERROR_CONTEXT_LINES: usize = 12;

/// Largest file of which a line is shown; larger ones are generated.
const SOURCE_BYTES: u64 = 4 * 1024 * 1024;

/// Widest line of source that is shown whole.
const SOURCE_WIDTH: usize = 120;

/// Annotations of a job that the summary shows; GitHub shows ten of each kind.
const ANNOTATIONS: usize = 20;

/// Widest job name in front of a line; a longer one is cut, so that logs stay readable.
const PREFIX_WIDTH: usize = 32;

/// Colours of jobs, in turn: cyan, magenta, blue, yellow, bright cyan, bright magenta.
const JOB_COLOURS: [&str; 6] = ["36", "35", "34", "33", "96", "95"];

/// Output for a terminal or a plain file.
pub(crate) struct People {
    out: BufWriter<Stdout>,
    colour: bool,
    debug: bool,
    root: PathBuf,
    jobs: BTreeMap<JobId, JobView>,
    order: Vec<JobId>,
    notes_shown: Vec<String>,
}

/// What has been seen of one job.
struct JobView {
    title: JobTitle,
    colour: &'static str,
    steps: BTreeMap<(usize, u8), String>,
    group_open: bool,
    /// In the group that heads a step and that is not shown.
    head_open: bool,
    /// Whether the step has said anything after its head.
    body_seen: bool,
    /// Hearth's own lines of the frame of the job, shown only if it fails there.
    held: Vec<String>,
    tail: VecDeque<String>,
    failure: Option<FailedStep>,
    annotations: Vec<Annotation>,
    summaries: usize,
    end: Option<(Conclusion, Option<Duration>, Option<String>)>,
}

/// The first step that failed, with the last lines of its log.
struct FailedStep {
    name: String,
    lines: Vec<String>,
}

impl People {
    pub(crate) fn new(colour: bool, debug: bool, root: &Path) -> People {
        People {
            out: BufWriter::new(std::io::stdout()),
            colour,
            debug,
            root: root.to_owned(),
            jobs: BTreeMap::new(),
            order: Vec::new(),
            notes_shown: Vec::new(),
        }
    }

    /// A reader that has gone away must not end the run: its jobs still clean up.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn view(&mut self, job: &JobTitle) -> &mut JobView {
        let count = self.order.len();
        let order = &mut self.order;
        self.jobs.entry(job.id).or_insert_with(|| {
            order.push(job.id);
            JobView {
                title: job.clone(),
                colour: JOB_COLOURS[count % JOB_COLOURS.len()],
                steps: BTreeMap::new(),
                group_open: false,
                head_open: false,
                body_seen: false,
                held: Vec::new(),
                tail: VecDeque::new(),
                failure: None,
                annotations: Vec::new(),
                summaries: 0,
                end: None,
            }
        })
    }

    fn job_line(&mut self, job: &JobTitle, text: &str) {
        let colour = self.view(job).colour;
        let prefix = self.paint(colour, &format!("{} │", shorten(&job.name, PREFIX_WIDTH)));
        self.line(&format!("{prefix} {text}"));
    }

    fn mark(&self, conclusion: Conclusion) -> String {
        match conclusion {
            Conclusion::Success => self.paint("32", "✓"),
            Conclusion::Failure => self.paint("31", "✗"),
            Conclusion::Cancelled => self.paint("33", "■"),
            Conclusion::Skipped => self.paint("90", "–"),
        }
    }

    fn log(&mut self, job: &JobTitle, line: &LogLine) {
        let text = if self.colour { line.text.clone() } else { without_colours(&line.text) };
        let show_own = self.debug;
        let view = self.view(job);
        let own = line.stream == model::Stream::Hearth;
        if own && (view.head_open || is_frame(line.step)) && !show_own {
            view.held.push(text);
            return;
        }
        if view.tail.len() == ERROR_CONTEXT_LINES {
            view.tail.pop_front();
        }
        view.tail.push_back(text.clone());
        let indent = if view.group_open { "    " } else { "  " };
        let text = if own { self.paint("90", &text) } else { text };
        self.job_line(job, &format!("{indent}{text}"));
    }

    /// The group that heads a script repeats what the user wrote: only its first line is shown,
    /// and that only for the steps inside of an action.
    fn group_started(&mut self, job: &JobTitle, title: &str) {
        if title.starts_with("Run ") && !self.debug {
            let view = self.view(job);
            view.head_open = true;
            if view.body_seen {
                let text = self.paint("90", &format!("  ▹ {title}"));
                self.job_line(job, &text);
            }
            return;
        }
        self.view(job).group_open = true;
        let text = self.paint("1", &format!("  ▾ {title}"));
        self.job_line(job, &text);
    }

    /// The log has its message already: the place of it belongs to the summary.
    fn annotation(&mut self, job: &JobTitle, annotation: &Annotation) {
        self.view(job).annotations.push(annotation.clone());
    }

    fn step_started(&mut self, job: &JobTitle, step: StepRef, name: &str) {
        let view = self.view(job);
        view.steps.insert((step.index, step.phase as u8), name.to_owned());
        view.tail.clear();
        view.held.clear();
        (view.group_open, view.head_open, view.body_seen) = (false, false, false);
        if is_frame(step) && !self.debug {
            return;
        }
        let text = self.paint("1", &format!("▸ {name}"));
        self.job_line(job, &text);
    }

    fn step_finished(
        &mut self,
        job: &JobTitle,
        step: StepRef,
        ended: (Conclusion, Conclusion),
        took: Duration,
    ) {
        let (outcome, conclusion) = ended;
        let view = self.view(job);
        let name = view.steps.get(&(step.index, step.phase as u8)).cloned().unwrap_or_default();
        if conclusion == Conclusion::Failure && view.failure.is_none() {
            view.failure = Some(FailedStep { name: name.clone(), lines: view.tail.drain(..).collect() });
        }
        if is_frame(step) && conclusion != Conclusion::Failure && !self.debug {
            return;
        }
        for line in std::mem::take(&mut self.view(job).held).iter().filter(|_| is_frame(step)) {
            self.job_line(job, &format!("  {line}"));
        }
        let mut text = format!("{} {name}", self.mark(conclusion));
        if conclusion != Conclusion::Skipped {
            text.push_str(&self.paint("90", &format!("  {}", seconds(took))));
        }
        if outcome != conclusion {
            text.push_str(&self.paint("33", &format!("  ({outcome}, but continue-on-error)")));
        }
        self.job_line(job, &text);
    }

    fn job_finished(&mut self, job: &JobTitle, result: &model::JobResult, took: Duration) {
        let text = match &result.infrastructure_error {
            Some(error) => format!("{} {}", self.mark(result.conclusion), self.paint("31", error)),
            None => {
                format!("{} job {}  {}", self.mark(result.conclusion), word(result.conclusion), seconds(took))
            }
        };
        self.job_line(job, &text);
        self.view(job).end = Some((result.conclusion, Some(took), result.infrastructure_error.clone()));
    }

    fn summary(&mut self) {
        let ids = self.order.clone();
        for id in &ids {
            self.summary_of_failure(*id);
        }
        self.line("");
        let width = ids.iter().map(|id| self.jobs[id].title.name.chars().count()).max().unwrap_or(0);
        for id in &ids {
            let view = &self.jobs[id];
            let (conclusion, took, reason) = view.end.clone().unwrap_or((Conclusion::Cancelled, None, None));
            let name = &view.title.name;
            let padding = " ".repeat(width - name.chars().count());
            let time = took.map(seconds).unwrap_or_default();
            let reason = reason.map(|reason| format!("  {reason}")).unwrap_or_default();
            let text = format!(
                "  {} {name}{padding}  {:<9}  {time}{reason}",
                self.mark(conclusion),
                word(conclusion)
            );
            self.line(text.trim_end());
        }
    }

    fn summary_of_failure(&mut self, id: JobId) {
        let view = &self.jobs[&id];
        let name = view.title.name.clone();
        let mut lines: Vec<String> = Vec::new();
        if let Some(failure) = &view.failure {
            lines.push(self.paint("1;31", &format!("{name} › {}", failure.name)));
            lines.extend(failure.lines.iter().map(|line| format!("  {line}")));
        }
        for annotation in view.annotations.iter().take(ANNOTATIONS) {
            let (code, word) = match annotation.level {
                AnnotationLevel::Error => ("31", "error:"),
                AnnotationLevel::Warning => ("33", "warning:"),
                AnnotationLevel::Notice => ("36", "notice:"),
            };
            let text = format!("{} {}", self.paint(code, word), describe(annotation));
            // What the last lines of the failed step say already is not said twice.
            if !lines.iter().any(|line| line.to_lowercase().contains(&annotation.message.to_lowercase())) {
                lines.push(format!("  {text}"));
            }
            lines.extend(
                source_line(&self.root, annotation).map(|line| format!("    {}", self.paint("90", &line))),
            );
        }
        if view.annotations.len() > ANNOTATIONS {
            lines.push(format!("  and {} more annotations", view.annotations.len() - ANNOTATIONS));
        }
        if lines.is_empty() {
            return;
        }
        if view.failure.is_none() {
            lines.insert(0, self.paint("1", &name));
        }
        self.line("");
        for line in lines {
            self.line(line.trim_end());
        }
    }
}

impl Output for People {
    fn run_started(&mut self, workflow: &str, run_name: &str, what: &str, driver: &str) {
        let title = if run_name.is_empty() || run_name == workflow {
            workflow.to_owned()
        } else {
            format!("{workflow}: {run_name}")
        };
        let line =
            format!("{}  {}", self.paint("1", &title), self.paint("90", &format!("{what} · {driver}")));
        self.line(&line);
        self.flush();
    }

    fn job_queued(&mut self, job: &JobTitle) {
        self.view(job);
    }

    fn machine_note(&mut self, job: &JobTitle, note: &str) {
        if !self.notes_shown.iter().any(|shown| shown == note) {
            self.notes_shown.push(note.to_owned());
            let text = self.paint("33", &format!("note: {note}"));
            self.job_line(job, &text);
            self.flush();
        }
    }

    fn job_event(&mut self, job: &JobTitle, event: &JobEvent) {
        match event {
            JobEvent::JobStarted { .. } => {
                self.view(job);
            }
            JobEvent::StepStarted { step, name, .. } => self.step_started(job, *step, name),
            JobEvent::Log(line) => self.log(job, line),
            JobEvent::GroupStarted { title, .. } => self.group_started(job, title),
            JobEvent::GroupEnded { .. } => {
                let view = self.view(job);
                (view.group_open, view.head_open, view.body_seen) = (false, false, true);
            }
            JobEvent::Debug { message, .. } => {
                if self.debug {
                    let text = self.paint("90", &format!("  debug: {message}"));
                    self.job_line(job, &text);
                }
            }
            JobEvent::Annotation { annotation, .. } => self.annotation(job, annotation),
            JobEvent::Output { .. } => {}
            JobEvent::Summary { markdown, .. } => {
                self.view(job).summaries += 1;
                for line in markdown.lines() {
                    let text = format!("  {} {line}", self.paint("90", "summary"));
                    self.job_line(job, &text);
                }
            }
            JobEvent::StepFinished { step, outcome, conclusion, duration } => {
                self.step_finished(job, *step, (*outcome, *conclusion), *duration);
            }
            JobEvent::JobFinished { result, duration } => self.job_finished(job, result, *duration),
        }
        // Log lines may wait for the next flush: there may be millions of them.
        if !matches!(event, JobEvent::Log(_)) {
            self.flush();
        }
    }

    fn decided(&mut self, job: &JobTitle, conclusion: Conclusion, reason: Option<&str>) {
        let mut text = format!("{} {}", self.mark(conclusion), word(conclusion));
        if let Some(reason) = reason {
            text.push_str(&format!(": {reason}"));
        }
        self.view(job).end = Some((conclusion, None, reason.map(str::to_owned)));
        self.job_line(job, &text);
        self.flush();
    }

    fn run_finished(&mut self, end: &RunEnd<'_>) {
        self.summary();
        if let Some(artifacts) = end.artifacts {
            self.line("");
            self.line(&format!("Artifacts: {}", artifacts.display()));
        }
        let text = format!("{} run {}", self.mark(end.conclusion), word(end.conclusion));
        self.line("");
        self.line(&text);
        self.flush();
        self.jobs.clear();
        self.order.clear();
    }

    fn note(&mut self, text: &str) {
        let text = self.paint("33", &format!("note: {text}"));
        self.line(&text);
        self.flush();
    }

    fn flush(&mut self) {
        let _ = self.out.flush();
    }
}

/// Set-up and completion: Hearth's own work around the steps.
fn is_frame(step: StepRef) -> bool {
    matches!(step.phase, StepPhase::SetUp | StepPhase::Complete)
}

/// The text without ANSI escape sequences.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        plain.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |end| end + 1);
        rest = &after[end..];
    }
    plain.push_str(rest);
    plain
}

fn word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Success => "succeeded",
        Conclusion::Failure => "failed",
        Conclusion::Cancelled => "cancelled",
        Conclusion::Skipped => "skipped",
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        whole => format!("{}m {:02}s", whole / 60, whole % 60),
    }
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width - 1).collect();
    format!("{kept}…")
}

/// The line that an annotation is about, with its number. A path that leads out of the repository has none.
fn source_line(root: &Path, annotation: &Annotation) -> Option<String> {
    let (file, number) = (annotation.file.as_ref()?, annotation.line?);
    let (root, path) = (root.canonicalize().ok()?, root.join(file).canonicalize().ok()?);
    if !path.starts_with(&root) || path.metadata().ok()?.len() > SOURCE_BYTES {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
    Some(format!("{number} | {}", shorten(line.trim_end(), SOURCE_WIDTH)))
}

/// `file:line:column: message (title)`.
fn describe(annotation: &Annotation) -> String {
    let mut text = String::new();
    if let Some(file) = &annotation.file {
        text.push_str(file);
        for number in [annotation.line, annotation.column].into_iter().map_while(|number| number) {
            text.push_str(&format!(":{number}"));
        }
        text.push_str(": ");
    }
    if let Some(title) = &annotation.title {
        text.push_str(&format!("{title}: "));
    }
    text.push_str(&annotation.message);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_at_characters_not_bytes() {
        assert_eq!(shorten("Grüße aus München", 8), "Grüße a…");
        assert_eq!(shorten("short", 8), "short");
    }

    #[test]
    fn an_annotation_shows_its_line_of_the_repository_and_nothing_outside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repo");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("ä.c"), "one\ntwo();\n").unwrap();
        std::fs::write(folder.path().join("secret"), "hidden\n").unwrap();
        let at = |file: &str, line| Annotation {
            level: AnnotationLevel::Error,
            message: String::new(),
            title: None,
            file: Some(file.to_owned()),
            line: Some(line),
            end_line: None,
            column: None,
            end_column: None,
            code: None,
        };
        assert_eq!(source_line(&root, &at("ä.c", 2)).as_deref(), Some("2 | two();"));
        assert_eq!(source_line(&root, &at("ä.c", 0)), None);
        assert_eq!(source_line(&root, &at("../secret", 1)), None);
    }

    #[test]
    fn an_annotation_is_described_with_its_place() {
        let annotation = Annotation {
            level: AnnotationLevel::Error,
            message: "bad".into(),
            title: Some("Lint".into()),
            file: Some("src/a.rs".into()),
            line: Some(3),
            end_line: None,
            column: Some(7),
            end_column: None,
            code: None,
        };
        assert_eq!(describe(&annotation), "src/a.rs:3:7: Lint: bad");
    }

    #[test]
    fn plain_output_has_no_escape_sequences() {
        assert_eq!(without_colours("\x1b[36;1mecho ü\x1b[0m x\x1b[2K"), "echo ü x");
        assert_eq!(without_colours("\x1b["), "");
    }

    #[test]
    fn durations_are_shown_in_minutes_from_one_minute_on() {
        assert_eq!(seconds(Duration::from_millis(1240)), "1.2s");
        assert_eq!(seconds(Duration::from_secs(125)), "2m 05s");
    }
}
