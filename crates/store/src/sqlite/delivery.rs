//! Deliveries and what came of them.

use std::collections::BTreeSet;

use model::{DeliveryId, DeliveryState, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::fault::Fault;
use super::run;
use super::word::get_word;
use crate::error::StoreError;
use crate::query::PAGE;
use crate::record::{Delivery, Expansion, LONGEST_WAIT, NewDelivery, Receipt, Run};

pub(super) fn receive(connection: &Connection, delivery: &NewDelivery) -> Result<Receipt, Fault> {
    let made = connection
        .prepare_cached(
            "INSERT INTO deliveries (guid, event, action, repository, received_at, state, tries, next_try)
             VALUES (:guid, :event, :action, :repository, :at, 'received', 0, :at)
             ON CONFLICT (guid) DO NOTHING
             RETURNING id",
        )?
        .query_row(
            named_params! {
                ":guid": delivery.guid,
                ":event": delivery.event,
                ":action": delivery.action,
                ":repository": delivery.repository,
                ":at": delivery.received_at.0,
            },
            |row| row.get(0).map(DeliveryId),
        )
        .optional()?;
    let Some(id) = made else { return receive_again(connection, delivery) };
    keep_payload(connection, id, &delivery.payload)?;
    Ok(Receipt::New(id))
}

fn receive_again(connection: &Connection, delivery: &NewDelivery) -> Result<Receipt, Fault> {
    let (id, state): (DeliveryId, DeliveryState) = connection
        .prepare_cached("SELECT id, state FROM deliveries WHERE guid = ?1")?
        .query_row([&delivery.guid], |row| Ok((DeliveryId(row.get("id")?), get_word(row, "state")?)))?;
    if state != DeliveryState::Failed {
        return Ok(Receipt::Known(id, state));
    }
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'received', reason = NULL, tries = 0, next_try = ?2, done_at = NULL
             WHERE id = ?1",
        )?
        .execute(params![id.0, delivery.received_at.0])?;
    keep_payload(connection, id, &delivery.payload)?;
    Ok(Receipt::Again(id))
}

/// The body may have been forgotten before the delivery was sent again.
fn keep_payload(connection: &Connection, id: DeliveryId, body: &[u8]) -> Result<(), Fault> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO payloads (delivery, body) VALUES (?1, ?2)")?
        .execute(params![id.0, body])?;
    Ok(())
}

pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    apart_from: &[String],
    limit: usize,
) -> Result<Vec<Delivery>, Fault> {
    let mut due = connection.prepare_cached(
        "SELECT * FROM deliveries
         WHERE state = 'received' AND (tries = 0 OR next_try NOT BETWEEN ?1 + 1 AND ?2)
           AND coalesce(repository, '') NOT IN (SELECT value FROM json_each(?3))
         ORDER BY id LIMIT ?4",
    )?;
    let latest = now.after(LONGEST_WAIT);
    let apart_from = serde_json::json!(apart_from).to_string();
    let due = due.query_map(params![now.0, latest.0, apart_from, limit.min(PAGE)], read)?;
    Ok(due.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn one(connection: &Connection, id: DeliveryId) -> Result<Option<(Delivery, Vec<u8>)>, Fault> {
    let mut found = connection.prepare_cached(
        "SELECT deliveries.*, coalesce(body, x'') AS body
         FROM deliveries LEFT JOIN payloads ON delivery = id WHERE id = ?1",
    )?;
    Ok(found.query_row([id.0], |row| Ok((read(row)?, row.get("body")?))).optional()?)
}

pub(super) fn newest(
    connection: &Connection,
    before: Option<DeliveryId>,
    limit: usize,
) -> Result<Vec<Delivery>, Fault> {
    let before = before.map_or(i64::MAX, |id| i64::try_from(id.0).unwrap_or(i64::MAX));
    let mut found =
        connection.prepare_cached("SELECT * FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT ?2")?;
    let found = found.query_map(params![before, limit.min(PAGE)], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn known(connection: &Connection, guids: Vec<String>) -> Result<BTreeSet<String>, Fault> {
    let mut found = connection.prepare_cached("SELECT 1 FROM deliveries WHERE guid = ?1")?;
    let mut known = BTreeSet::new();
    for guid in guids {
        if found.exists([&guid])? {
            known.insert(guid);
        }
    }
    Ok(known)
}

pub(super) fn expand(
    connection: &Connection,
    id: DeliveryId,
    expansion: Expansion,
    at: Timestamp,
) -> Result<Vec<Run>, Fault> {
    let (next, reason, next_try, new) = match expansion {
        Expansion::Runs(new) => (DeliveryState::Expanded, None, None, new),
        Expansion::Ignored(reason) => (DeliveryState::Ignored, Some(reason), None, Vec::new()),
        Expansion::Failed(reason) => (DeliveryState::Failed, Some(reason), None, Vec::new()),
        Expansion::Later { reason, next_try } => {
            (DeliveryState::Received, Some(reason), Some(next_try.0), Vec::new())
        }
    };
    must_be_received(connection, id, next)?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = :state, reason = :reason, tries = tries + 1,
               next_try = coalesce(:next_try, next_try), done_at = iif(:next_try IS NULL, :at, NULL)
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": id.0,
            ":state": next.as_str(),
            ":reason": reason,
            ":next_try": next_try,
            ":at": at.0,
        })?;
    new.into_iter().map(|new| run::create(connection, Some(id), new, at)).collect()
}

pub(super) fn fulfilled(
    connection: &Connection,
    id: DeliveryId,
    reason: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    must_be_received(connection, id, DeliveryState::Expanded)?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'expanded', reason = ?2, tries = tries + 1, done_at = ?3 WHERE id = ?1",
        )?
        .execute(params![id.0, reason, at.0])?;
    Ok(())
}

fn must_be_received(connection: &Connection, id: DeliveryId, next: DeliveryState) -> Result<(), Fault> {
    let now: Option<DeliveryState> = connection
        .prepare_cached("SELECT state FROM deliveries WHERE id = ?1")?
        .query_row([id.0], |row| get_word(row, "state"))
        .optional()?;
    match now {
        None => Err(StoreError::Missing(format!("delivery {id}")).into()),
        Some(DeliveryState::Received) => Ok(()),
        Some(now) => Err(StoreError::Illegal {
            what: format!("delivery {id}"),
            now: now.to_string(),
            next: next.to_string(),
        }
        .into()),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: DeliveryId(row.get("id")?),
        guid: row.get("guid")?,
        event: row.get("event")?,
        action: row.get("action")?,
        repository: row.get("repository")?,
        received_at: Timestamp(row.get("received_at")?),
        state: get_word(row, "state")?,
        reason: row.get("reason")?,
        tries: row.get("tries")?,
        next_try: Timestamp(row.get("next_try")?),
        done_at: row.get::<_, Option<u64>>("done_at")?.map(Timestamp),
    })
}
