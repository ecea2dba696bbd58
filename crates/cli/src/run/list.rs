//! `hearth plan`: what would run, and why other jobs would not.

use anyhow::Result;
use workflow::plan::{Outlook, PreviewJob, preview};

use super::session::{Chosen, Session};
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
        say!("{}  ({}, by {})", one.file.title(), one.file.path, one.event.name);
        match preview(prepared.workflow, prepared.called, prepared.context) {
            Ok(jobs) => jobs.iter().for_each(show),
            Err(problems) => {
                code = exit::INVALID_WORKFLOW;
                session.refuse::<()>(&problems, &prepared.sources);
            }
        }
    }
    Ok(code)
}

fn show(job: &PreviewJob) {
    let needs =
        if job.needs.is_empty() { String::new() } else { format!("  after {}", job.needs.join(", ")) };
    let outlook = match &job.outlook {
        Outlook::Runs { runs_on, steps, .. } => {
            let steps = if *steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
            format!("{steps} on {}", runs_on.labels.join(", "))
        }
        Outlook::Skipped(reason) => format!("skipped: {reason}"),
        Outlook::Fails(error) => format!("can't start: {error}"),
        Outlook::Unknown => "depends on the outputs of jobs before it".to_owned(),
    };
    say!("  {}: {outlook}{needs}", job.name);
}
