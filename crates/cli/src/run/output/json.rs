//! One JSON object a line, for programs.

use std::io::{BufWriter, Stdout, Write};

use model::{Conclusion, JobEvent};
use serde_json::json;

use super::{JobTitle, Output, RunEnd, RunStart};
use crate::json;

/// Writes events as JSON lines to standard output.
pub(crate) struct Json {
    out: BufWriter<Stdout>,
}

impl Json {
    pub(crate) fn new() -> Json {
        Json { out: BufWriter::new(std::io::stdout()) }
    }

    /// A reader that has gone away must not end the run: its jobs still clean up.
    fn line(&mut self, value: &serde_json::Value) {
        let _ = writeln!(self.out, "{}", json::line(value));
    }
}

fn job_json(job: &JobTitle) -> serde_json::Value {
    json!({"id": job.id, "key": job.key, "name": job.name})
}

impl Output for Json {
    fn run_started(&mut self, start: &RunStart<'_>) {
        let RunStart { run, path, workflow, name, what, driver, .. } = start;
        self.line(&json!({
            "type": "run_started", "run": run, "path": path, "workflow": workflow, "name": name, "what": what, "driver": driver,
        }));
    }

    fn job_queued(&mut self, job: &JobTitle) {
        self.line(&json!({"type": "job_queued", "job": job_json(job)}));
    }

    fn machine_note(&mut self, job: &JobTitle, note: &str) {
        self.line(&json!({"type": "machine_note", "job": job_json(job), "note": note}));
    }

    fn job_event(&mut self, job: &JobTitle, event: &JobEvent) {
        self.line(&json!({"type": "job_event", "job": job_json(job), "event": event}));
    }

    fn decided(&mut self, job: &JobTitle, conclusion: Conclusion, reason: Option<&str>) {
        self.line(
            &json!({"type": "decided", "job": job_json(job), "conclusion": conclusion, "error": reason}),
        );
    }

    /// Not told: programs count for themselves.
    fn waiting(&mut self, _: usize) {}

    fn run_finished(&mut self, end: &RunEnd<'_>) {
        self.line(&json!({"type": "run_finished", "conclusion": end.conclusion, "artifacts": end.artifacts}));
        self.flush();
    }

    fn note(&mut self, text: &str) {
        self.line(&json!({"type": "note", "text": text}));
    }

    fn flush(&mut self) {
        let _ = self.out.flush();
    }

    fn pause(&mut self) {
        self.flush();
    }
}
