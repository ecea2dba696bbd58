//! What a job tells: everything goes through here, and is masked here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use model::{
    Annotation, AnnotationLevel, Conclusion, Contact, EventSink, JobEvent, LogLine, StepRef, Stream,
};

use crate::command::plain_annotation;
use crate::lines::cut;
use crate::mask::Masker;

/// Annotations of one level that a step may make; more are shown in the log only. GitHub's limit.
const ANNOTATIONS_PER_LEVEL: u32 = 10;

/// Characters of an annotation's message: GitHub's limit.
const ANNOTATION_CHARS: usize = 4096;

/// The log of one job.
pub struct JobLog {
    sink: Arc<dyn EventSink>,
    /// Hides the job's secrets.
    pub masker: Masker,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    sequence: u64,
    annotations: HashMap<(StepRef, AnnotationLevel), u32>,
}

impl JobLog {
    /// A log that goes to `sink`.
    pub fn new(sink: Arc<dyn EventSink>) -> JobLog {
        JobLog { sink, masker: Masker::new(), state: Mutex::default() }
    }

    /// One line of output, not masked yet; `dropped` bytes of it are missing already.
    pub fn line(&self, step: StepRef, stream: Stream, text: &str, dropped: u64) {
        let mut text = self.masker.mask(text).into_owned();
        cut(&mut text, dropped);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = state.sequence;
        state.sequence += 1;
        // Emitted under the lock, so that lines leave in the order of their numbers.
        self.sink.emit(JobEvent::Log(LogLine { step, sequence, stream, at: SystemTime::now(), text }));
    }

    /// Words of Hearth itself; a line break makes two lines.
    pub fn note(&self, step: StepRef, text: &str) {
        for line in self.mask(text).lines() {
            self.line(step, Stream::Hearth, line, 0);
        }
    }

    /// Opens a group.
    pub fn start_group(&self, step: StepRef, title: &str) {
        self.sink.emit(JobEvent::GroupStarted { step, title: self.mask(title) });
    }

    /// Closes it.
    pub fn end_group(&self, step: StepRef) {
        self.sink.emit(JobEvent::GroupEnded { step });
    }

    /// A debug message.
    pub fn debug(&self, step: StepRef, message: &str) {
        self.sink.emit(JobEvent::Debug { step, message: self.mask(message) });
    }

    /// An error without a place.
    pub fn error(&self, step: StepRef, message: impl Into<String>) {
        self.annotate(step, Stream::Hearth, plain_annotation(AnnotationLevel::Error, message.into()), None);
    }

    /// A warning without a place.
    pub fn warning(&self, step: StepRef, message: impl Into<String>) {
        self.annotate(step, Stream::Hearth, plain_annotation(AnnotationLevel::Warning, message.into()), None);
    }

    /// Shows and records an annotation; `shown` stands in the log instead of its message, behind its level as well.
    pub fn annotate(&self, step: StepRef, stream: Stream, annotation: Annotation, shown: Option<&str>) {
        let mut annotation = self.masked(annotation);
        let prefix = match annotation.level {
            AnnotationLevel::Notice => "Notice: ",
            AnnotationLevel::Warning => "Warning: ",
            AnnotationLevel::Error => "Error: ",
        };
        let shown = shown.map_or_else(|| annotation.message.clone(), |shown| self.mask(shown));
        let text = format!("{prefix}{shown}");
        for line in text.lines() {
            self.line(step, stream, line, 0);
        }
        if let Some((at, _)) = annotation.message.char_indices().nth(ANNOTATION_CHARS) {
            annotation.message.truncate(at);
        }
        if self.counts(step, annotation.level) {
            self.sink.emit(JobEvent::Annotation { step, annotation });
        }
    }

    /// An output was set.
    pub fn output(&self, step: StepRef, name: &str, value: &str) {
        self.sink.emit(JobEvent::Output { step, name: self.mask(name), value: self.mask(value) });
    }

    /// A step's summary.
    pub fn summary(&self, step: StepRef, markdown: &str) {
        self.sink.emit(JobEvent::Summary { step, markdown: self.mask(markdown) });
    }

    /// The job begins.
    pub fn job_started(&self, machine: &str, driver: &str) {
        self.sink.emit(JobEvent::JobStarted {
            at: SystemTime::now(),
            machine: machine.to_owned(),
            driver: driver.to_owned(),
        });
    }

    /// A step begins.
    pub fn step_started(&self, step: StepRef, name: &str) {
        self.sink.emit(JobEvent::StepStarted { step, name: self.mask(name), at: SystemTime::now() });
    }

    /// A step has ended.
    pub fn step_finished(
        &self,
        step: StepRef,
        outcome: Conclusion,
        conclusion: Conclusion,
        duration: Duration,
    ) {
        self.sink.emit(JobEvent::StepFinished { step, outcome, conclusion, duration });
    }

    /// The job has tried this on its machine's own network.
    pub fn contacted(&self, contact: Contact, times: u64) {
        // A name can say more than where to go.
        let name = contact.name.as_deref().map(|name| self.mask(name));
        self.sink.emit(JobEvent::Contacted { contact: Contact { name, ..contact }, times });
    }

    /// The job has ended.
    pub fn job_finished(&self, result: model::JobResult, duration: Duration) {
        self.sink.emit(JobEvent::JobFinished { result, duration });
    }

    fn mask(&self, text: &str) -> String {
        self.masker.mask(text).into_owned()
    }

    fn masked(&self, annotation: Annotation) -> Annotation {
        let mask = |text: Option<String>| text.map(|text| self.mask(&text));
        Annotation {
            message: self.mask(&annotation.message),
            title: mask(annotation.title),
            file: mask(annotation.file),
            code: mask(annotation.code),
            ..annotation
        }
    }

    fn counts(&self, step: StepRef, level: AnnotationLevel) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = state.annotations.entry((step, level)).or_default();
        *count += 1;
        *count <= ANNOTATIONS_PER_LEVEL
    }
}

#[cfg(test)]
mod tests {
    use model::StepPhase;

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<JobEvent>>);

    impl EventSink for Recorder {
        fn emit(&self, event: JobEvent) {
            self.0.lock().unwrap().push(event);
        }
    }

    const STEP: StepRef = StepRef { index: 0, phase: StepPhase::Main };

    fn log() -> (Arc<Recorder>, JobLog) {
        let recorder = Arc::new(Recorder::default());
        (recorder.clone(), JobLog::new(recorder))
    }

    #[test]
    fn every_kind_of_event_is_masked() {
        let (recorder, log) = log();
        log.masker.add("hunter2");
        log.line(STEP, Stream::Stdout, "a hunter2", 0);
        log.start_group(STEP, "hunter2");
        log.debug(STEP, "hunter2");
        log.error(STEP, "hunter2");
        log.output(STEP, "x", "hunter2");
        log.summary(STEP, "hunter2");
        log.step_started(STEP, "hunter2");
        let mut annotation = plain_annotation(AnnotationLevel::Notice, "m".to_owned());
        annotation.title = Some("hunter2".to_owned());
        annotation.file = Some("hunter2".to_owned());
        log.annotate(STEP, Stream::Stdout, annotation, Some("hunter2"));
        let events = recorder.0.lock().unwrap();
        assert!(!format!("{events:?}").contains("hunter2"), "{events:?}");
    }

    #[test]
    fn lines_are_numbered_without_gaps() {
        let (recorder, log) = log();
        log.note(STEP, "one\ntwo");
        log.error(STEP, "three\nfour");
        let events = recorder.0.lock().unwrap();
        let lines: Vec<(u64, &str)> = events
            .iter()
            .filter_map(|event| match event {
                JobEvent::Log(line) => Some((line.sequence, line.text.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(lines, [(0, "one"), (1, "two"), (2, "Error: three"), (3, "four")]);
    }

    #[test]
    fn ten_annotations_of_a_level_are_recorded_and_all_are_shown() {
        let (recorder, log) = log();
        for n in 0..12 {
            log.error(STEP, format!("e{n}"));
        }
        log.warning(STEP, "w");
        let events = recorder.0.lock().unwrap();
        let annotations = events.iter().filter(|event| matches!(event, JobEvent::Annotation { .. })).count();
        let lines = events.iter().filter(|event| matches!(event, JobEvent::Log(_))).count();
        assert_eq!((annotations, lines), (11, 13));
    }

    #[test]
    fn a_secret_across_the_cut_of_a_long_line_is_hidden() {
        let (recorder, log) = log();
        log.masker.add("across-the-cut");
        let text = format!("{}across-the-cut", "x".repeat(model::limits::LOG_LINE_BYTES - 6));
        log.line(STEP, Stream::Stdout, &text, 0);
        let events = recorder.0.lock().unwrap();
        assert!(!format!("{events:?}").contains("across"));
    }
}
