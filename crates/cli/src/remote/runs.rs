//! `hearth runs`: which there are.

use std::collections::BTreeMap;

use anyhow::Result;
use model::{RepositoryId, Timestamp};
use server::api::wire::{Repositories, Run, Runs};

use super::connection::{Connection, query};
use super::words;
use crate::args::{ServerArgs, StatusName, WhichRuns};
use crate::json;
use crate::run::output::seconds;
use crate::table::Table;

/// Runs that are asked for at once: the most that the API gives.
const PAGE: u32 = 200;

/// Where workflows are, unless a path says more.
const FOLDER: &str = ".github/workflows";

pub(super) async fn list(args: &ServerArgs, which: &WhichRuns) -> Result<()> {
    let server = Connection::of(args)?;
    let runs = fetch(&server, which).await?;
    if server.is_json() {
        say!("{}", json::pretty(&runs)?);
        return Ok(());
    }
    if runs.runs.is_empty() {
        eprintln!("hearth: no run is like that");
        return Ok(());
    }
    tell(&runs.runs, &server).await?;
    if runs.next.is_some() {
        eprintln!("hearth: there are more{}", words::shows_more(which.limit, WhichRuns::MOST));
    }
    Ok(())
}

/// As many as are wanted, page by page.
async fn fetch(server: &Connection, which: &WhichRuns) -> Result<Runs> {
    let mut all = Runs { runs: Vec::new(), next: None };
    loop {
        let left = which.limit - u32::try_from(all.runs.len()).unwrap_or(which.limit);
        let mut parameters = parameters(which);
        parameters.push(("limit", Some(left.min(PAGE).to_string())));
        parameters.push(("before", all.next.map(|next| next.to_string())));
        let page: Runs = server.get(&query("/api/v1/runs", &parameters)).await?;
        all.runs.extend(page.runs);
        all.next = page.next;
        if all.next.is_none() || all.runs.len() >= which.limit as usize {
            return Ok(all);
        }
    }
}

fn parameters(which: &WhichRuns) -> Vec<(&'static str, Option<String>)> {
    let workflow = which.workflow.as_ref().map(|name| match name.contains('/') {
        true => name.clone(),
        false => format!("{FOLDER}/{name}"),
    });
    let (state, conclusion) = which.status.map_or((None, None), stands);
    vec![
        ("repository", which.repository.clone()),
        ("workflow", workflow),
        ("branch", which.branch.clone()),
        ("event", which.event.clone()),
        ("actor", which.actor.clone()),
        ("state", state.map(str::to_owned)),
        ("conclusion", conclusion.map(str::to_owned)),
        ("sha", which.commit.clone()),
        ("pull_request", which.pull_request.map(|number| number.to_string())),
    ]
}

/// The state, or the conclusion, that is asked for.
fn stands(status: StatusName) -> (Option<&'static str>, Option<&'static str>) {
    match status {
        StatusName::Waiting => (Some("waiting"), None),
        StatusName::Queued => (Some("queued"), None),
        StatusName::Running => (Some("running"), None),
        StatusName::Ended => (Some("ended"), None),
        StatusName::Success => (None, Some("success")),
        StatusName::Failure => (None, Some("failure")),
        StatusName::Cancelled => (None, Some("cancelled")),
        StatusName::Skipped => (None, Some("skipped")),
    }
}

/// Runs as a table.
pub(super) async fn tell(runs: &[Run], server: &Connection) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let (names, now) = (names(server).await?, Timestamp::now());
    let heads = ["RUN", "STATUS", "TITLE", "WORKFLOW", "REPOSITORY", "BRANCH", "EVENT", "TIME", "MADE"];
    let mut table = Table::new(&heads, 2).then(&[3, 4, 5]);
    for run in runs {
        let took = words::took(run.started_at, run.ended_at, now).map(seconds);
        let cells = [
            run.id.to_string(),
            words::of_run(run.state, run.conclusion).to_owned(),
            run.title.clone(),
            run.workflow_name.clone(),
            names.get(&run.repository_id).cloned().unwrap_or_default(),
            run.head_branch.clone(),
            run.event.clone(),
            took.unwrap_or_default(),
        ];
        table.row_at(cells, run.created_at);
    }
    table.list();
    Ok(())
}

/// The names of repositories.
pub(super) async fn names(server: &Connection) -> Result<BTreeMap<RepositoryId, String>> {
    let known: Repositories = server.get("/api/v1/repositories").await?;
    Ok(known.repositories.into_iter().map(|known| (known.id, known.full_name)).collect())
}
