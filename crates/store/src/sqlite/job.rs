//! Jobs, their steps, and their annotations: how they are read and made.

use model::{Conclusion, JobId, RunId, StepRef, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::fault::Fault;
use super::word::{get_json, get_word, get_word_or_none, word};
use crate::record::{AnnotationOf, Job, JobClock, Step};

pub(super) fn insert(connection: &Connection, job: &Job) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, run, attempt, key, path, rank, name, labels, state, reason, waits_until, conclusion,
               infrastructure_error, taken_from, tries, interruptions, machine, queued_at, retried_at, leased_at, started_at, first_line_at, ended_at,
               outputs, environment, environment_url)
             VALUES (:id, :run, :attempt, :key, :path, :rank, :name, :labels, :state, :reason, :waits_until, :conclusion,
               :infrastructure_error, :taken_from, :tries, :interruptions, :machine, :queued_at, :retried_at, :leased_at, :started_at, :first_line_at,
               :ended_at, :outputs, :environment, :environment_url)",
        )?
        .execute(named_params! {
            ":id": job.id.0,
            ":run": job.run.0,
            ":attempt": job.attempt,
            ":key": job.key,
            ":path": job.path,
            ":rank": job.rank,
            ":name": job.name,
            ":labels": serde_json::to_string(&job.labels)?,
            ":state": job.state.as_str(),
            ":reason": job.reason,
            ":waits_until": job.waits_until.map(|at| at.0),
            ":conclusion": job.conclusion.map(Conclusion::as_str),
            ":infrastructure_error": job.infrastructure_error,
            ":taken_from": job.taken_from.map(|job| job.0),
            ":tries": job.tries,
            ":interruptions": job.interruptions,
            ":machine": job.machine,
            ":queued_at": job.clock.queued_at.0,
            ":retried_at": job.clock.retried_at.map(|at| at.0),
            ":leased_at": job.clock.leased_at.map(|at| at.0),
            ":started_at": job.clock.started_at.map(|at| at.0),
            ":first_line_at": job.clock.first_line_at.map(|at| at.0),
            ":ended_at": job.clock.ended_at.map(|at| at.0),
            ":outputs": serde_json::to_string(&job.outputs)?,
            ":environment": job.environment,
            ":environment_url": job.environment_url,
        })?;
    Ok(())
}

pub(super) fn one(connection: &Connection, id: JobId) -> Result<Option<Job>, Fault> {
    let mut found = connection.prepare_cached("SELECT * FROM jobs WHERE id = ?1")?;
    Ok(found.query_row([id.0], read).optional()?)
}

pub(super) fn of_attempt(connection: &Connection, run: RunId, attempt: u32) -> Result<Vec<Job>, Fault> {
    let mut found =
        connection.prepare_cached("SELECT * FROM jobs WHERE run = ?1 AND attempt = ?2 ORDER BY rank, id")?;
    let found = found.query_map(params![run.0, attempt], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn insert_step(connection: &Connection, step: &Step) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO steps (job, position, phase, name, state, outcome, conclusion, started_at, ended_at,
               first_line, summary)
             VALUES (:job, :position, :phase, :name, :state, :outcome, :conclusion, :started_at, :ended_at,
               :first_line, :summary)",
        )?
        .execute(named_params! {
            ":job": step.job.0,
            ":position": step.step.index,
            ":phase": word(&step.step.phase)?,
            ":name": step.name,
            ":state": step.state.as_str(),
            ":outcome": step.outcome.map(Conclusion::as_str),
            ":conclusion": step.conclusion.map(Conclusion::as_str),
            ":started_at": step.started_at.0,
            ":ended_at": step.ended_at.map(|at| at.0),
            ":first_line": step.first_line,
            ":summary": step.summary,
        })?;
    Ok(())
}

pub(super) fn steps(connection: &Connection, job: JobId) -> Result<Vec<Step>, Fault> {
    let mut found = connection.prepare_cached("SELECT * FROM steps WHERE job = ?1 ORDER BY id")?;
    let found = found.query_map([job.0], read_step)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn annotations(
    connection: &Connection,
    run: RunId,
    attempt: u32,
) -> Result<Vec<AnnotationOf>, Fault> {
    let mut found = connection.prepare_cached(
        "SELECT jobs.id AS job, annotation
         FROM jobs JOIN annotations ON annotations.job = coalesce(jobs.taken_from, jobs.id)
         WHERE run = ?1 AND attempt = ?2 ORDER BY annotations.id",
    )?;
    let read = |row: &Row<'_>| {
        Ok(AnnotationOf { job: JobId(row.get("job")?), annotation: get_json(row, "annotation")? })
    };
    let found = found.query_map(params![run.0, attempt], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    let moment = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(column)?.map(Timestamp));
    Ok(Job {
        id: JobId(row.get("id")?),
        run: RunId(row.get("run")?),
        attempt: row.get("attempt")?,
        key: row.get("key")?,
        path: row.get("path")?,
        rank: row.get("rank")?,
        name: row.get("name")?,
        labels: get_json(row, "labels")?,
        state: get_word(row, "state")?,
        reason: row.get("reason")?,
        waits_until: moment("waits_until")?,
        conclusion: get_word_or_none(row, "conclusion")?,
        infrastructure_error: row.get("infrastructure_error")?,
        taken_from: row.get::<_, Option<u64>>("taken_from")?.map(JobId),
        tries: row.get("tries")?,
        interruptions: row.get("interruptions")?,
        machine: row.get("machine")?,
        clock: JobClock {
            queued_at: Timestamp(row.get("queued_at")?),
            retried_at: moment("retried_at")?,
            leased_at: moment("leased_at")?,
            started_at: moment("started_at")?,
            first_line_at: moment("first_line_at")?,
            ended_at: moment("ended_at")?,
        },
        outputs: get_json(row, "outputs")?,
        environment: row.get("environment")?,
        environment_url: row.get("environment_url")?,
    })
}

fn read_step(row: &Row<'_>) -> rusqlite::Result<Step> {
    Ok(Step {
        job: JobId(row.get("job")?),
        step: StepRef { index: row.get("position")?, phase: get_word(row, "phase")? },
        name: row.get("name")?,
        state: get_word(row, "state")?,
        outcome: get_word_or_none(row, "outcome")?,
        conclusion: get_word_or_none(row, "conclusion")?,
        started_at: Timestamp(row.get("started_at")?),
        ended_at: row.get::<_, Option<u64>>("ended_at")?.map(Timestamp),
        first_line: row.get("first_line")?,
        summary: row.get("summary")?,
    })
}
