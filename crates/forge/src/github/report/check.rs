//! A job as a check run.
//!
//! <https://docs.github.com/en/rest/checks/runs>

use jiff::Timestamp;
use model::Conclusion;
use serde_json::{Value as Json, json};

use super::text::{code_block, cut, escaped};
use super::{JobView, Mark, Planned, Print, RunView, SentCheck, State, annotation};
use crate::github::client::Call;

/// Identifier of the button that runs a job again; comes back as `requested_action`.
pub const RERUN: &str = "rerun";

/// Bytes of a summary, of which GitHub takes 65,535 characters.
const MAX_SUMMARY: usize = 65_535;

/// Bytes of a check's name: longer ones are not shown, and GitHub refuses very long ones.
const MAX_NAME: usize = 255;

/// What it takes to bring a job's check run up to date.
pub(super) fn plan(view: &RunView, job: &JobView, sent: Option<&SentCheck>) -> Option<Planned> {
    let mut body = body(view, job);
    let print = Print::of(&body);
    let annotations = told(job);
    let from = sent.map_or(0, |sent| sent.annotations).min(annotations);
    let to = annotations.min(from + annotation::BATCH);
    if sent.is_some_and(|sent| sent.print == print && from == to) {
        return None;
    }
    if to > from {
        let batch: Vec<Json> = job.annotations[from..to].iter().map(annotation::body).collect();
        body["output"]["annotations"] = json!(batch);
    }
    let repository = &view.repository;
    let what = format!("report job {} of run {} to {repository}", job.id, view.run);
    let mark = (job.id, print, to);
    Some(match sent {
        None => {
            body["head_sha"] = json!(view.sha);
            Planned {
                call: Call::post(format!("/repos/{repository}/check-runs"), what, body),
                mark: Mark::Made { job: mark.0, print: mark.1, annotations: mark.2 },
            }
        }
        Some(sent) => {
            let mut call = Call::patch(format!("/repos/{repository}/check-runs/{}", sent.id), what, body);
            // A second time would add the annotations a second time.
            call.repeatable = to == from;
            Planned { call, mark: Mark::Changed { job: mark.0, print: mark.1, annotations: mark.2 } }
        }
    })
}

/// Where the check run of a job is found, when nobody knows whether it was made.
pub(super) fn find(view: &RunView, job: &JobView) -> Call {
    let name = crate::github::client::segment(&name(view, job));
    let path =
        format!("/repos/{}/commits/{}/check-runs?check_name={name}&per_page=100", view.repository, view.sha);
    Call::get(path, format!("look for job {} of run {} at {}", job.id, view.run, view.repository))
}

/// How many annotations are told: those of a job that has ended.
fn told(job: &JobView) -> usize {
    match job.state {
        State::Ended(_) => job.annotations.len().min(annotation::MAX),
        _ => 0,
    }
}

fn name(view: &RunView, job: &JobView) -> String {
    cut(&view.context(Some(&job.name)), MAX_NAME, "…")
}

/// The whole check run but its annotations, which add up.
fn body(view: &RunView, job: &JobView) -> Json {
    let mut body = json!({
        "name": name(view, job),
        "details_url": job.url,
        "external_id": job.id.to_string(),
        "output": {"title": job.state.words(job.times), "summary": summary(job)},
    });
    if let Some(time) = job.times.started.and_then(timestamp) {
        body["started_at"] = json!(time);
    }
    match &job.state {
        State::Queued | State::Waiting(_) => body["status"] = json!("queued"),
        State::Running => body["status"] = json!("in_progress"),
        State::Ended(conclusion) => {
            body["status"] = json!("completed");
            body["conclusion"] = json!(conclusion.as_str());
            if let Some(time) = job.times.ended.and_then(timestamp) {
                body["completed_at"] = json!(time);
            }
            if *conclusion != Conclusion::Skipped {
                let button =
                    json!({"label": "Rerun", "description": "Run this job again", "identifier": RERUN});
                body["actions"] = json!([button]);
            }
        }
    }
    body
}

fn summary(job: &JobView) -> String {
    let mut parts = vec![format!("[Steps and log]({})", job.url)];
    if let State::Ended(_) = job.state {
        if let Some(error) = &job.error {
            parts.push(format!("**{}**: {}", escaped(&error.what), escaped(&error.message)));
            if !error.lines.is_empty() {
                parts.push(code_block(&error.lines));
            }
        }
        let untold = job.annotations.len() - told(job);
        if untold > 0 {
            parts.push(format!("{untold} more annotations are on the job's page."));
        }
        parts.extend((!job.summary.is_empty()).then(|| job.summary.clone()));
    }
    let note = format!("\n\n…\n\nThis was too long for GitHub; [the whole]({})", job.url);
    cut(&parts.join("\n\n"), MAX_SUMMARY, &note)
}

fn timestamp(seconds: u64) -> Option<String> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok().map(|time| time.to_string())
}
