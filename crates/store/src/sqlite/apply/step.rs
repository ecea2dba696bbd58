//! Changes of steps.

use model::{Conclusion, JobId, JobState, StepRef, StepState, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{illegal, job, missing};
use crate::record::Step;
use crate::sqlite::fault::Fault;
use crate::sqlite::word::{get_word, word};

pub(super) fn started(connection: &Connection, step: &Step) -> Result<(), Fault> {
    let (_, of) = job::known(connection, step.job)?;
    if of != JobState::Running {
        return Err(illegal(name(step.job, step.step), format!("a step of a job that is {of}"), step.state));
    }
    if step.state != StepState::Running {
        return Err(illegal(name(step.job, step.step), "new", step.state));
    }
    if let Some((_, now)) = find(connection, step.job, step.step)? {
        return Err(illegal(name(step.job, step.step), now, step.state));
    }
    crate::sqlite::job::insert_step(connection, step)
}

pub(super) fn ended(
    connection: &Connection,
    job: JobId,
    step: StepRef,
    (outcome, conclusion): (Conclusion, Conclusion),
    at: Timestamp,
) -> Result<(), Fault> {
    let (id, now) = known(connection, job, step)?;
    if !now.may_become(StepState::Ended) {
        return Err(illegal(name(job, step), now, StepState::Ended));
    }
    connection
        .prepare_cached(
            "UPDATE steps SET state = 'ended', outcome = ?2, conclusion = ?3, ended_at = ?4 WHERE id = ?1",
        )?
        .execute(params![id, outcome.as_str(), conclusion.as_str(), at.0])?;
    Ok(())
}

pub(super) fn summary(
    connection: &Connection,
    job: JobId,
    step: StepRef,
    markdown: &str,
) -> Result<(), Fault> {
    let (id, _) = known(connection, job, step)?;
    connection
        .prepare_cached("UPDATE steps SET summary = coalesce(summary, '') || ?2 WHERE id = ?1")?
        .execute(params![id, markdown])?;
    Ok(())
}

fn known(connection: &Connection, job: JobId, step: StepRef) -> Result<(i64, StepState), Fault> {
    find(connection, job, step)?.ok_or_else(|| missing(name(job, step)))
}

/// Row and state of a step.
fn find(connection: &Connection, job: JobId, step: StepRef) -> Result<Option<(i64, StepState)>, Fault> {
    Ok(connection
        .prepare_cached("SELECT id, state FROM steps WHERE job = ?1 AND position = ?2 AND phase = ?3")?
        .query_row(params![job.0, step.index, word(&step.phase)?], |row| {
            Ok((row.get("id")?, get_word(row, "state")?))
        })
        .optional()?)
}

fn name(job: JobId, step: StepRef) -> String {
    format!("step {} ({:?}) of job {job}", step.index, step.phase)
}
