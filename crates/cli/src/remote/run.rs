//! `hearth runs RUN`: one run, its jobs, and what they have to say.

use anyhow::Result;
use model::{Conclusion, JobState, StepState, Timestamp};
use serde_json::json;
use server::api::wire::{AnnotationOf, Annotations, Attempt, Attempts, Job, Run, Step, Steps};

use super::connection::{Connection, query};
use super::{jobs, runs, words};
use crate::age::age;
use crate::args::{Format, ServerArgs};
use crate::json;
use crate::run::output::{Ink, Palette, Surroundings, one_line, pad, seconds, width};

/// Annotations that are shown; all are on the page of the run, and in JSON.
const SHOWN_ANNOTATIONS: usize = 10;

/// All that is shown.
struct View {
    repository: String,
    run: Run,
    attempt: Attempt,
    jobs: Vec<(Job, Vec<Step>)>,
    annotations: Vec<AnnotationOf>,
}

pub(super) async fn show(args: &ServerArgs, id: u64, attempt: Option<u32>) -> Result<()> {
    let server = Connection::of(args)?;
    let view = fetch(&server, id, attempt).await?;
    if server.is_json() {
        let jobs: Vec<_> = view
            .jobs
            .iter()
            .map(|(job, steps)| {
                let mut job = serde_json::to_value(job).unwrap_or_default();
                job["steps"] = json!(steps);
                job
            })
            .collect();
        let all = json!({
            "run": view.run, "repository": view.repository, "attempt": view.attempt, "jobs": jobs,
            "annotations": view.annotations,
        });
        say!("{}", json::pretty(&all)?);
        return Ok(());
    }
    let palette = Palette { colour: Surroundings::of_stdout().colour(Format::Auto) };
    for line in lines(&view, palette, Timestamp::now()) {
        say!("{line}");
    }
    Ok(())
}

async fn fetch(server: &Connection, id: u64, attempt: Option<u32>) -> Result<View> {
    let run: Run = server.get(&format!("/api/v1/runs/{id}")).await?;
    let which = attempt.unwrap_or(run.attempt);
    let jobs = jobs::all(server, id, Some(which)).await?;
    let attempts: Attempts = server.get(&format!("/api/v1/runs/{id}/attempts")).await?;
    let parameters = [("attempt", Some(which.to_string()))];
    let path = query(&format!("/api/v1/runs/{id}/annotations"), &parameters);
    let annotations: Annotations = server.get(&path).await?;
    let mut with_steps = Vec::new();
    for job in jobs {
        let steps: Steps = server.get(&format!("/api/v1/jobs/{}/steps", job.id)).await?;
        with_steps.push((job, steps.steps));
    }
    let repository = runs::names(server).await?.remove(&run.repository_id).unwrap_or_default();
    let attempt = attempts.attempts.into_iter().find(|attempt| attempt.attempt == which);
    let attempt = attempt.ok_or_else(|| anyhow::anyhow!("run {id} has no attempt {which}"))?;
    Ok(View { repository, run, attempt, jobs: with_steps, annotations: annotations.annotations })
}

fn lines(view: &View, palette: Palette, now: Timestamp) -> Vec<String> {
    let View { run, attempt, .. } = view;
    let mut lines = vec![format!(
        "{} {} {}",
        mark(attempt.conclusion, palette),
        palette.paint(Ink::Strong, &one_line(&run.title)),
        palette.paint(Ink::Faint, &format!("{} #{}", one_line(&run.workflow_name), run.number)),
    )];
    let of = match run.pull_request {
        Some(number) => format!("pull request {number}"),
        None => one_line(&run.head_branch),
    };
    lines.push(format!(
        "  {}, {of} at {}, by {} of {}, {} ago",
        view.repository,
        words::short(&run.head_sha),
        run.event,
        one_line(&attempt.actor),
        age(attempt.queued_at.0),
    ));
    let took = words::took(attempt.started_at, attempt.ended_at, now)
        .map(|took| format!(" after {}", seconds(took)));
    let took = took.filter(|_| attempt.conclusion.is_some()).unwrap_or_default();
    let of_several = if run.attempt > 1 {
        format!(" (attempt {} of {})", attempt.attempt, run.attempt)
    } else {
        String::new()
    };
    lines.push(format!("  {}{took}{of_several}", words::of_run(attempt.state, attempt.conclusion)));
    lines.extend(attempt.reason.iter().map(|reason| format!("  {}", one_line(reason))));
    lines.push(String::new());
    lines.extend(of_jobs(view, palette, now));
    lines.extend(of_annotations(view, palette));
    if view.jobs.iter().any(|(job, _)| job.conclusion == Some(Conclusion::Failure)) {
        lines.extend([String::new(), format!("Logs of what failed: hearth logs {} --failed", run.id)]);
    }
    lines
}

fn mark(conclusion: Option<Conclusion>, palette: Palette) -> String {
    conclusion.map_or_else(|| palette.paint(Ink::Remark, "●"), |conclusion| palette.mark(conclusion))
}

fn of_jobs(view: &View, palette: Palette, now: Timestamp) -> Vec<String> {
    let widest = view.jobs.iter().map(|(job, _)| width(&one_line(&job.name))).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (job, steps) in &view.jobs {
        let took = words::took(job.started_at, job.ended_at, now).map(seconds).unwrap_or_default();
        let stands = format!("{:<9} {took:>8}", words::of_job(job.state, job.conclusion));
        let id = palette.paint(Ink::Faint, &format!("job {}", job.id));
        lines.push(format!(
            "{} {}  {stands}  {id}",
            mark(job.conclusion, palette),
            pad(&one_line(&job.name), widest)
        ));
        let why = job.infrastructure_error.as_ref().or(job.reason.as_ref());
        lines.extend(why.map(|why| format!("    {}", one_line(why))));
        // What is worth a line: what failed, and what is being done.
        for step in steps {
            let is_current = step.state == StepState::Running && job.state == JobState::Running;
            if is_current || step.conclusion == Some(Conclusion::Failure) {
                lines.push(format!("    {} {}", mark(step.conclusion, palette), one_line(&step.name)));
            }
        }
    }
    lines
}

fn of_annotations(view: &View, palette: Palette) -> Vec<String> {
    let mut lines = Vec::new();
    if !view.annotations.is_empty() {
        lines.push(String::new());
    }
    for of in view.annotations.iter().take(SHOWN_ANNOTATIONS) {
        let job = view.jobs.iter().find(|(job, _)| job.id == of.job_id).map_or("", |(job, _)| &job.name);
        let annotation = &of.annotation;
        let (level, ink) = match annotation.level {
            model::AnnotationLevel::Error => ("error", Ink::Bad),
            model::AnnotationLevel::Warning => ("warning", Ink::Caution),
            model::AnnotationLevel::Notice => ("notice", Ink::Remark),
        };
        let place = match (&annotation.file, annotation.line) {
            (Some(file), Some(line)) => format!(" {}:{line}:", one_line(file)),
            (Some(file), None) => format!(" {}:", one_line(file)),
            _ => String::new(),
        };
        let level = palette.paint(ink, level);
        lines.push(format!("{level} {}:{place} {}", one_line(job), one_line(&annotation.message)));
    }
    let more = view.annotations.len().saturating_sub(SHOWN_ANNOTATIONS);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}
