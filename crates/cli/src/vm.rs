//! `hearth vm`: machines of a running `hearth serve machines`, for people.

mod copy;
mod exec;
mod shell;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use model::Timestamp;
use serde_json::Value as Json;
use server::client::{Client, ClientError, Method, escaped};
use server::machines::log::LogSource;
use server::machines::token::Caller;
use server::machines::wire::{
    Logs, NewSnapshot, NewVm, SnapshotList, SnapshotTaken, Status, Vm, VmList, VmStatus,
};

use crate::args::{VmArgs, VmStartArgs, VmTokenArgs, VmWhat};
use crate::table::Table;
use crate::{exit, json, serve};

/// No body.
const NOTHING: Option<&()> = None;

/// Does what is asked for, on the server.
pub(crate) async fn vm(args: VmArgs) -> Result<u8> {
    let VmArgs { api, token: given, what } = args;
    let client = || client(&api, given.as_deref());
    match what {
        VmWhat::Token(wanted) => return token(&wanted),
        VmWhat::Exec(wanted) => {
            let ended = async { exec::exec(&client()?, wanted).await };
            return Ok(exit::of_command(ended.await));
        }
        VmWhat::Shell { id, command } => {
            let ended = async { shell::shell(&client()?, &id, command.as_deref()).await };
            return Ok(exit::of_command(ended.await));
        }
        VmWhat::Start(wanted) => start(&client()?, wanted).await?,
        VmWhat::Ls { json } => list(&client()?, json).await?,
        VmWhat::Inspect { id } => show(&client()?, &machine(&id)).await?,
        VmWhat::Pool => show(&client()?, "/api/pool").await?,
        VmWhat::Cp { from, to } => copy::copy(&client()?, &from, &to).await?,
        VmWhat::Logs { id } => logs(&client()?, &id).await?,
        VmWhat::Snapshot { id, name, description } => {
            let path = format!("{}/snapshots", machine(&id));
            let wanted = NewSnapshot { name, description };
            let taken: SnapshotTaken = client()?.call(Method::POST, &path, Some(&wanted)).await?;
            say!("{}", taken.snapshot_id);
        }
        VmWhat::Snapshots { id } => snapshots(&client()?, &id).await?,
        VmWhat::Rollback { id, snapshot } => {
            let path = format!("{}/rollback/{}", machine(&id), escaped(&snapshot));
            let _: VmStatus = client()?.call(Method::POST, &path, NOTHING).await?;
        }
        VmWhat::Rm { ids } => return remove(&client()?, &ids).await,
    }
    Ok(exit::SUCCESS)
}

fn client(api: &str, token: Option<&str>) -> Result<Client> {
    let token = token.filter(|token| !token.is_empty()).context(
        "no token: put one into HEARTH_TOKEN; who has the server's key makes one with: hearth vm token",
    )?;
    Ok(Client::new(api, Some(token))?)
}

/// The path of a machine.
fn machine(id: &str) -> String {
    format!("/api/vms/{}", escaped(id))
}

fn token(wanted: &VmTokenArgs) -> Result<u8> {
    let key = serve::key()?;
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    let subject = wanted.subject.clone().or_else(user).context("whose machines? Name a --subject")?;
    let caller = Caller { subject, tier: wanted.tier.clone() };
    let lifetime = Duration::from_secs(u64::from(wanted.hours) * 3600);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let token = key.mint(&caller, (now + lifetime).as_secs());
    // What the server would not take is better told here.
    key.open(&token, now.as_secs()).context("the server would not take this token")?;
    say!("{token}");
    Ok(exit::SUCCESS)
}

async fn start(client: &Client, wanted: VmStartArgs) -> Result<()> {
    let wanted =
        NewVm { vm_type: wanted.vm_type, vm_name: wanted.name, wait: wanted.no_wait.then_some(false) };
    let started: VmStatus = client.call(Method::POST, "/api/vms", Some(&wanted)).await?;
    say!("{}", started.id);
    Ok(())
}

async fn show(client: &Client, path: &str) -> Result<()> {
    let shown: Json = client.call(Method::GET, path, NOTHING).await?;
    say!("{}", json::pretty(&shown)?);
    Ok(())
}

async fn list(client: &Client, json: bool) -> Result<()> {
    if json {
        return show(client, "/api/vms").await;
    }
    let listed: VmList = client.call(Method::GET, "/api/vms", NOTHING).await?;
    let mut table = Table::new(&["ID", "STATUS", "TYPE", "NAME", "WHY", "MADE"], 4).then(&[3]);
    for vm in listed.vms {
        let Vm { id, vm_type, name, .. } = vm;
        let why = vm.error.unwrap_or_default();
        let cells = [id, status(vm.status).to_owned(), vm_type, name.unwrap_or_default(), why];
        table.row_at(cells, Timestamp(vm.created_unix_ms));
    }
    table.list();
    Ok(())
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Starting => "starting",
        Status::Running => "running",
        Status::Snapshotting => "snapshotting",
        Status::RollingBack => "rolling back",
        Status::Failed => "failed",
        Status::Ending => "ending",
        Status::Deleted => "deleted",
    }
}

async fn logs(client: &Client, id: &str) -> Result<()> {
    let logs: Logs = client.call(Method::GET, &format!("{}/logs", machine(id)), NOTHING).await?;
    if logs.dropped > 0 {
        say!("({} earlier entries are no longer kept)", logs.dropped);
    }
    for entry in logs.entries {
        let execution = entry.execution_id.unwrap_or_default();
        let source = match entry.source {
            LogSource::Machine => "hearth",
            LogSource::Stdout => "stdout",
            LogSource::Stderr => "stderr",
        };
        for line in entry.text.lines() {
            say!("{source:<6} {execution:<21} {}", printable(line));
        }
    }
    Ok(())
}

/// What a machine says must not move the cursor.
fn printable(line: &str) -> String {
    line.chars().filter(|letter| *letter == '\t' || !letter.is_control()).collect()
}

async fn snapshots(client: &Client, id: &str) -> Result<()> {
    let path = format!("{}/snapshots", machine(id));
    let listed: SnapshotList = client.call(Method::GET, &path, NOTHING).await?;
    let mut table = Table::new(&["ID", "NAME", "MADE"], 1);
    for snapshot in listed.snapshots {
        table.row_at([snapshot.snapshot_id, snapshot.name], Timestamp(snapshot.created_unix_ms));
    }
    table.list();
    Ok(())
}

/// Removes all that can be, and says which can't.
async fn remove(client: &Client, ids: &[String]) -> Result<u8> {
    let mut failed = 0;
    for id in ids {
        let removed: Result<VmStatus, ClientError> = client.call(Method::DELETE, &machine(id), NOTHING).await;
        match removed {
            Ok(_) => say!("{id}"),
            Err(error @ ClientError::Refused { .. }) => {
                eprintln!("hearth: {id}: {error}");
                failed += 1;
            }
            Err(error) => bail!(error),
        }
    }
    Ok(if failed == 0 { exit::SUCCESS } else { exit::FAILURE })
}
