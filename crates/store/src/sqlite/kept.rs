//! Artifacts and caches: what stands for their files.

use model::{ArtifactId, CacheId, JobId, RunId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params, params_from_iter};

use super::fault::Fault;
use crate::error::StoreError;
use crate::query::{ArtifactFilter, CacheFilter, PAGE};
use crate::record::{Artifact, Cache, KeptFile, NewArtifact, NewCache};

pub(super) fn keep_artifact(connection: &Connection, artifact: &NewArtifact) -> Result<(), Fault> {
    let attempt = attempt_of(connection, artifact.run, artifact.job)?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO artifacts
               (run, attempt, job, number, name, file_name, file, size, digest, created_at, expires_at)
             VALUES
               (:run, :attempt, :job, :number, :name, :file_name, :file, :size, :digest, :created_at, :expires_at)",
        )?
        .execute(named_params! {
            ":run": artifact.run.0,
            ":attempt": attempt,
            ":job": artifact.job.0,
            ":number": artifact.number,
            ":name": artifact.name,
            ":file_name": artifact.file_name,
            ":file": artifact.file,
            ":size": artifact.size,
            ":digest": artifact.digest,
            ":created_at": artifact.created_at.0,
            ":expires_at": artifact.expires_at.0,
        })?;
    Ok(())
}

/// That of the job; the latest where an attempt never wrote that job down.
fn attempt_of(connection: &Connection, run: RunId, job: JobId) -> Result<u32, Fault> {
    let mut found = connection.prepare_cached(
        "SELECT coalesce((SELECT attempt FROM jobs WHERE id = ?2 AND run = ?1), attempt) FROM runs WHERE id = ?1",
    )?;
    let attempt = found.query_row(params![run.0, job.0], |row| row.get(0)).optional()?;
    attempt.ok_or_else(|| StoreError::Missing(format!("run {run}")).into())
}

pub(super) fn forget_artifact(connection: &Connection, run: RunId, number: u64) -> Result<(), Fault> {
    connection
        .prepare_cached("DELETE FROM artifacts WHERE run = ?1 AND number = ?2")?
        .execute(params![run.0, number])?;
    Ok(())
}

pub(super) fn keep_cache(connection: &Connection, cache: &NewCache) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO caches
               (repository, reference, key, version, file, size, digest, created_at, used_at)
             VALUES (:repository, :reference, :key, :version, :file, :size, :digest, :created_at, :created_at)",
        )?
        .execute(named_params! {
            ":repository": cache.repository,
            ":reference": cache.reference,
            ":key": cache.key,
            ":version": cache.version,
            ":file": cache.file,
            ":size": cache.size,
            ":digest": cache.digest,
            ":created_at": cache.created_at.0,
        })?;
    Ok(())
}

pub(super) fn use_cache(connection: &Connection, file: &str, at: Timestamp) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE caches SET used_at = max(used_at, ?2) WHERE file = ?1")?
        .execute(params![file, at.0])?;
    Ok(())
}

pub(super) fn forget_cache(connection: &Connection, file: &str) -> Result<(), Fault> {
    connection.prepare_cached("DELETE FROM caches WHERE file = ?1")?.execute([file])?;
    Ok(())
}

pub(super) fn artifacts(
    connection: &Connection,
    filter: &ArtifactFilter,
    limit: usize,
) -> Result<Vec<Artifact>, Fault> {
    let mut asked = Asked::default();
    asked.is("runs.repository = ?", filter.repository.map(|id| number(id.0)));
    asked.is("artifacts.run = ?", filter.run.map(|id| number(id.0)));
    asked.is("name = ?", filter.name.clone().map(Value::Text));
    asked.is("artifacts.id < ?", filter.before.map(|id| number(id.0)));
    if let Some(expired) = filter.expired {
        asked.must(
            "(expires_at <= ? OR artifacts.created_at < ?)",
            [number(expired.now.0), number(expired.made_before.0)],
        );
        asked.must(
            "NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.run = artifacts.run AND state <> 'ended')",
            [],
        );
    }
    let from = "SELECT artifacts.* FROM artifacts JOIN runs ON runs.id = artifacts.run";
    asked.read(connection, from, "artifacts.id", limit, read_artifact)
}

pub(super) fn caches(
    connection: &Connection,
    filter: &CacheFilter,
    limit: usize,
) -> Result<Vec<Cache>, Fault> {
    let mut asked = Asked::default();
    asked.is("id = ?", filter.id.map(|id| number(id.0)));
    asked.is("repository = ?", filter.repository.clone().map(Value::Text));
    asked.is("reference = ?", filter.reference.clone().map(Value::Text));
    asked.is("key = ?", filter.key.clone().map(Value::Text));
    if let Some(prefix) = &filter.key_prefix {
        // No pattern, in which a key could have a wildcard.
        let characters = number(prefix.chars().count() as u64);
        asked.must("substr(key, 1, ?) = ?", [characters, Value::Text(prefix.clone())]);
    }
    asked.is("version = ?", filter.version.clone().map(Value::Text));
    asked.is("id < ?", filter.before.map(|id| number(id.0)));
    asked.read(connection, "SELECT * FROM caches", "id", limit, read_cache)
}

pub(super) fn files(connection: &Connection) -> Result<Vec<KeptFile>, Fault> {
    let mut found = connection.prepare_cached(
        "SELECT file, run, number FROM artifacts UNION ALL SELECT file, NULL, NULL FROM caches",
    )?;
    let read = |row: &Row<'_>| {
        let run: Option<u64> = row.get("run")?;
        let artifact = run.map(|run| Ok::<_, rusqlite::Error>((RunId(run), row.get("number")?)));
        Ok(KeptFile { file: row.get("file")?, artifact: artifact.transpose()? })
    };
    let found = found.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// Takes out what stands for files that are not there; how many.
pub(super) fn forget_missing(
    connection: &Connection,
    is_there: impl Fn(&str) -> bool,
) -> Result<usize, Fault> {
    let mut gone = 0;
    for kept in files(connection)?.iter().filter(|kept| !is_there(&kept.file)) {
        match kept.artifact {
            Some((run, number)) => forget_artifact(connection, run, number)?,
            None => forget_cache(connection, &kept.file)?,
        }
        gone += 1;
    }
    Ok(gone)
}

/// What is asked for, and nothing else, so that an index can serve it.
#[derive(Default)]
struct Asked {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
}

impl Asked {
    /// A condition, if there is a value for it.
    fn is(&mut self, condition: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.must(condition, [value]);
        }
    }

    /// A condition with so many values.
    fn must<const N: usize>(&mut self, condition: &'static str, values: [Value; N]) {
        self.conditions.push(condition);
        self.values.extend(values);
    }

    /// The newest that fit.
    fn read<T>(
        mut self,
        connection: &Connection,
        from: &str,
        id: &str,
        limit: usize,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Fault> {
        let conditions = match self.conditions.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.conditions.join(" AND ")),
        };
        self.values.push(number(limit.min(PAGE) as u64));
        let mut found =
            connection.prepare_cached(&format!("{from} {conditions} ORDER BY {id} DESC LIMIT ?"))?;
        let found = found
            .query_map(params_from_iter(self.values), |row| read(row))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(found)
    }
}

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn read_artifact(row: &Row<'_>) -> rusqlite::Result<Artifact> {
    Ok(Artifact {
        id: ArtifactId(row.get("id")?),
        attempt: row.get("attempt")?,
        what: NewArtifact {
            run: RunId(row.get("run")?),
            number: row.get("number")?,
            job: JobId(row.get("job")?),
            name: row.get("name")?,
            file_name: row.get("file_name")?,
            file: row.get("file")?,
            size: row.get("size")?,
            digest: row.get("digest")?,
            created_at: Timestamp(row.get("created_at")?),
            expires_at: Timestamp(row.get("expires_at")?),
        },
    })
}

fn read_cache(row: &Row<'_>) -> rusqlite::Result<Cache> {
    Ok(Cache {
        id: CacheId(row.get("id")?),
        what: NewCache {
            repository: row.get("repository")?,
            reference: row.get("reference")?,
            key: row.get("key")?,
            version: row.get("version")?,
            file: row.get("file")?,
            size: row.get("size")?,
            digest: row.get("digest")?,
            created_at: Timestamp(row.get("created_at")?),
        },
        used_at: Timestamp(row.get("used_at")?),
    })
}
