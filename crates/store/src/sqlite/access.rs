//! Secrets, variables, tokens, and settings.

use model::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value as Json;

use super::fault::Fault;
use super::word::get_json;
use crate::record::{Scope, SealedSecret, Token, Variable};

/// A scope as its three columns.
fn columns(scope: &Scope) -> (&'static str, &str, &str) {
    match scope {
        Scope::Organisation(owner) => ("organisation", owner, ""),
        Scope::Repository(name) => ("repository", name, ""),
        Scope::Environment(name, environment) => ("environment", name, environment),
    }
}

fn read_scope(row: &Row<'_>) -> rusqlite::Result<Scope> {
    let place = row.get("place")?;
    Ok(match row.get_ref("kind")?.as_str()? {
        "organisation" => Scope::Organisation(place),
        "repository" => Scope::Repository(place),
        _ => Scope::Environment(place, row.get("environment")?),
    })
}

pub(super) fn set_secret(
    connection: &Connection,
    scope: &Scope,
    name: &str,
    sealed: &[u8],
    at: Timestamp,
) -> Result<(), Fault> {
    let (kind, place, environment) = columns(scope);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO secrets (kind, place, environment, name, sealed, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![kind, place, environment, name, sealed, at.0])?;
    Ok(())
}

pub(super) fn remove_secret(connection: &Connection, scope: &Scope, name: &str) -> Result<bool, Fault> {
    let (kind, place, environment) = columns(scope);
    let removed = connection
        .prepare_cached(
            "DELETE FROM secrets WHERE kind = ?1 AND place = ?2 AND environment = ?3 AND name = ?4",
        )?
        .execute(params![kind, place, environment, name])?;
    Ok(removed > 0)
}

pub(super) fn secrets(connection: &Connection, scope: &Scope) -> Result<Vec<SealedSecret>, Fault> {
    let (kind, place, environment) = columns(scope);
    let mut found = connection.prepare_cached(
        "SELECT * FROM secrets WHERE kind = ?1 AND place = ?2 AND environment = ?3 ORDER BY name",
    )?;
    let read = |row: &Row<'_>| {
        Ok(SealedSecret {
            scope: read_scope(row)?,
            name: row.get("name")?,
            sealed: row.get("sealed")?,
            updated_at: Timestamp(row.get("updated_at")?),
        })
    };
    let found = found.query_map([kind, place, environment], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn sealed_scopes(connection: &Connection) -> Result<Vec<Scope>, Fault> {
    let mut found = connection.prepare_cached("SELECT DISTINCT kind, place, environment FROM secrets")?;
    let found = found.query_map([], read_scope)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn set_variable(connection: &Connection, variable: &Variable) -> Result<(), Fault> {
    let (kind, place, environment) = columns(&variable.scope);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO variables (kind, place, environment, name, value, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![kind, place, environment, variable.name, variable.value, variable.updated_at.0])?;
    Ok(())
}

pub(super) fn remove_variable(connection: &Connection, scope: &Scope, name: &str) -> Result<bool, Fault> {
    let (kind, place, environment) = columns(scope);
    let removed = connection
        .prepare_cached(
            "DELETE FROM variables WHERE kind = ?1 AND place = ?2 AND environment = ?3 AND name = ?4",
        )?
        .execute(params![kind, place, environment, name])?;
    Ok(removed > 0)
}

pub(super) fn variables(connection: &Connection, scope: &Scope) -> Result<Vec<Variable>, Fault> {
    let (kind, place, environment) = columns(scope);
    let mut found = connection.prepare_cached(
        "SELECT * FROM variables WHERE kind = ?1 AND place = ?2 AND environment = ?3 ORDER BY name",
    )?;
    let read = |row: &Row<'_>| {
        Ok(Variable {
            scope: read_scope(row)?,
            name: row.get("name")?,
            value: row.get("value")?,
            updated_at: Timestamp(row.get("updated_at")?),
        })
    };
    let found = found.query_map([kind, place, environment], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn make_token(connection: &Connection, token: &Token) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO tokens (name, digest, role, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            token.name,
            token.digest,
            token.role,
            token.created_at.0,
            token.expires_at.map(|at| at.0)
        ])?;
    Ok(())
}

pub(super) fn has_token(connection: &Connection, name: &str) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("SELECT 1 FROM tokens WHERE name = ?1")?.exists([name])?)
}

pub(super) fn revoke_token(connection: &Connection, name: &str) -> Result<bool, Fault> {
    Ok(connection.prepare_cached("DELETE FROM tokens WHERE name = ?1")?.execute([name])? > 0)
}

pub(super) fn tokens(connection: &Connection) -> Result<Vec<Token>, Fault> {
    let mut found = connection.prepare_cached("SELECT * FROM tokens ORDER BY name")?;
    let found = found.query_map([], read_token)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) fn token(connection: &Connection, digest: &[u8; 32]) -> Result<Option<Token>, Fault> {
    let mut found = connection.prepare_cached("SELECT * FROM tokens WHERE digest = ?1")?;
    Ok(found.query_row([digest], read_token).optional()?)
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        name: row.get("name")?,
        digest: row.get("digest")?,
        role: row.get("role")?,
        created_at: Timestamp(row.get("created_at")?),
        expires_at: row.get::<_, Option<u64>>("expires_at")?.map(Timestamp),
    })
}

pub(super) fn set(connection: &Connection, key: &str, value: &Json) -> Result<(), Fault> {
    if value.is_null() {
        connection.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([key])?;
        return Ok(());
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)")?
        .execute([key, &value.to_string()])?;
    Ok(())
}

pub(super) fn setting(connection: &Connection, key: &str) -> Result<Option<Json>, Fault> {
    let mut found = connection.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
    Ok(found.query_row([key], |row| get_json(row, "value")).optional()?)
}

pub(super) fn settings(connection: &Connection, prefix: &str) -> Result<Vec<(String, Json)>, Fault> {
    // No `LIKE`: a prefix may have its wildcards.
    let mut found = connection.prepare_cached(
        "SELECT key, value FROM settings WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key",
    )?;
    let read = |row: &Row<'_>| Ok((row.get("key")?, get_json(row, "value")?));
    let found = found.query_map([prefix], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}
