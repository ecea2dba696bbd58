//! What ended long ago: how it is found, and forgotten.

use model::{DeliveryId, JobId, RunId, Timestamp};
use rusqlite::{Connection, params};

use super::fault::Fault;

pub(super) fn runs(
    connection: &Connection,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<(RunId, Vec<JobId>)>, Fault> {
    let mut runs = connection.prepare_cached(
        "SELECT run FROM attempts JOIN runs ON id = run AND runs.attempt = attempts.attempt
         WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2",
    )?;
    let runs: Vec<u64> =
        runs.query_map(params![before.0, limit], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut jobs = connection.prepare_cached("SELECT id FROM jobs WHERE run = ?1")?;
    let mut expired = Vec::with_capacity(runs.len());
    for run in runs {
        let jobs = jobs.query_map([run], |row| row.get(0).map(JobId))?.collect::<rusqlite::Result<_>>()?;
        expired.push((RunId(run), jobs));
    }
    Ok(expired)
}

pub(super) fn forget_runs(connection: &Connection, runs: &[RunId]) -> Result<(), Fault> {
    // What belongs to a run goes with it: attempts, jobs, and what belongs to them.
    let mut forget = connection.prepare_cached(
        "DELETE FROM runs WHERE id = ?1
           AND NOT EXISTS (SELECT 1 FROM attempts WHERE run = ?1 AND state <> 'ended')",
    )?;
    for run in runs {
        forget.execute([run.0])?;
    }
    Ok(())
}

/// Bodies that no run needs. Runs are asked first: their index is small, and a look at a body reads a page of its own.
const EXPIRED_BODIES: &str = "SELECT id FROM deliveries
     WHERE done_at < ?1
       AND NOT EXISTS (SELECT 1 FROM runs WHERE delivery = deliveries.id)
       AND EXISTS (SELECT 1 FROM payloads WHERE delivery = deliveries.id)
     ORDER BY done_at LIMIT ?2";

/// Deliveries of which no run has come that is still there.
const EXPIRED_DELIVERIES: &str = "SELECT id FROM deliveries
     WHERE done_at < ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE delivery = deliveries.id)
     ORDER BY done_at LIMIT ?2";

/// Those whose bodies are to be forgotten, and those that are to be forgotten whole.
pub(super) fn deliveries(
    connection: &Connection,
    bodies: Timestamp,
    whole: Timestamp,
    limit: usize,
) -> Result<(Vec<DeliveryId>, Vec<DeliveryId>), Fault> {
    let ids = |sql: &str, before: Timestamp| -> Result<Vec<DeliveryId>, Fault> {
        let mut found = connection.prepare_cached(sql)?;
        let ids = found.query_map(params![before.0, limit], |row| row.get(0).map(DeliveryId))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    };
    Ok((ids(EXPIRED_BODIES, bodies)?, ids(EXPIRED_DELIVERIES, whole)?))
}

pub(super) fn forget_deliveries(
    connection: &Connection,
    bodies: &[DeliveryId],
    whole: &[DeliveryId],
) -> Result<usize, Fault> {
    // One that was sent again meanwhile is not done any more, and may have a run since.
    let mut body = connection.prepare_cached(
        "DELETE FROM payloads WHERE delivery = ?1
           AND EXISTS (SELECT 1 FROM deliveries WHERE id = ?1 AND done_at IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM runs WHERE delivery = ?1)",
    )?;
    let mut delivery = connection.prepare_cached(
        "DELETE FROM deliveries WHERE id = ?1 AND done_at IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM runs WHERE delivery = ?1)",
    )?;
    let mut forgotten = 0;
    for id in bodies {
        forgotten += body.execute([id.0])?;
    }
    for id in whole {
        forgotten += delivery.execute([id.0])?;
    }
    Ok(forgotten)
}
