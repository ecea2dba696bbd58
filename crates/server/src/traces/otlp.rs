//! A run that has ended as spans, in JSON as OTLP has it.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: ids in hexadecimal, enumerations as numbers,
//! 64-bit numbers as text.

use model::{Conclusion, Timestamp};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use store::record::{Job, Step};

use super::Ended;

/// Bytes of the id of a trace, and of a span.
const TRACE_BYTES: usize = 16;
const SPAN_BYTES: usize = 8;

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_SERVER`, `STATUS_CODE_OK` and `STATUS_CODE_ERROR`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const OK: u8 = 1;
const ERROR: u8 = 2;

/// The body of a request.
pub(super) fn spans(ended: &Ended, service: &str) -> Json {
    let trace = Trace { seed: format!("{}/{}/{}", ended.run.id, ended.run.attempt, ended.run.created_at.0) };
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", service)]},
        "scopeSpans": [{
            "scope": {"name": "hearth", "version": env!("CARGO_PKG_VERSION")},
            "spans": trace.of_run(ended),
        }],
    }]})
}

/// What ids are made of: the same run has the same ids however often it is sent.
struct Trace {
    seed: String,
}

impl Trace {
    fn of_run(&self, ended: &Ended) -> Vec<Json> {
        let run = &ended.run;
        let root = self.id("run");
        let begin = ended.received_at.unwrap_or(run.queued_at);
        let end = run.ended_at.unwrap_or(begin);
        let mut whole = self.span(&root, None, &format!("run {}", run.what.workflow_name), begin, end);
        whole["kind"] = SERVER.into();
        whole["status"] = status(run.conclusion, run.what.reason.as_deref());
        whole["attributes"] = json!([
            attribute("hearth.run.id", &run.id.to_string()),
            attribute("hearth.run.attempt", &run.attempt.to_string()),
            attribute("vcs.repository.name", &ended.repository),
            attribute("vcs.ref.head.name", &run.what.head_branch),
            attribute("vcs.ref.head.revision", &run.what.head_sha),
            attribute("cicd.pipeline.name", &run.what.workflow_path),
            attribute("cicd.pipeline.result", run.conclusion.map_or("", Conclusion::as_str)),
            attribute("hearth.event", &run.what.event),
        ]);
        let mut spans = vec![whole];
        let parts = [
            ("webhook", ended.received_at, Some(run.created_at)),
            ("queue", Some(run.queued_at), run.started_at),
        ];
        spans.extend(self.parts("run", &root, &parts));
        for (job, steps) in &ended.jobs {
            spans.extend(self.of_job(&root, job, steps));
        }
        spans
    }

    fn of_job(&self, root: &str, job: &Job, steps: &[Step]) -> Vec<Json> {
        let key = format!("job {}", job.id);
        let (id, clock) = (self.id(&key), &job.clock);
        let end = clock.ended_at.unwrap_or(clock.queued_at);
        let mut whole = self.span(&id, Some(root), &format!("job {}", job.name), clock.queued_at, end);
        whole["status"] = status(job.conclusion, job.reason.as_deref());
        whole["attributes"] = json!([
            attribute("hearth.job.id", &job.id.to_string()),
            attribute("hearth.job.tries", &job.tries.to_string()),
            attribute("hearth.machine", job.machine.as_deref().unwrap_or_default()),
            attribute("cicd.pipeline.task.name", &job.name),
            attribute("cicd.pipeline.task.run.result", job.conclusion.map_or("", Conclusion::as_str)),
        ]);
        let mut spans = vec![whole];
        let parts = [
            ("earlier tries", Some(clock.queued_at), clock.retried_at),
            ("queue", Some(clock.waits_since()), clock.leased_at),
            ("machine", clock.leased_at, clock.started_at),
            ("first line", clock.started_at, clock.first_line_at),
        ];
        spans.extend(self.parts(&key, &id, &parts));
        for step in steps {
            let begin = step.started_at;
            let own = self.id(&format!("{key} step {} {:?}", step.step.index, step.step.phase));
            let end = step.ended_at.unwrap_or(end);
            let mut span = self.span(&own, Some(&id), &format!("step {}", step.name), begin, end);
            span["status"] = status(step.conclusion, None);
            spans.push(span);
        }
        spans
    }

    /// Spans of what has both a beginning and an end.
    fn parts(
        &self,
        of: &str,
        parent: &str,
        parts: &[(&str, Option<Timestamp>, Option<Timestamp>)],
    ) -> Vec<Json> {
        let known = parts.iter().filter_map(|(name, begin, end)| Some((*name, (*begin)?, (*end)?)));
        known
            .map(|(name, begin, end)| {
                self.span(&self.id(&format!("{of} {name}")), Some(parent), name, begin, end)
            })
            .collect()
    }

    fn span(&self, id: &str, parent: Option<&str>, name: &str, begin: Timestamp, end: Timestamp) -> Json {
        let mut span = json!({
            "traceId": self.hex("trace", TRACE_BYTES),
            "spanId": id,
            "name": name,
            "kind": INTERNAL,
            "startTimeUnixNano": nanoseconds(begin),
            // A clock that was set back makes no span that ends before it begins.
            "endTimeUnixNano": nanoseconds(end.max(begin)),
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = parent.into();
        }
        span
    }

    fn id(&self, of: &str) -> String {
        self.hex(of, SPAN_BYTES)
    }

    fn hex(&self, of: &str, bytes: usize) -> String {
        let digest = Sha256::digest(format!("{}\n{of}", self.seed));
        digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn status(conclusion: Option<Conclusion>, reason: Option<&str>) -> Json {
    match conclusion {
        Some(Conclusion::Success) => json!({"code": OK}),
        Some(Conclusion::Failure) => json!({"code": ERROR, "message": reason.unwrap_or("failure")}),
        _ => json!({}),
    }
}

fn attribute(key: &str, value: &str) -> Json {
    json!({"key": key, "value": {"stringValue": value}})
}

fn nanoseconds(at: Timestamp) -> String {
    u128::from(at.0).saturating_mul(1_000_000).to_string()
}
