//! Formats of the database, each made from the one before it.

use rusqlite::Connection;

use super::fault::Fault;

/// Step `n` leads from format `n` to format `n + 1`. What was released is never changed; a new step is added.
const STEPS: &[&str] = &[include_str!("migration/1.sql")];

/// Brings the database to the newest format, each step in a transaction of its own.
pub(super) fn run(connection: &mut Connection) -> Result<(), Fault> {
    let newest = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let found = format(connection)?;
    if found > newest {
        return Err(Fault::TooNew { found, known: newest });
    }
    for (step, format) in STEPS.iter().zip(1..).skip(found as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", format)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The format of a database; 0 is an empty one.
fn format(connection: &Connection) -> Result<u32, Fault> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
