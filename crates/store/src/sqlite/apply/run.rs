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
    let Latest { attempt, state, has_begun } = latest(connection, run)?;
    if has_begun || state == RunState::Ended {
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
    let attempt = transition(connection, run, RunState::Queued, |now| !now.has_begun)?;
    connection
        .prepare_cached("UPDATE attempts SET reason = NULL WHERE run = ?1 AND attempt = ?2")?
        .execute(params![run.0, attempt])?;
    Ok(())
}

pub(super) fn started(connection: &Connection, run: RunId, plan: &Json, at: Timestamp) -> Result<(), Fault> {
    let attempt = transition(connection, run, RunState::Running, |now| now.state == RunState::Queued)?;
    connection
        .prepare_cached(
            "UPDATE attempts SET reason = NULL, plan = ?3, started_at = ?4 WHERE run = ?1 AND attempt = ?2",
        )?
        .execute(params![run.0, attempt, plan.to_string(), at.0])?;
    Ok(())
}

pub(super) fn held(connection: &Connection, run: RunId, reason: &str) -> Result<(), Fault> {
    let now = latest(connection, run)?;
    let attempt = match now.has_begun && now.state == RunState::Waiting {
        true => now.attempt,
        false => transition(connection, run, RunState::Waiting, |_| true)?,
    };
    say(connection, run, attempt, Some(reason))
}

pub(super) fn resumed(connection: &Connection, run: RunId) -> Result<(), Fault> {
    let attempt = transition(connection, run, RunState::Running, |now| now.has_begun)?;
    say(connection, run, attempt, None)
}

/// Says why a run that has begun stands as it does, unless it is said already who has cancelled it.
fn say(connection: &Connection, run: RunId, attempt: u32, reason: Option<&str>) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "UPDATE attempts SET reason = ?3 WHERE run = ?1 AND attempt = ?2 AND NOT EXISTS
               (SELECT 1 FROM plan_inputs WHERE run = ?1 AND attempt = ?2 AND input = ?4)",
        )?
        .execute(params![run.0, attempt, reason, serde_json::to_string(&PlanInput::Cancelled)?])?;
    Ok(())
}

pub(super) fn cancelled(connection: &Connection, run: RunId, reason: &str) -> Result<(), Fault> {
    let Latest { attempt, state, has_begun } = latest(connection, run)?;
    if state == RunState::Ended {
        return Err(illegal(name(run, attempt), state, "cancelled"));
    }
    connection
        .prepare_cached("UPDATE attempts SET reason = ?3 WHERE run = ?1 AND attempt = ?2")?
        .execute(params![run.0, attempt, reason])?;
    if has_begun {
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
    let now = latest(connection, run)?;
    let attempt = transition(connection, run, RunState::Ended, |_| true)?;
    if now.has_begun && now.state == RunState::Waiting {
        // What it waited for is not why it ended.
        say(connection, run, attempt, None)?;
    }
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
    let Latest { attempt: last, state, .. } = latest(connection, id)?;
    if state != RunState::Ended {
        return Err(illegal(name(id, last), state, format!("attempt {attempt}")));
    }
    if attempt != last + 1 {
        return Err(illegal(format!("run {id}"), format!("at attempt {last}"), format!("attempt {attempt}")));
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

/// The latest attempt of a run.
pub(super) struct Latest {
    /// Its number.
    pub(super) attempt: u32,
    pub(super) state: RunState,
    /// Whether it has left the queue.
    pub(super) has_begun: bool,
}

/// Moves the latest attempt of a run to its next state, if it may be and this change may do so, and gives its number.
fn transition(
    connection: &Connection,
    run: RunId,
    next: RunState,
    may: impl FnOnce(&Latest) -> bool,
) -> Result<u32, Fault> {
    let now = latest(connection, run)?;
    if !now.state.may_become(next) || !may(&now) {
        return Err(illegal(name(run, now.attempt), now.state, next));
    }
    connection
        .prepare_cached("UPDATE attempts SET state = ?3 WHERE run = ?1 AND attempt = ?2")?
        .execute(params![run.0, now.attempt, next.as_str()])?;
    Ok(now.attempt)
}

pub(super) fn latest(connection: &Connection, run: RunId) -> Result<Latest, Fault> {
    let found = connection
        .prepare_cached(
            "SELECT runs.attempt, state, started_at IS NOT NULL AS has_begun FROM runs
             JOIN attempts ON run = id AND attempts.attempt = runs.attempt WHERE id = ?1",
        )?
        .query_row([run.0], |row| {
            Ok(Latest {
                attempt: row.get("attempt")?,
                state: get_word(row, "state")?,
                has_begun: row.get("has_begun")?,
            })
        })
        .optional()?;
    found.ok_or_else(|| missing(format!("run {run}")))
}

/// What errors call it.
pub(super) fn name(run: RunId, attempt: u32) -> String {
    format!("attempt {attempt} of run {run}")
}
