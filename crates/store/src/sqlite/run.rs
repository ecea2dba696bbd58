//! Runs and their attempts.

use model::{Conclusion, DeliveryId, RepositoryId, RunId, RunState, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params, params_from_iter};

use super::fault::Fault;
use super::word::{get_json, get_json_or_none, get_word, get_word_or_none, word};
use crate::error::StoreError;
use crate::query::{PAGE, RunFilter};
use crate::record::{Attempt, NewRun, PlanInput, Run};

/// A run is read with its latest attempt.
const RUNS: &str = "SELECT runs.*, latest.state, latest.reason, latest.conclusion, latest.queued_at,
       latest.started_at, latest.ended_at
     FROM runs JOIN attempts AS latest ON latest.run = runs.id AND latest.attempt = runs.attempt";

pub(super) fn create(
    connection: &Connection,
    delivery: Option<DeliveryId>,
    what: NewRun,
    at: Timestamp,
) -> Result<Run, Fault> {
    if what.state == RunState::Running {
        let what = format!("a new run of {}", what.workflow_path);
        return Err(StoreError::Illegal { what, now: "new".to_owned(), next: "running".to_owned() }.into());
    }
    let has_ended = what.state == RunState::Ended;
    let number = next_number(connection, what.repository, &what.workflow_path)?;
    let id = insert(connection, delivery, &what, number, at)?;
    let run = Run {
        id,
        number,
        delivery,
        what,
        attempt: 1,
        conclusion: has_ended.then_some(Conclusion::Failure),
        created_at: at,
        queued_at: at,
        started_at: None,
        ended_at: has_ended.then_some(at),
    };
    let first = Attempt {
        run: id,
        attempt: 1,
        actor: run.what.actor.clone(),
        again: None,
        state: run.what.state,
        reason: run.what.reason.clone(),
        conclusion: run.conclusion,
        queued_at: at,
        started_at: None,
        ended_at: run.ended_at,
        plan: None,
    };
    insert_attempt(connection, &first)?;
    Ok(run)
}

/// Counts up for each workflow file of a repository.
fn next_number(connection: &Connection, repository: RepositoryId, path: &str) -> Result<u64, Fault> {
    let known =
        connection.prepare_cached("SELECT 1 FROM repositories WHERE id = ?1")?.exists([repository.0])?;
    if !known {
        return Err(StoreError::Missing(format!("repository {repository}")).into());
    }
    Ok(connection
        .prepare_cached(
            "INSERT INTO workflows (repository, path, last_number) VALUES (?1, ?2, 1)
             ON CONFLICT DO UPDATE SET last_number = last_number + 1 RETURNING last_number",
        )?
        .query_row(params![repository.0, path], |row| row.get(0))?)
}

fn insert(
    connection: &Connection,
    delivery: Option<DeliveryId>,
    what: &NewRun,
    number: u64,
    at: Timestamp,
) -> Result<RunId, Fault> {
    connection
        .prepare_cached(
            "INSERT INTO runs (repository, workflow_path, number, delivery, workflow_name, title, event, reference,
               sha, head_sha, head_branch, pull_request, actor, trust, priority, concurrency_group, cancels_group,
               queues_all, facts, created_at, attempt)
             VALUES (:repository, :workflow_path, :number, :delivery, :workflow_name, :title, :event, :reference,
               :sha, :head_sha, :head_branch, :pull_request, :actor, :trust, :priority, :group, :cancels_group,
               :queues_all, :facts, :at, 1)",
        )?
        .execute(named_params! {
            ":repository": what.repository.0,
            ":workflow_path": what.workflow_path,
            ":number": number,
            ":delivery": delivery.map(|delivery| delivery.0),
            ":workflow_name": what.workflow_name,
            ":title": what.title,
            ":event": what.event,
            ":reference": what.reference,
            ":sha": what.sha,
            ":head_sha": what.head_sha,
            ":head_branch": what.head_branch,
            ":pull_request": what.pull_request,
            ":actor": what.actor,
            ":trust": word(&what.trust)?,
            ":priority": what.priority,
            ":group": what.group,
            ":cancels_group": what.cancels_group,
            ":queues_all": what.queues_all,
            ":facts": what.facts.to_string(),
            ":at": at.0,
        })?;
    Ok(RunId(connection.last_insert_rowid().unsigned_abs()))
}

/// Adds an attempt; that the run has it as its latest is up to the caller.
pub(super) fn insert_attempt(connection: &Connection, attempt: &Attempt) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO attempts (run, attempt, actor, again, state, reason, conclusion, queued_at, ended_at)
             VALUES (:run, :attempt, :actor, :again, :state, :reason, :conclusion, :queued_at, :ended_at)",
        )?
        .execute(named_params! {
            ":run": attempt.run.0,
            ":attempt": attempt.attempt,
            ":actor": attempt.actor,
            ":again": attempt.again.as_ref().map(ToString::to_string),
            ":state": attempt.state.as_str(),
            ":reason": attempt.reason,
            ":conclusion": attempt.conclusion.map(Conclusion::as_str),
            ":queued_at": attempt.queued_at.0,
            ":ended_at": attempt.ended_at.map(|at| at.0),
        })?;
    Ok(())
}

pub(super) fn one(connection: &Connection, id: RunId) -> Result<Option<Run>, Fault> {
    let mut found = connection.prepare_cached(&format!("{RUNS} WHERE runs.id = ?1"))?;
    Ok(found.query_row([id.0], read).optional()?)
}

pub(super) fn unfinished(connection: &Connection) -> Result<Vec<Run>, Fault> {
    let mut found =
        connection.prepare_cached(&format!("{RUNS} WHERE latest.state <> 'ended' ORDER BY runs.id"))?;
    let found = found.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn matching(connection: &Connection, filter: &RunFilter, limit: usize) -> Result<Vec<Run>, Fault> {
    let (conditions, mut values) = conditions(filter);
    values.push(Value::Integer(i64::try_from(limit.min(PAGE)).unwrap_or(i64::MAX)));
    let mut found =
        connection.prepare_cached(&format!("{RUNS} {conditions} ORDER BY runs.id DESC LIMIT ?"))?;
    let found = found.query_map(params_from_iter(values), read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// What is asked for only, so that an index can serve it.
fn conditions(filter: &RunFilter) -> (String, Vec<Value>) {
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let text = |text: &String| Value::Text(text.clone());
    let columns = [
        ("runs.repository = ?", filter.repository.map(|id| number(id.0))),
        ("workflow_path = ?", filter.workflow_path.as_ref().map(text)),
        ("head_branch = ?", filter.branch.as_ref().map(text)),
        ("event = ?", filter.event.as_ref().map(text)),
        ("runs.actor = ?", filter.actor.as_ref().map(text)),
        ("latest.state = ?", filter.state.map(|state| Value::Text(state.as_str().to_owned()))),
        ("conclusion = ?", filter.conclusion.map(|end| Value::Text(end.as_str().to_owned()))),
        ("pull_request = ?", filter.pull_request.map(number)),
        ("delivery = ?", filter.delivery.map(|id| number(id.0))),
        ("runs.id < ?", filter.before.map(|id| number(id.0))),
    ];
    let (mut conditions, mut values): (Vec<&str>, Vec<Value>) =
        columns.into_iter().filter_map(|(condition, value)| Some((condition, value?))).unzip();
    if filter.state.is_some_and(|state| state != RunState::Ended) {
        // Says to SQLite that its index of unfinished attempts has them all.
        conditions.push("latest.state <> 'ended'");
    }
    if let Some(sha) = &filter.sha {
        conditions.push("(sha = ? OR head_sha = ?)");
        values.extend([text(sha), text(sha)]);
    }
    let conditions =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    (conditions, values)
}

pub(super) fn attempts(connection: &Connection, run: RunId) -> Result<Vec<Attempt>, Fault> {
    let mut found = connection.prepare_cached("SELECT * FROM attempts WHERE run = ?1 ORDER BY attempt")?;
    let found = found.query_map([run.0], read_attempt)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn unannounced(
    connection: &Connection,
    after: Option<(RunId, u32)>,
    limit: usize,
) -> Result<Vec<(Attempt, RunState)>, Fault> {
    // Numbers of runs begin at 1.
    let (run, attempt) = after.unwrap_or((RunId(0), 0));
    let mut found = connection.prepare_cached(
        "SELECT run, attempt, actor, again, state, reason, conclusion, queued_at, started_at, ended_at,
           NULL AS plan, announced
         FROM attempts WHERE announced <> progress AND (run, attempt) > (?1, ?2) ORDER BY run, attempt LIMIT ?3",
    )?;
    let found = found
        .query_map(params![run.0, attempt, limit.min(PAGE)], |row| {
            Ok((read_attempt(row)?, get_word(row, "announced")?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn plan_inputs(
    connection: &Connection,
    run: RunId,
    attempt: u32,
) -> Result<Vec<PlanInput>, Fault> {
    let mut found = connection
        .prepare_cached("SELECT input FROM plan_inputs WHERE run = ?1 AND attempt = ?2 ORDER BY id")?;
    let found = found
        .query_map(params![run.0, attempt], |row| get_json(row, "input"))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn reported(connection: &Connection, run: RunId) -> Result<Option<serde_json::Value>, Fault> {
    let mut found = connection.prepare_cached("SELECT sent FROM reports WHERE run = ?1")?;
    Ok(found.query_row([run.0], |row| get_json(row, "sent")).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let moment = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(column)?.map(Timestamp));
    Ok(Run {
        id: RunId(row.get("id")?),
        number: row.get("number")?,
        delivery: row.get::<_, Option<u64>>("delivery")?.map(DeliveryId),
        what: read_what(row)?,
        attempt: row.get("attempt")?,
        conclusion: get_word_or_none(row, "conclusion")?,
        created_at: Timestamp(row.get("created_at")?),
        queued_at: Timestamp(row.get("queued_at")?),
        started_at: moment("started_at")?,
        ended_at: moment("ended_at")?,
    })
}

fn read_what(row: &Row<'_>) -> rusqlite::Result<NewRun> {
    Ok(NewRun {
        repository: RepositoryId(row.get("repository")?),
        workflow_path: row.get("workflow_path")?,
        workflow_name: row.get("workflow_name")?,
        title: row.get("title")?,
        event: row.get("event")?,
        reference: row.get("reference")?,
        sha: row.get("sha")?,
        head_sha: row.get("head_sha")?,
        head_branch: row.get("head_branch")?,
        pull_request: row.get("pull_request")?,
        actor: row.get("actor")?,
        trust: get_word(row, "trust")?,
        priority: row.get("priority")?,
        group: row.get("concurrency_group")?,
        cancels_group: row.get("cancels_group")?,
        queues_all: row.get("queues_all")?,
        state: get_word(row, "state")?,
        reason: row.get("reason")?,
        facts: get_json(row, "facts")?,
    })
}

fn read_attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let moment = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(column)?.map(Timestamp));
    Ok(Attempt {
        run: RunId(row.get("run")?),
        attempt: row.get("attempt")?,
        actor: row.get("actor")?,
        again: get_json_or_none(row, "again")?,
        state: get_word(row, "state")?,
        reason: row.get("reason")?,
        conclusion: get_word_or_none(row, "conclusion")?,
        queued_at: Timestamp(row.get("queued_at")?),
        started_at: moment("started_at")?,
        ended_at: moment("ended_at")?,
        plan: get_json_or_none(row, "plan")?,
    })
}
