//! Formats of the database, each made from the one before it.

use rusqlite::Connection;

use super::fault::Fault;

/// Step `n` leads from format `n` to format `n + 1`. What was released is never changed; a new step is added.
const STEPS: &[&str] =
    &[include_str!("migration/1.sql"), include_str!("migration/2.sql"), include_str!("migration/3.sql")];

/// Brings the database to the newest format, each step in a transaction of its own.
pub(super) fn run(connection: &mut Connection) -> Result<(), Fault> {
    must_be_known(connection)?;
    let found = format(connection)?;
    for (step, format) in STEPS.iter().zip(1..).skip(found as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", format)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Refuses the database of a newer version.
pub(super) fn must_be_known(connection: &Connection) -> Result<(), Fault> {
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    match format(connection)? {
        found if found > known => Err(Fault::TooNew { found, known }),
        _ => Ok(()),
    }
}

/// The format of a database; 0 is an empty one.
fn format(connection: &Connection) -> Result<u32, Fault> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checksums (CRC-32) of the steps that were released.
    const RELEASED: [u32; 3] = [0x6fb6_1252, 0xa865_bc1d, 0x95c5_9e60];

    #[test]
    fn a_step_that_was_released_is_never_changed() {
        let steps: Vec<u32> =
            STEPS.iter().take(RELEASED.len()).map(|step| crc32fast::hash(step.as_bytes())).collect();
        assert_eq!(steps, RELEASED, "databases are there that it has made: add a step instead");
    }
}
