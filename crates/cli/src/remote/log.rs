//! `hearth logs`: what the jobs of a run have printed.

use std::collections::BTreeMap;

use anyhow::Result;
use model::{Conclusion, StepRef};
use serde_json::json;
use server::api::wire::{Job, Line, Lines, Run, Step, Steps};
use server::pages::format::moment;

use super::connection::{Connection, query};
use super::{follow, jobs};
use crate::args::{Format, LogsArgs};
use crate::exit;
use crate::json;
use crate::run::output::{Surroundings, fit, one_line, pad, printable, width};

/// Lines that are asked for at once: some 100 KiB.
const PAGE: usize = 2000;

/// Widest name of a job in front of its lines; a longer one is cut, so that logs stay readable.
const NAME_COLUMNS: usize = 32;

/// What begins and ends lines that pages fold.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#grouping-log-lines>
const GROUP: &str = "##[group]";
const END_OF_GROUP: &str = "##[endgroup]";

pub(super) async fn logs(args: LogsArgs) -> Result<u8> {
    let server = Connection::of(&args.server)?;
    let run: Run = match args.follow {
        true => follow::awaited(&server, args.run).await?,
        false => server.get(&format!("/api/v1/runs/{}", args.run)).await?,
    };
    let attempt = args.attempt.unwrap_or(run.attempt);
    let printer = Printer::new(&server, args.timestamps);
    let ended = match args.follow {
        true => follow::follow(&server, args.run, attempt, args.job.as_deref(), printer).await?,
        false => print(&server, &args, attempt, printer).await?,
    };
    if !args.exit_status {
        return Ok(exit::SUCCESS);
    }
    verdict(&server, &run, attempt, args.job.is_some().then_some(ended)).await
}

/// Prints what is there. The jobs.
async fn print(server: &Connection, args: &LogsArgs, attempt: u32, mut printer: Printer) -> Result<Vec<Job>> {
    let all = jobs::all(server, args.run, Some(attempt)).await?;
    let mut meant: Vec<Job> = match &args.job {
        Some(word) => jobs::meant(&all, word, args.run)?.into_iter().cloned().collect(),
        None => all,
    };
    if args.failed {
        meant.retain(|job| job.conclusion == Some(Conclusion::Failure));
    }
    if meant.len() > 1 {
        printer.announce(&meant);
    }
    for job in &meant {
        let wanted = if args.failed { Some(failed_steps(server, job).await?) } else { None };
        let mut from = 0;
        loop {
            let parameters = [("from", Some(from.to_string())), ("count", Some(PAGE.to_string()))];
            let page: Lines =
                server.get(&query(&format!("/api/v1/jobs/{}/log", job.id), &parameters)).await?;
            for line in &page.lines {
                if wanted.as_ref().is_none_or(|wanted| wanted.contains(&line.step)) {
                    printer.line(job, line);
                }
            }
            if page.lines.is_empty() || page.is_last {
                break;
            }
            from = page.next;
        }
    }
    Ok(meant)
}

/// The steps of a job that failed; where none did, as when its machine failed, the set-up of the job.
async fn failed_steps(server: &Connection, job: &Job) -> Result<Vec<StepRef>> {
    let is_failed = |step: &Step| step.conclusion == Some(Conclusion::Failure);
    let failed = steps(server, job).await?.into_iter().filter(is_failed);
    Ok(failed.map(|step| step.step).collect())
}

async fn steps(server: &Connection, job: &Job) -> Result<Vec<Step>> {
    let steps: Steps = server.get(&format!("/api/v1/jobs/{}/steps", job.id)).await?;
    Ok(steps.steps)
}

/// The exit code of a run, or of some of its jobs, as it stands.
async fn verdict(server: &Connection, run: &Run, attempt: u32, jobs: Option<Vec<Job>>) -> Result<u8> {
    if let Some(jobs) = jobs {
        let mut code = exit::SUCCESS;
        for job in &jobs {
            let of_job = match job.conclusion {
                Some(conclusion) => exit::of_run(conclusion, lacked_machine(server, job).await?),
                None => exit::SUCCESS,
            };
            code = exit::graver(code, of_job);
        }
        return Ok(code);
    }
    let attempts: server::api::wire::Attempts =
        server.get(&format!("/api/v1/runs/{}/attempts", run.id)).await?;
    let ended = attempts.attempts.into_iter().find(|one| one.attempt == attempt);
    let Some(conclusion) = ended.and_then(|ended| ended.conclusion) else { return Ok(exit::SUCCESS) };
    let mut lacked = false;
    if conclusion == Conclusion::Failure {
        let failed = jobs::all(server, run.id.0, Some(attempt)).await?;
        let failed: Vec<Job> =
            failed.into_iter().filter(|job| job.conclusion == Some(Conclusion::Failure)).collect();
        lacked = !failed.is_empty();
        for job in &failed {
            // One step that failed is a verdict.
            lacked &= lacked_machine(server, job).await?;
        }
    }
    Ok(exit::of_run(conclusion, lacked))
}

/// Whether it was not a step that failed.
async fn lacked_machine(server: &Connection, job: &Job) -> Result<bool> {
    if job.conclusion != Some(Conclusion::Failure) || job.infrastructure_error.is_none() {
        return Ok(false);
    }
    Ok(failed_steps(server, job).await?.is_empty())
}

/// Prints lines, each with what is wanted in front of it.
pub(super) struct Printer {
    is_json: bool,
    colours: bool,
    timestamps: bool,
    /// What stands in front of the lines of each job; nothing where there is only one.
    names: BTreeMap<u64, String>,
}

impl Printer {
    fn new(server: &Connection, timestamps: bool) -> Printer {
        let colours = Surroundings::of_stdout().colour(Format::Auto);
        Printer { is_json: server.is_json(), colours, timestamps, names: BTreeMap::new() }
    }

    /// These jobs are going to speak; others may come.
    pub(super) fn announce(&mut self, jobs: &[Job]) {
        let names: Vec<_> = jobs.iter().map(|job| (job.id.0, one_line(&job.name))).collect();
        let widest = names.iter().map(|(_, name)| width(name)).max().unwrap_or(0).min(NAME_COLUMNS);
        self.names = names.into_iter().map(|(id, name)| (id, pad(&fit(&name, widest), widest))).collect();
    }

    /// One line.
    pub(super) fn line(&self, job: &Job, line: &Line) {
        if self.is_json {
            let mut told = json!({"job_id": job.id, "job": job.name});
            if let (Some(told), Ok(serde_json::Value::Object(line))) =
                (told.as_object_mut(), serde_json::to_value(line))
            {
                told.extend(line);
            }
            say!("{}", json::line(&told));
            return;
        }
        let mut front = String::new();
        if let Some(name) = self.names.get(&job.id.0) {
            front = format!("{name} │ ");
        }
        if self.timestamps {
            front.push_str(&moment(line.at));
            front.push(' ');
        }
        if let Some(shown) = shown(&line.text, self.colours) {
            say!("{front}{shown}");
        }
    }
}

/// A line for the eye; none where it only ends a group.
pub(super) fn shown(text: &str, colours: bool) -> Option<String> {
    match text.strip_prefix(GROUP) {
        Some(title) => Some(format!("▸ {}", printable(title, colours))),
        None => (text != END_OF_GROUP).then(|| printable(text, colours).into_owned()),
    }
}
