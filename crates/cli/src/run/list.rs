//! `hearth plan`: what would run, and why other jobs would not.

use anyhow::Result;
use serde_json::{Value as Json, json};
use workflow::plan::{Outlook, PreviewJob, RunsOn, preview};

use super::output::one_line;
use super::session::{Chosen, Session};
use crate::args::Format;
use crate::exit;

/// Prints the workflows that would run, with their jobs in the order of the run. Returns the exit code.
pub(crate) async fn list(session: &Session, chosen: &[Chosen]) -> Result<u8> {
    let mut code = exit::SUCCESS;
    for one in chosen {
        // Nothing is counted: this is no run.
        let run = model::RunId(0);
        let github = session.github(one, run, 0);
        let Some(prepared) = session.prepare(one, run, github).await? else {
            code = exit::INVALID_WORKFLOW;
            continue;
        };
        let as_json = session.args.format == Format::Json;
        if !as_json {
            say!("{}  ({}, by {})", one_line(one.file.title()), one_line(&one.file.path), one.event.name);
        }
        match preview(prepared.workflow, prepared.called, prepared.context) {
            Ok(jobs) if as_json => jobs.iter().for_each(|job| say!("{}", event(one, job))),
            Ok(jobs) => jobs.iter().for_each(show),
            Err(problems) => {
                code = exit::INVALID_WORKFLOW;
                session.refuse::<()>(&problems, &prepared.sources);
            }
        }
    }
    Ok(code)
}

/// A job as one line of JSON. Jobs of one `wave` may run side by side.
fn event(one: &Chosen, job: &PreviewJob) -> Json {
    let mut event = json!({
        "type": "planned_job",
        "workflow": one.file.path,
        "event": one.event.name,
        "name": job.name,
        "key": job.key,
        "needs": job.needs,
    });
    match &job.outlook {
        Outlook::Runs { wave, runs_on, steps } => {
            event["outlook"] = json!("runs");
            event["wave"] = json!(wave);
            event["runs_on"] = json!({"group": runs_on.group, "labels": runs_on.labels});
            event["steps"] = json!(steps);
        }
        Outlook::Skipped(reason) => {
            event["outlook"] = json!("skipped");
            event["reason"] = json!(reason);
        }
        Outlook::Fails(error) => {
            event["outlook"] = json!("fails");
            event["reason"] = json!(error);
        }
        Outlook::Unknown => event["outlook"] = json!("unknown"),
    }
    event
}

fn show(job: &PreviewJob) {
    let needs =
        if job.needs.is_empty() { String::new() } else { format!("  after {}", job.needs.join(", ")) };
    let outlook = match &job.outlook {
        Outlook::Runs { runs_on, steps, .. } => {
            let steps = if *steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
            format!("{steps} on {}", one_line(&place(runs_on)))
        }
        Outlook::Skipped(reason) => format!("skipped: {}", one_line(reason)),
        Outlook::Fails(error) => format!("can't start: {}", one_line(error)),
        Outlook::Unknown => "depends on the outputs of jobs before it".to_owned(),
    };
    say!("  {}: {outlook}{needs}", one_line(&job.name));
}

/// Where a job runs: its group, if it names one, and its labels.
fn place(runs_on: &RunsOn) -> String {
    let group = runs_on.group.iter().map(|group| format!("group {group}"));
    group.chain(runs_on.labels.iter().cloned()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_group_labels_or_both() {
        let shown = |group: Option<&str>, labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            place(&RunsOn { group: group.map(str::to_owned), labels })
        };
        assert_eq!(shown(None, &["linux", "x64"]), "linux, x64");
        assert_eq!(shown(Some("big"), &[]), "group big");
        assert_eq!(shown(Some("big"), &["gpu"]), "group big, gpu");
    }
}
