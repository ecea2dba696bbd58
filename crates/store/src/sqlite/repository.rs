//! Repositories.

use model::{RepositoryId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::fault::Fault;
use crate::place::FORMER;
use crate::record::{Repository, RepositoryFacts};

/// Remembers a repository by the forge's number for it; where the forge gives none, by its name.
///
/// ```text
/// known by its number ──► takes the name that it has now
/// unknown ──► a new one, which is given nothing of whoever had its name before
/// ```
///
/// Whoever had the name is another repository, which was deleted or renamed: it gives the name up.
pub(super) fn seen(
    connection: &Connection,
    facts: &RepositoryFacts,
    at: Timestamp,
) -> Result<RepositoryId, Fault> {
    let known = known(connection, facts)?;
    connection
        .prepare_cached(
            "UPDATE repositories SET full_name = full_name || '~' || id
             WHERE forge = ?1 AND full_name = ?2 AND id IS NOT ?3",
        )?
        .execute(params![facts.forge, facts.full_name, known])?;
    match known {
        Some(id) => {
            keep_former_name(connection, id, facts)?;
            renew(connection, id, facts)?;
        }
        None => insert(connection, facts, at)?,
    }
    let id = known.unwrap_or_else(|| connection.last_insert_rowid().unsigned_abs());
    Ok(RepositoryId(id))
}

/// Of a repository that is called otherwise now, its old name is remembered: nothing is set under it any more, which
/// whoever has it next would have. A name with a `~` was given by Hearth itself.
fn keep_former_name(connection: &Connection, id: u64, facts: &RepositoryFacts) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO settings (key, value)
             SELECT ?3 || lower(full_name), CAST(id AS TEXT) FROM repositories
             WHERE id = ?1 AND full_name <> ?2 AND instr(full_name, '~') = 0",
        )?
        .execute(params![id, facts.full_name, FORMER])?;
    Ok(())
}

fn renew(connection: &Connection, id: u64, facts: &RepositoryFacts) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "UPDATE repositories SET
               full_name = :full_name, forge_id = coalesce(:forge_id, forge_id), default_branch = :default_branch,
               is_private = :is_private, clone_url = :clone_url, installation = :installation
             WHERE id = :id",
        )?
        .execute(named_params! {
            ":id": id,
            ":full_name": facts.full_name,
            ":forge_id": facts.forge_id,
            ":default_branch": facts.default_branch,
            ":is_private": facts.is_private,
            ":clone_url": facts.clone_url,
            ":installation": facts.installation,
        })?;
    Ok(())
}

fn insert(connection: &Connection, facts: &RepositoryFacts, at: Timestamp) -> Result<(), Fault> {
    // A place that was another's is not given again, nor one under a name that was another's.
    connection
        .prepare_cached(
            "INSERT INTO repositories
               (forge, full_name, place, forge_id, default_branch, is_private, clone_url, installation, first_seen)
             VALUES
               (:forge, :full_name,
                :full_name || iif(EXISTS (SELECT 1 FROM repositories WHERE forge = :forge AND place = :full_name)
                    OR EXISTS (SELECT 1 FROM settings WHERE key = :former || lower(:full_name)),
                  '~' || coalesce(:forge_id, :at), ''),
                :forge_id, :default_branch, :is_private, :clone_url, :installation, :at)",
        )?
        .execute(named_params! {
            ":forge": facts.forge,
            ":full_name": facts.full_name,
            ":forge_id": facts.forge_id,
            ":default_branch": facts.default_branch,
            ":is_private": facts.is_private,
            ":clone_url": facts.clone_url,
            ":installation": facts.installation,
            ":at": at.0,
            ":former": FORMER,
        })?;
    Ok(())
}

/// The one that this is. One of which no number was known may be any of its name.
fn known(connection: &Connection, facts: &RepositoryFacts) -> Result<Option<u64>, Fault> {
    let mut found = connection.prepare_cached(
        "SELECT id FROM repositories
         WHERE forge = ?1 AND (forge_id = ?3 OR (full_name = ?2 AND (forge_id IS NULL OR ?3 IS NULL)))
         ORDER BY forge_id IS NOT ?3 LIMIT 1",
    )?;
    let found = found.query_row(params![facts.forge, facts.full_name, facts.forge_id], |row| row.get(0));
    Ok(found.optional()?)
}

pub(super) fn one(connection: &Connection, id: RepositoryId) -> Result<Option<Repository>, Fault> {
    let mut found = connection.prepare_cached("SELECT * FROM repositories WHERE id = ?1")?;
    Ok(found.query_row([id.0], read).optional()?)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Repository>, Fault> {
    let mut found = connection.prepare_cached("SELECT * FROM repositories ORDER BY full_name, forge")?;
    let all = found.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(all)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Repository> {
    Ok(Repository {
        id: RepositoryId(row.get("id")?),
        facts: RepositoryFacts {
            forge: row.get("forge")?,
            full_name: row.get("full_name")?,
            forge_id: row.get("forge_id")?,
            default_branch: row.get("default_branch")?,
            is_private: row.get("is_private")?,
            clone_url: row.get("clone_url")?,
            installation: row.get("installation")?,
        },
        place: row.get("place")?,
        first_seen: Timestamp(row.get("first_seen")?),
    })
}
