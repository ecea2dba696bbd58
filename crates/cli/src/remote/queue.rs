//! `hearth queue`: who waits, and why.

use anyhow::Result;
use server::api::wire::Queue;

use super::connection::{Connection, query};
use super::words;
use crate::args::QueueArgs;
use crate::table::Table;

pub(super) async fn show(args: &QueueArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    let approval = args.approval.then(|| "true".to_owned());
    let path = query("/api/v1/queue", &[("approval", approval), ("limit", Some(args.limit.to_string()))]);
    let queue: Queue = server.get(&path).await?;
    let mut table = Table::new(&["PLACE", "RUN", "JOB", "NAME", "REPOSITORY", "WHY IT WAITS", "SINCE"], 5);
    table = table.then(&[3, 4]);
    for one in &queue.waiting {
        let cells = [
            one.place.map_or_else(|| "-".to_owned(), |place| place.to_string()),
            one.run_id.to_string(),
            one.job_id.map_or_else(|| "-".to_owned(), |job| job.to_string()),
            one.name.clone(),
            one.repository.clone(),
            one.reason.clone(),
        ];
        table.row_at(cells, one.since);
    }
    if queue.waiting.is_empty() && !server.is_json() {
        eprintln!("hearth: nothing waits{}", if args.approval { " for approval" } else { "" });
        return Ok(());
    }
    server.show(&queue, &table)?;
    if queue.total > queue.waiting.len() {
        eprintln!("hearth: {} wait{}", queue.total, words::shows_more(args.limit, QueueArgs::MOST));
    }
    Ok(())
}
