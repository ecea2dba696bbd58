//! `hearth run --list`: what would run, without running it.

use anyhow::Result;
use workflow::syntax::JobWork;

use super::session::{Chosen, Session};

/// Prints the workflows that would run, with their jobs and what these need.
pub(crate) fn list(_session: &Session, chosen: &[Chosen]) -> Result<()> {
    for one in chosen {
        println!("{}  ({}, by {})", one.file.title(), one.file.path, one.event.name);
        for job in &one.workflow.jobs {
            let needs: Vec<_> = job.needs.iter().map(|need| need.value.as_str()).collect();
            let needs =
                if needs.is_empty() { String::new() } else { format!("  after {}", needs.join(", ")) };
            let what = match &job.work {
                JobWork::Steps { steps, .. } if steps.len() == 1 => "1 step".to_owned(),
                JobWork::Steps { steps, .. } => format!("{} steps", steps.len()),
                JobWork::Call { uses, .. } => format!("calls {}", uses.value),
            };
            let matrix = if job.strategy.is_some() { ", matrix" } else { "" };
            println!("  {}: {what}{matrix}{needs}", job.id.value);
        }
    }
    Ok(())
}
