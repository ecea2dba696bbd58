//! Repositories.

use model::{RepositoryId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::fault::Fault;
use crate::record::{Repository, RepositoryFacts};

pub(super) fn seen(
    connection: &Connection,
    facts: &RepositoryFacts,
    at: Timestamp,
) -> Result<RepositoryId, Fault> {
    let id = connection
        .prepare_cached(
            "INSERT INTO repositories
               (forge, full_name, forge_id, default_branch, is_private, clone_url, installation, first_seen)
             VALUES
               (:forge, :full_name, :forge_id, :default_branch, :is_private, :clone_url, :installation, :at)
             ON CONFLICT (forge, full_name) DO UPDATE SET
               full_name = excluded.full_name, forge_id = excluded.forge_id,
               default_branch = excluded.default_branch, is_private = excluded.is_private,
               clone_url = excluded.clone_url, installation = excluded.installation
             RETURNING id",
        )?
        .query_row(
            named_params! {
                ":forge": facts.forge,
                ":full_name": facts.full_name,
                ":forge_id": facts.forge_id,
                ":default_branch": facts.default_branch,
                ":is_private": facts.is_private,
                ":clone_url": facts.clone_url,
                ":installation": facts.installation,
                ":at": at.0,
            },
            |row| row.get(0),
        )?;
    Ok(RepositoryId(id))
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
        first_seen: Timestamp(row.get("first_seen")?),
    })
}
