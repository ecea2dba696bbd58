//! `hearth status`: the server on one screen.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use server::api::wire::{Disk, Runs, Status, Working};

use super::connection::{Connection, query};
use super::runs;
use crate::age::told;
use crate::args::StatusArgs;
use crate::exit;
use crate::json;
use crate::run::output::{one_line, seconds};
use crate::table::Table;

/// Runs that are shown.
const RUNS: usize = 8;

const GIB: f64 = (1u64 << 30) as f64;

/// What `/ready` says.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Readiness {
    /// `ready` or `not ready`.
    pub(super) status: String,
    /// For each part `ok`, or why it does not work.
    pub(super) parts: BTreeMap<String, String>,
}

impl Readiness {
    /// In a line: that all is well, or what is not.
    pub(super) fn line(&self) -> String {
        let bad: Vec<String> = self
            .parts
            .iter()
            .filter(|(_, found)| *found != "ok")
            .map(|(name, found)| format!("{name}: {}", one_line(found)))
            .collect();
        match bad.is_empty() {
            true => {
                format!("{} ({})", self.status, self.parts.keys().cloned().collect::<Vec<_>>().join(", "))
            }
            false => format!("{}: {}", self.status, bad.join("; ")),
        }
    }

    fn is_ready(&self) -> bool {
        self.status == "ready"
    }
}

/// All that one screen shows.
pub(super) struct Screen {
    pub(super) status: Status,
    pub(super) ready: Readiness,
    pub(super) runs: Runs,
}

/// Asks for all of it.
pub(super) async fn fetch(server: &Connection, runs: usize) -> Result<Screen> {
    let path = query("/api/v1/runs", &[("limit", Some(runs.to_string()))]);
    // Each is a connection: too large for whoever waits for them to carry.
    let (status, ready, runs) = tokio::try_join!(
        Box::pin(server.get("/api/v1/status")),
        Box::pin(server.ask("/ready")),
        Box::pin(server.get(&path))
    )?;
    Ok(Screen { status, ready, runs })
}

pub(super) async fn show(args: &StatusArgs) -> Result<u8> {
    let server = Connection::of(&args.server)?;
    let Screen { status, ready, runs } = fetch(&server, RUNS).await?;
    let code = if ready.is_ready() { exit::SUCCESS } else { exit::FAILURE };
    if server.is_json() {
        let all = json!({"status": status, "ready": ready, "runs": runs.runs});
        say!("{}", json::pretty(&all)?);
        return Ok(code);
    }
    for line in head(&status, &ready, server.address()) {
        say!("{line}");
    }
    say!(
        "Running   {}",
        if status.working.is_empty() { "nothing".to_owned() } else { status.working.len().to_string() }
    );
    if !status.working.is_empty() {
        say!("");
        working(&status).print();
    }
    if !runs.runs.is_empty() {
        say!("");
        runs::tell(&runs.runs, &server).await?;
    }
    Ok(code)
}

/// Facts, each in a line.
pub(super) fn head(status: &Status, ready: &Readiness, address: &str) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Server    {address}, hearth {}, up {}",
            status.version,
            told(status.now.since(status.started_at))
        ),
        format!("State     {}", ready.line()),
        format!("Queue     {}", queue(status)),
    ];
    lines.push(format!("Machines  {}", machines(status)));
    lines.extend(status.disk.as_ref().map(|disk| format!("Disk      {}", room(disk))));
    lines
}

/// How many wait, and who longest.
pub(super) fn queue(status: &Status) -> String {
    let Some(oldest) = &status.oldest else {
        return if status.waiting == 0 { "empty".to_owned() } else { format!("{} wait", status.waiting) };
    };
    let kind = if oldest.job_id.is_some() { "job" } else { "run" };
    format!(
        "{} wait; for {} {kind} {:?} of run {}: {}",
        status.waiting,
        told(status.now.since(oldest.since)),
        one_line(&oldest.name),
        oldest.run_id,
        one_line(&oldest.reason)
    )
}

/// Kinds of machines, how many run at once, and how many are kept ready.
pub(super) fn machines(status: &Status) -> String {
    let kinds = status.profiles.iter().map(|profile| {
        let bound = profile.machines.map_or_else(|| "any number".to_owned(), |machines| machines.to_string());
        let pool = status.pool.iter().find(|pool| pool.name == profile.name);
        let pool = pool.map(|pool| {
            let starting =
                if pool.starting > 0 { format!(", {} starting", pool.starting) } else { String::new() };
            format!(", {} of {} ready{starting}", pool.ready, pool.wanted)
        });
        format!("{} ({bound} at once{})", profile.name, pool.unwrap_or_default())
    });
    let kinds: Vec<String> = kinds.collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join("; ") }
}

/// Room on a disk.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(super) fn room(disk: &Disk) -> String {
    let (free, size) = (disk.free_bytes as f64 / GIB, disk.size_bytes as f64 / GIB);
    format!("{free:.1} of {size:.1} GiB free")
}

/// The jobs that run.
fn working(status: &Status) -> Table {
    let mut table = Table::new(&["RUN", "JOB", "STEP", "TIME", "REPOSITORY", "WORKFLOW"], 2);
    for working in &status.working {
        table.row([
            working.job.run_id.to_string(),
            working.job.name.clone(),
            step(working),
            lasts(working, status.now).map(seconds).unwrap_or_default(),
            working.repository.clone(),
            working.workflow_name.clone(),
        ]);
    }
    table
}

/// What a job does.
pub(super) fn step(working: &Working) -> String {
    match (&working.step, working.job.started_at) {
        (Some(step), _) => one_line(step),
        (None, Some(_)) => "between steps".to_owned(),
        (None, None) => "its machine starts".to_owned(),
    }
}

/// How long a job has had its machine, or has been getting it.
pub(super) fn lasts(working: &Working, now: Timestamp) -> Option<Duration> {
    working.job.started_at.or(working.job.leased_at).map(|since| now.since(since))
}
