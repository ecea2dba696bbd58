//! What has been seen of a run, and the lines that stay for each thing that happens. Knows no terminal and no clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::{Conclusion, Contact, JobEvent, JobId, LogLine, StepRef, Stream};

use super::super::JobTitle;
use super::job::{JobState, JobView, Section, is_frame};
use super::style::{Ink, Palette, elapsed, word};
use super::text::{contacted, fit, one_line, pad, printable, width};

/// Widest job name in front of a line; a longer one is cut, so that logs stay readable.
const PREFIX_WIDTH: usize = 32;

/// On a narrow terminal, names of jobs take at most this part of it.
const PREFIX_PART: usize = 3;

/// Widest name of a step in front of its lines, where several steps of a job speak at once.
const SPEAKER_WIDTH: usize = 24;

/// Lines of a step's summary that are shown where logs are folded: a summary is read as a page, not as a log.
const SUMMARY_LINES: usize = 20;

/// Most refusals of the network that are told of one job; a job that scans has thousands.
const TOLD_REFUSALS: usize = 20;

/// How much is shown of what steps print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logs {
    /// Only the end of failing ones, when the run is over.
    Folded,
    /// All, as it comes.
    Shown,
}

impl Logs {
    /// Lines of a failing step's log that the end of the run shows: more where they were not shown before.
    fn tail(self) -> usize {
        match self {
            Logs::Folded => 40,
            Logs::Shown => 12,
        }
    }
}

/// What people want to see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// With or without colours.
    pub(super) palette: Palette,
    /// Of logs.
    pub(super) logs: Logs,
    /// Hearth's own words and debug messages too.
    pub(super) debug: bool,
    /// Width to which lines about steps are cut; none where nobody knows the width.
    pub(super) columns: Option<usize>,
}

impl Manner {
    /// Columns for the names of jobs, of which this is the widest.
    fn prefix_width(&self, widest: usize) -> usize {
        let most = self.columns.map_or(PREFIX_WIDTH, |columns| columns / PREFIX_PART);
        widest.min(most).min(PREFIX_WIDTH)
    }
}

/// A run as people see it.
pub(super) struct Board {
    manner: Manner,
    /// When the run began.
    pub(super) began: Instant,
    /// Jobs that are known and have not started.
    pub(super) waiting: usize,
    jobs: BTreeMap<JobId, JobView>,
    /// Jobs in the order in which they were first seen.
    order: Vec<JobId>,
    /// Width of the widest name of a job.
    widest: usize,
    /// What stands in front of the lines of each job, by its place.
    prefixes: Vec<String>,
    prefix_width: usize,
    notes: Vec<String>,
    /// What stays and nobody has taken yet.
    lines: String,
}

impl Board {
    /// A board without a run.
    pub(super) fn new(manner: Manner, now: Instant) -> Board {
        Board {
            manner,
            began: now,
            waiting: 0,
            jobs: BTreeMap::new(),
            order: Vec::new(),
            widest: 0,
            prefixes: Vec::new(),
            prefix_width: 0,
            notes: Vec::new(),
            lines: String::new(),
        }
    }

    /// A run begins; what was before is forgotten.
    pub(super) fn run_started(&mut self, headline: &str, now: Instant) {
        let notes = std::mem::take(&mut self.notes);
        *self = Board { lines: std::mem::take(&mut self.lines), notes, ..Board::new(self.manner, now) };
        self.line(headline);
    }

    /// What people want to see.
    pub(super) fn manner(&self) -> Manner {
        self.manner
    }

    /// The width of the terminal is this from now on.
    pub(super) fn set_columns(&mut self, columns: usize) {
        if self.manner.columns != Some(columns) {
            self.manner.columns = Some(columns);
            self.measure();
        }
    }

    /// The jobs, in the order in which they were first seen.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (JobId, &JobView)> {
        self.order.iter().map(|id| (*id, &self.jobs[id]))
    }

    /// Adds a line that stays.
    pub(super) fn line(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
    }

    /// The lines that stay since [`Board::forget_lines`], each with its end.
    pub(super) fn lines(&self) -> &str {
        &self.lines
    }

    /// The lines have been shown.
    pub(super) fn forget_lines(&mut self) {
        self.lines.clear();
    }

    /// Columns that the names of jobs take.
    pub(super) fn prefix_width(&self) -> usize {
        self.prefix_width
    }

    /// What stands in front of every line of a job.
    pub(super) fn prefix(&self, job: &JobView) -> &str {
        &self.prefixes[job.place]
    }

    /// As wide as [`Board::prefix`], for rows that belong to the one above.
    pub(super) fn prefix_below(&self, job: &JobView) -> String {
        let space = " ".repeat(self.prefix_width);
        self.manner.palette.paint(Ink::Job(job.place), &format!("{space} │"))
    }

    /// A job is being given a machine.
    pub(super) fn job_queued(&mut self, job: &JobTitle, now: Instant) {
        self.view(job, now);
    }

    /// A remark on the machine of a job; one that several jobs have is shown once.
    pub(super) fn machine_note(&mut self, job: &JobTitle, note: &str, now: Instant) {
        if self.notes.iter().any(|shown| shown == note) {
            return;
        }
        self.notes.push(note.to_owned());
        self.view(job, now);
        for (number, line) in note.lines().enumerate() {
            let line = if number == 0 {
                format!("note: {}", one_line(line))
            } else {
                format!("  {}", one_line(line))
            };
            let text = self.paint(Ink::Caution, &line);
            self.job_line(job.id, &text);
        }
    }

    /// A job was decided without running.
    pub(super) fn decided(
        &mut self,
        job: &JobTitle,
        conclusion: Conclusion,
        reason: Option<&str>,
        now: Instant,
    ) {
        let mut text = format!("{} {}", self.manner.palette.mark(conclusion), word(conclusion));
        if let Some(reason) = reason {
            text.push_str(&format!(": {}", one_line(reason)));
        }
        self.view(job, now).ended(conclusion, None, reason);
        self.job_line(job.id, &text);
    }

    /// A job tells something.
    pub(super) fn job_event(&mut self, job: &JobTitle, event: &JobEvent, now: Instant) {
        let id = job.id;
        self.view(job, now);
        match event {
            JobEvent::JobStarted { .. } => {
                self.view(job, now).state = JobState::Running { steps: Vec::new() };
            }
            JobEvent::StepStarted { step, name, .. } => self.step_started(id, *step, one_line(name), now),
            JobEvent::Log(line) => self.log(id, line),
            JobEvent::GroupStarted { step, title } => self.group_started(id, *step, title),
            JobEvent::GroupEnded { step } => {
                if let Some(step) = self.job(id).step(*step) {
                    step.section = Section::Body;
                }
            }
            JobEvent::Debug { message, .. } if self.manner.debug => {
                let text = self.paint(Ink::Faint, &format!("  debug: {}", printable(message, false)));
                self.job_line(id, &text);
            }
            JobEvent::Debug { .. } | JobEvent::Output { .. } => {}
            // The log has its message already: the place of it belongs to the end.
            JobEvent::Annotation { annotation, .. } => self.job(id).annotate(annotation),
            JobEvent::Summary { markdown, .. } => self.summary(id, markdown),
            JobEvent::StepFinished { step, outcome, conclusion, duration } => {
                self.step_finished(id, *step, (*outcome, *conclusion), *duration);
            }
            JobEvent::Contacted { contact, times } => self.contacted(id, contact, *times),
            JobEvent::JobFinished { result, duration } => self.job_finished(id, result, *duration),
        }
    }
}

impl Board {
    fn paint(&self, ink: Ink, text: &str) -> String {
        self.manner.palette.paint(ink, text)
    }

    fn view(&mut self, job: &JobTitle, now: Instant) -> &mut JobView {
        if !self.jobs.contains_key(&job.id) {
            let view = JobView::new(one_line(&job.name), self.order.len(), now);
            self.widest = width(&view.name).max(self.widest);
            self.order.push(job.id);
            self.jobs.insert(job.id, view);
            self.measure();
        }
        self.job(job.id)
    }

    /// Makes the prefixes anew, all as wide as the widest name needs.
    fn measure(&mut self) {
        let columns = self.manner.prefix_width(self.widest);
        if columns != self.prefix_width {
            self.prefix_width = columns;
            self.prefixes.clear();
        }
        for id in &self.order[self.prefixes.len()..] {
            let job = &self.jobs[id];
            let name = format!("{} │", pad(&job.name, columns));
            self.prefixes.push(self.manner.palette.paint(Ink::Job(job.place), &name));
        }
    }

    /// A job that [`Board::view`] has made.
    fn job(&mut self, id: JobId) -> &mut JobView {
        self.jobs.get_mut(&id).expect("every job is made by `view` before anything of it is looked at")
    }

    fn job_line(&mut self, id: JobId, text: &str) {
        let prefix = &self.prefixes[self.jobs[&id].place];
        [prefix, " ", text, "\n"].iter().for_each(|part| self.lines.push_str(part));
    }

    fn contacted(&mut self, id: JobId, contact: &Contact, times: u64) {
        if contact.refused.is_none() {
            return;
        }
        self.job(id).refusals += 1;
        let text = match self.job(id).refusals {
            ..=TOLD_REFUSALS => contacted(contact, times),
            refusals if refusals == TOLD_REFUSALS + 1 => {
                "network: more was refused; the run's folder has all of it".to_owned()
            }
            _ => return,
        };
        let text = self.paint(Ink::Caution, &format!("note: {text}"));
        self.job_line(id, &text);
    }

    fn step_started(&mut self, id: JobId, step: StepRef, name: String, now: Instant) {
        let Manner { logs, debug, .. } = self.manner;
        let text = self.paint(Ink::Strong, &format!("▸ {name}"));
        self.job(id).step_started(step, name, logs.tail(), now);
        if logs == Logs::Shown && (debug || !is_frame(step)) {
            self.job_line(id, &text);
        }
    }

    /// Hearth's own lines in a head, and those of a frame, are shown on demand only; the latter if it fails, too.
    fn log(&mut self, id: JobId, line: &LogLine) {
        let Manner { palette, logs, debug, .. } = self.manner;
        let own = line.stream == Stream::Hearth;
        let text = printable(&line.text, palette.colour);
        let mut section = Section::Body;
        if let Some(step) = self.job(id).step(line.step) {
            section = step.section;
            if own && section == Section::Head && !debug {
                return;
            }
            step.tail.push(&text);
        }
        if logs == Logs::Folded || own && is_frame(line.step) && !debug {
            return;
        }
        let indent = if section == Section::Group { "    " } else { "  " };
        let text = if own { palette.paint(Ink::Faint, &text) } else { text.into_owned() };
        let speaker = self.speaker(id, line.step);
        self.job_line(id, &format!("{indent}{speaker}{text}"));
    }

    /// Which step speaks, where several do: `build · `.
    fn speaker(&mut self, id: JobId, at: StepRef) -> String {
        let job = self.job(id);
        let name = job.steps().iter().find(|step| step.at == at && job.steps().len() > 1);
        let Some(name) = name.map(|step| fit(&step.name, SPEAKER_WIDTH).into_owned()) else {
            return String::new();
        };
        self.paint(Ink::Faint, &format!("{name} · "))
    }

    fn group_started(&mut self, id: JobId, at: StepRef, title: &str) {
        let Manner { logs, debug, .. } = self.manner;
        let is_head = title.starts_with("Run ") && !debug;
        let mut before = Section::Body;
        if let Some(step) = self.job(id).step(at) {
            before = step.section;
            step.section = if is_head { Section::Head } else { Section::Group };
            if !is_head {
                step.tail.push(&format!("▾ {}", one_line(title)));
            }
        }
        if logs == Logs::Folded || is_head && before == Section::Beginning {
            return;
        }
        let text = match is_head {
            true => self.paint(Ink::Faint, &format!("▹ {}", one_line(title))),
            false => self.paint(Ink::Strong, &format!("▾ {}", one_line(title))),
        };
        let speaker = self.speaker(id, at);
        self.job_line(id, &format!("  {speaker}{text}"));
    }

    fn summary(&mut self, id: JobId, markdown: &str) {
        let most = if self.manner.logs == Logs::Folded { SUMMARY_LINES } else { usize::MAX };
        let label = self.paint(Ink::Faint, "summary");
        for line in markdown.lines().take(most) {
            self.job_line(id, &format!("  {label} {}", printable(line, false)));
        }
        let more = markdown.lines().count().saturating_sub(most);
        if more > 0 {
            let text = self.paint(Ink::Faint, &format!("and {more} more lines"));
            self.job_line(id, &format!("  {label} {text}"));
        }
    }

    fn step_finished(&mut self, id: JobId, step: StepRef, ended: (Conclusion, Conclusion), took: Duration) {
        let (outcome, conclusion) = ended;
        let Manner { palette, logs, debug, columns } = self.manner;
        let failed = conclusion == Conclusion::Failure;
        let name = self.job(id).step_finished(step, conclusion);
        if is_frame(step) && !failed && !debug {
            return;
        }
        if is_frame(step) && logs == Logs::Shown && !debug {
            self.held_lines(id);
        }
        let mut rest = String::new();
        if conclusion != Conclusion::Skipped {
            rest.push_str(&format!("  {}", elapsed(took)));
        }
        if outcome != conclusion {
            rest.push_str(&format!("  ({}; continue-on-error)", word(outcome)));
        }
        let taken = self.prefix_width + " │ ✓ ".chars().count() + rest.chars().count();
        let name = match columns {
            Some(columns) => fit(&name, columns.saturating_sub(taken)).into_owned(),
            None => name,
        };
        let name = if conclusion == Conclusion::Skipped { self.paint(Ink::Faint, &name) } else { name };
        let ink = if outcome == conclusion { Ink::Faint } else { Ink::Caution };
        let rest = palette.paint(ink, &rest);
        self.job_line(id, &format!("{} {name}{rest}", palette.mark(conclusion)));
    }

    /// What Hearth said in a frame that has failed.
    fn held_lines(&mut self, id: JobId) {
        let Some(failure) = &self.job(id).failure else { return };
        let lines: Vec<String> = failure.tail.lines().map(|line| format!("  {line}")).collect();
        lines.iter().for_each(|line| self.job_line(id, line));
    }

    fn job_finished(&mut self, id: JobId, result: &model::JobResult, took: Duration) {
        let mark = self.manner.palette.mark(result.conclusion);
        let text = match &result.infrastructure_error {
            Some(error) => format!("{mark} {}", self.paint(Ink::Bad, &one_line(error))),
            None => {
                let words = self.paint(Ink::Strong, &format!("job {}", word(result.conclusion)));
                format!("{mark} {words}{}", self.paint(Ink::Faint, &format!("  {}", elapsed(took))))
            }
        };
        self.job_line(id, &text);
        self.job(id).ended(result.conclusion, Some(took), result.infrastructure_error.as_deref());
    }
}
