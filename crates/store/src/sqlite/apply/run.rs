//! Changes of runs.

use model::{Conclusion, RunId, RunState, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value as Json;

use super::{illegal, missing};
use crate::record::{Attempt, PlanInput};
use crate::sqlite::fault::Fault;
use crate::sqlite::run;
use crate::sqlite::word::get_word;

pub(super) fn named(
    connection: &Connection,
    run: RunId,
    title: &str,
    group: Option<&str>,
    (cancels_group, queues_all): (bool, bool),
) -> Result<(), Fault> {
    let (attempt, state) = latest(connection, run)?;
    if !matches!(state, RunState::Waiting | RunState::Queued) {
        return Err(illegal(name(run, attempt), state, "named"));
    }
    connection
        .prepare_cached(
            "UPDATE runs SET title = ?2, concurrency_group = ?3, cancels_group = ?4, queues_all = ?5 WHERE id = ?1",
        )?
        .execute(params![run.0, title, group, cancels_group, queues_all])?;
    Ok(())
}

pub(super) fn queued(connection: &Connection, run: RunId) -> Result<(), Fault> {
    let attempt = transition(connection, run, RunState::Queued)?;
    connection
        .prepare_cached("UPDATE attempts SET reason = NULL WHERE run = ?1 AND attempt = ?2")?
        .execute(params![run.0, attempt])?;
    Ok(())
}

pub(super) fn started(connection: &Connection, run: RunId, plan: &Json, at: Timestamp) -> Result<(), Fault> {
    let attempt = transition(connection, run, RunState::Running)?;
    connection
        .prepare_cached(
            "UPDATE attempts SET reason = NULL, plan = ?3, started_at = ?4 WHERE run = ?1 AND attempt = ?2",
        )?
        .execute(params![run.0, attempt, plan.to_string(), at.0])?;
    Ok(())
}

pub(super) fn cancelled(connection: &Connection, run: RunId, reason: &str) -> Result<(), Fault> {
    let (attempt, state) = latest(connection, run)?;
    if state == RunState::Ended {
        return Err(illegal(name(run, attempt), state, "cancelled"));
    }
    connection
        .prepare_cached("UPDATE attempts SET reason = ?3 WHERE run = ?1 AND attempt = ?2")?
        .execute(params![run.0, attempt, reason])?;
    if state == RunState::Running {
        tell_plan(connection, run, attempt, &PlanInput::Cancelled)?;
    }
    Ok(())
}

pub(super) fn ended(
    connection: &Connection,
    run: RunId,
    conclusion: Conclusion,
    reason: Option<&str>,
    at: Timestamp,
) -> Result<(), Fault> {
    let attempt = transition(connection, run, RunState::Ended)?;
    connection
        .prepare_cached(
            "UPDATE attempts SET conclusion = ?3, reason = coalesce(?4, reason), ended_at = ?5
             WHERE run = ?1 AND attempt = ?2",
        )?
        .execute(params![run.0, attempt, conclusion.as_str(), reason, at.0])?;
    Ok(())
}

pub(super) fn queued_again(
    connection: &Connection,
    id: RunId,
    attempt: u32,
    actor: &str,
    again: &Json,
    at: Timestamp,
) -> Result<(), Fault> {
    let (latest, state) = latest(connection, id)?;
    if state != RunState::Ended {
        return Err(illegal(name(id, latest), state, format!("attempt {attempt}")));
    }
    if attempt != latest + 1 {
        return Err(illegal(
            format!("run {id}"),
            format!("at attempt {latest}"),
            format!("attempt {attempt}"),
        ));
    }
    let next = Attempt {
        run: id,
        attempt,
        actor: actor.to_owned(),
        again: Some(again.clone()),
        state: RunState::Queued,
        reason: None,
        conclusion: None,
        queued_at: at,
        started_at: None,
        ended_at: None,
        plan: None,
    };
    run::insert_attempt(connection, &next)?;
    connection
        .prepare_cached("UPDATE runs SET attempt = ?2 WHERE id = ?1")?
        .execute(params![id.0, attempt])?;
    Ok(())
}

pub(super) fn announced(
    connection: &Connection,
    run: RunId,
    attempt: u32,
    state: RunState,
) -> Result<(), Fault> {
    let changed = connection
        .prepare_cached("UPDATE attempts SET announced = ?3 WHERE run = ?1 AND attempt = ?2")?
        .execute(params![run.0, attempt, state.as_str()])?;
    if changed == 0 { Err(missing(name(run, attempt))) } else { Ok(()) }
}

pub(super) fn reported(connection: &Connection, run: RunId, sent: &Json) -> Result<(), Fault> {
    latest(connection, run)?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO reports (run, sent) VALUES (?1, ?2)")?
        .execute(params![run.0, sent.to_string()])?;
    Ok(())
}

/// Adds to what the plan of an attempt was told.
pub(super) fn tell_plan(
    connection: &Connection,
    run: RunId,
    attempt: u32,
    input: &PlanInput,
) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT INTO plan_inputs (run, attempt, input) VALUES (?1, ?2, ?3)")?
        .execute(params![run.0, attempt, serde_json::to_string(input)?])?;
    Ok(())
}

/// Moves the latest attempt of a run to its next state, if it may be, and gives its number.
fn transition(connection: &Connection, run: RunId, next: RunState) -> Result<u32, Fault> {
    let (attempt, now) = latest(connection, run)?;
    if !now.may_become(next) {
        return Err(illegal(name(run, attempt), now, next));
    }
    connection
        .prepare_cached("UPDATE attempts SET state = ?3 WHERE run = ?1 AND attempt = ?2")?
        .execute(params![run.0, attempt, next.as_str()])?;
    Ok(attempt)
}

/// Number and state of the latest attempt of a run.
pub(super) fn latest(connection: &Connection, run: RunId) -> Result<(u32, RunState), Fault> {
    let found = connection
        .prepare_cached(
            "SELECT runs.attempt, state FROM runs
             JOIN attempts ON run = id AND attempts.attempt = runs.attempt WHERE id = ?1",
        )?
        .query_row([run.0], |row| Ok((row.get("attempt")?, get_word(row, "state")?)))
        .optional()?;
    found.ok_or_else(|| missing(format!("run {run}")))
}

/// What errors call it.
pub(super) fn name(run: RunId, attempt: u32) -> String {
    format!("attempt {attempt} of run {run}")
}
