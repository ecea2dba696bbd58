//! Changes of jobs.

use model::{Annotation, Conclusion, JobId, JobResult, JobState, RunId, RunState, Timestamp};
use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::{illegal, missing, run};
use crate::change::Requeue;
use crate::record::{Job, PlanInput};
use crate::sqlite::fault::Fault;
use crate::sqlite::job;
use crate::sqlite::word::get_word;

/// Whose a job is: a run, and the number of an attempt.
type Attempt = (RunId, u32);

pub(super) fn created(connection: &Connection, job: &Job) -> Result<(), Fault> {
    let name = format!("job {}", job.id);
    if matches!(job.state, JobState::Leasing | JobState::Running) {
        return Err(illegal(name, "new", job.state));
    }
    if let Some((_, now)) = find(connection, job.id)? {
        return Err(illegal(name, now, "new"));
    }
    let run::Latest { attempt, state, has_begun } = run::latest(connection, job.run)?;
    if attempt != job.attempt || !has_begun || state == RunState::Ended {
        let of = run::name(job.run, attempt);
        return Err(illegal(name, format!("no job that {of} can get ({state})"), job.state));
    }
    job::insert(connection, job)
}

pub(super) fn delayed(
    connection: &Connection,
    job: JobId,
    until: Option<Timestamp>,
    reason: &str,
) -> Result<(), Fault> {
    let (_, now) = known(connection, job)?;
    if now != JobState::Waiting {
        return Err(illegal(format!("job {job}"), now, "delayed"));
    }
    connection
        .prepare_cached("UPDATE jobs SET reason = ?2, waits_until = ?3 WHERE id = ?1")?
        .execute(params![job.0, reason, until.map(|until| until.0)])?;
    Ok(())
}

pub(super) fn queued(connection: &Connection, job: JobId, at: Timestamp) -> Result<(), Fault> {
    // From its machine it comes back another way, which keeps account of the failure.
    let (_, now) = known(connection, job)?;
    if now != JobState::Waiting {
        return Err(illegal(format!("job {job}"), now, JobState::Queued));
    }
    transition(connection, job, JobState::Queued)?;
    connection
        .prepare_cached("UPDATE jobs SET reason = NULL, waits_until = NULL, queued_at = ?2 WHERE id = ?1")?
        .execute([job.0, at.0])?;
    Ok(())
}

pub(super) fn leasing(connection: &Connection, job: JobId, at: Timestamp) -> Result<(), Fault> {
    transition(connection, job, JobState::Leasing)?;
    connection
        .prepare_cached("UPDATE jobs SET reason = NULL, tries = tries + 1, leased_at = ?2 WHERE id = ?1")?
        .execute([job.0, at.0])?;
    Ok(())
}

pub(super) fn started(
    connection: &Connection,
    job: JobId,
    machine: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    transition(connection, job, JobState::Running)?;
    connection
        .prepare_cached("UPDATE jobs SET machine = ?2, started_at = ?3 WHERE id = ?1")?
        .execute(params![job.0, machine, at.0])?;
    Ok(())
}

pub(super) fn spoke(connection: &Connection, job: JobId, at: Timestamp) -> Result<(), Fault> {
    known(connection, job)?;
    connection
        .prepare_cached("UPDATE jobs SET first_line_at = coalesce(first_line_at, ?2) WHERE id = ?1")?
        .execute([job.0, at.0])?;
    Ok(())
}

pub(super) fn requeued(
    connection: &Connection,
    job: JobId,
    reason: &str,
    requeue: Requeue,
    at: Timestamp,
) -> Result<(), Fault> {
    let (_, now) = known(connection, job)?;
    if now == JobState::Waiting {
        return Err(illegal(format!("job {job}"), now, JobState::Queued));
    }
    transition(connection, job, JobState::Queued)?;
    connection
        .prepare_cached(
            "UPDATE jobs SET infrastructure_error = ?2, machine = NULL, retried_at = ?3, leased_at = NULL,
               started_at = NULL, first_line_at = NULL, interruptions = interruptions + ?4,
               tries = tries - ?5
             WHERE id = ?1",
        )?
        .execute(params![
            job.0,
            reason,
            at.0,
            requeue == Requeue::Interrupted,
            requeue == Requeue::HandedBack
        ])?;
    connection.prepare_cached("DELETE FROM steps WHERE job = ?1")?.execute([job.0])?;
    connection.prepare_cached("DELETE FROM annotations WHERE job = ?1")?.execute([job.0])?;
    Ok(())
}

pub(super) fn ended(
    connection: &Connection,
    job: JobId,
    result: &JobResult,
    reason: Option<&str>,
    at: Timestamp,
) -> Result<(), Fault> {
    let of = transition(connection, job, JobState::Ended)?;
    connection
        .prepare_cached(
            "UPDATE jobs SET conclusion = :conclusion, reason = :reason, waits_until = NULL, ended_at = :at, outputs = :outputs,
               infrastructure_error = coalesce(:infrastructure_error, infrastructure_error),
               environment_url = coalesce(:environment_url, environment_url)
             WHERE id = :job",
        )?
        .execute(named_params! {
            ":job": job.0,
            ":conclusion": result.conclusion.as_str(),
            ":reason": reason,
            ":at": at.0,
            ":outputs": serde_json::to_string(&result.outputs)?,
            ":infrastructure_error": result.infrastructure_error,
            ":environment_url": result.environment_url,
        })?;
    end_steps(connection, job, result.conclusion, at)?;
    run::tell_plan(connection, of.0, of.1, &PlanInput::Ended { job, result: result.clone() })
}

/// No step outlives its job.
fn end_steps(connection: &Connection, job: JobId, of: Conclusion, at: Timestamp) -> Result<(), Fault> {
    let end = match of {
        Conclusion::Cancelled => Conclusion::Cancelled,
        Conclusion::Success | Conclusion::Failure | Conclusion::Skipped => Conclusion::Failure,
    };
    connection
        .prepare_cached(
            "UPDATE steps SET state = 'ended', outcome = ?2, conclusion = ?2, ended_at = ?3
             WHERE job = ?1 AND state = 'running'",
        )?
        .execute(params![job.0, end.as_str(), at.0])?;
    Ok(())
}

pub(super) fn annotated(connection: &Connection, job: JobId, annotation: &Annotation) -> Result<(), Fault> {
    known(connection, job)?;
    connection
        .prepare_cached("INSERT INTO annotations (job, annotation) VALUES (?1, ?2)")?
        .execute(params![job.0, serde_json::to_string(annotation)?])?;
    Ok(())
}

/// Moves a job to its next state, if it may be, and says whose it is.
fn transition(connection: &Connection, job: JobId, next: JobState) -> Result<Attempt, Fault> {
    let (of, now) = known(connection, job)?;
    if !now.may_become(next) {
        return Err(illegal(format!("job {job}"), now, next));
    }
    connection
        .prepare_cached("UPDATE jobs SET state = ?2 WHERE id = ?1")?
        .execute(params![job.0, next.as_str()])?;
    Ok(of)
}

/// Whose a job is, and its state.
pub(super) fn known(connection: &Connection, job: JobId) -> Result<(Attempt, JobState), Fault> {
    find(connection, job)?.ok_or_else(|| missing(format!("job {job}")))
}

fn find(connection: &Connection, job: JobId) -> Result<Option<(Attempt, JobState)>, Fault> {
    Ok(connection
        .prepare_cached("SELECT run, attempt, state FROM jobs WHERE id = ?1")?
        .query_row([job.0], |row| {
            Ok(((RunId(row.get("run")?), row.get("attempt")?), get_word(row, "state")?))
        })
        .optional()?)
}
