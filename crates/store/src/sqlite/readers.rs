//! A few connections that read, beside the one that writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connect;
use super::fault::Fault;
use crate::error::StoreError;

/// Reads at once. SQLite's readers block nobody; more than a few only divide the same processors.
const READERS: usize = 4;

/// Lends connections to closures that run where blocking is allowed.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    free: Arc<Mutex<Vec<Connection>>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    /// Connections to the database at `path`; each is made when it is first needed.
    pub(super) fn new(path: &Path) -> Readers {
        Readers {
            path: path.to_owned(),
            free: Arc::new(Mutex::new(Vec::new())),
            turns: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Reads; `operation` says what, for errors: "read a run".
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let failed = |reason: String| StoreError::Failed { operation: operation.to_owned(), reason };
        let turn =
            Arc::clone(&self.turns).acquire_owned().await.map_err(|closed| failed(closed.to_string()))?;
        let (path, free) = (self.path.clone(), Arc::clone(&self.free));
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let idle = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect::reader(&path)?,
            };
            let answer = work(&connection)?;
            // One that failed is not used again.
            free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok(answer)
        });
        let answer: Result<T, Fault> = reading.await.map_err(|ended| failed(ended.to_string()))?;
        answer.map_err(|fault| fault.into_error(operation, &self.path))
    }
}
