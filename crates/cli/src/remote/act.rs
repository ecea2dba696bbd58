//! Runs again, cancelled, approved, and started by hand.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use model::JobState;
use serde_json::{Map, Value as Json, json};
use server::api::wire::{Dispatched, NewAttempt};
use server::client::Method;

use super::connection::{Connection, RemoteError};
use super::{jobs, repositories, runs};
use crate::args::{ApproveArgs, CancelArgs, DispatchArgs, RejectArgs, RerunArgs};
use crate::json;

pub(super) async fn rerun(args: RerunArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    let (path, body) = match &args.job {
        Some(word) => {
            let all = jobs::all(&server, args.run, None).await?;
            (format!("/api/v1/jobs/{}/rerun", jobs::one(&all, word, args.run)?.id), json!({}))
        }
        None => {
            let which = if args.failed { "failed" } else { "all" };
            (format!("/api/v1/runs/{}/rerun", args.run), json!({"jobs": which}))
        }
    };
    let made: NewAttempt = server.post(&path, &body).await?;
    match server.is_json() {
        true => say!("{}", json::pretty(&made)?),
        false => say!("run {}, attempt {}", made.run_id, made.attempt),
    }
    Ok(())
}

pub(super) async fn cancel(args: CancelArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    let path = match &args.job {
        Some(word) => {
            let all = jobs::all(&server, args.run, None).await?;
            format!("/api/v1/jobs/{}/cancel", jobs::one(&all, word, args.run)?.id)
        }
        None => format!("/api/v1/runs/{}/cancel", args.run),
    };
    let body = args.reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
    Ok(server.tell(Method::POST, &path, Some(&body)).await?)
}

pub(super) async fn approve(args: ApproveArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    match &args.job {
        Some(job) => review(&server, args.run, job, "approve", args.comment.as_deref()).await,
        None => {
            let path = format!("/api/v1/runs/{}/approve", args.run);
            match server.tell(Method::POST, &path, Some(&json!({}))).await {
                Err(refused) if refused.is_conflict() => bail!(instead(&server, args.run, &refused).await?),
                told => Ok(told?),
            }
        }
    }
}

/// Why a run can't be approved, and which of its jobs can.
async fn instead(server: &Connection, run: u64, refused: &RemoteError) -> Result<String> {
    let jobs = jobs::all(server, run, None).await?;
    // Those that time lets in wait for nobody.
    let waiting = jobs.iter().filter(|job| job.state == JobState::Waiting && job.waits_until.is_none());
    let names: Vec<&str> = waiting.map(|job| job.name.as_str()).collect();
    Ok(match names.as_slice() {
        [] => refused.to_string(),
        names => format!("{refused}; name one: {}", names.join(", ")),
    })
}

pub(super) async fn reject(args: RejectArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    review(&server, args.run, &args.job, "reject", args.comment.as_deref()).await
}

/// Lets a job into its environment, or keeps it out.
async fn review(
    server: &Connection,
    run: u64,
    job: &str,
    decision: &str,
    comment: Option<&str>,
) -> Result<()> {
    let all = jobs::all(server, run, None).await?;
    let path = format!("/api/v1/jobs/{}/{decision}", jobs::one(&all, job, run)?.id);
    let body = comment.map_or_else(|| json!({}), |comment| json!({"comment": comment}));
    Ok(server.tell(Method::POST, &path, Some(&body)).await?)
}

pub(super) async fn dispatch(args: DispatchArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    let repository = repositories::path(&args.repository)?;
    let (kind, body) = match (&args.workflow, &args.event_type) {
        (Some(workflow), _) => ("workflow-dispatch", by_hand(workflow, &args)?),
        (None, Some(event_type)) => {
            let payload = args.payload.as_deref().map(payload).transpose()?.unwrap_or_default();
            ("repository-dispatch", json!({"event_type": event_type, "client_payload": payload}))
        }
        // The command line wants one of them.
        (None, None) => bail!("name a workflow, or --event-type"),
    };
    let started: Dispatched = server.post(&format!("{repository}/{kind}"), &body).await?;
    if server.is_json() {
        say!("{}", json::pretty(&started)?);
        return Ok(());
    }
    if started.runs.is_empty() {
        eprintln!("hearth: no workflow on the default branch listens to this type; nothing was started");
    }
    runs::tell(&started.runs, &server).await
}

fn by_hand(workflow: &str, args: &DispatchArgs) -> Result<Json> {
    let mut inputs = Map::new();
    for input in &args.inputs {
        let (name, value) =
            input.split_once('=').with_context(|| format!("--input {input}: write NAME=VALUE"))?;
        inputs.insert(name.to_owned(), value.into());
    }
    let mut body = json!({"workflow": workflow, "inputs": inputs});
    if let Some(reference) = &args.reference {
        body["ref"] = reference.as_str().into();
    }
    Ok(body)
}

/// The JSON object of a file, or of standard input.
fn payload(path: &Path) -> Result<Map<String, Json>> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.with_context(|| format!("can't read the payload from {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} has no JSON object", path.display()))
}
