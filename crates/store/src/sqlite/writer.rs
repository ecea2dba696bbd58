//! The one thread that writes. It commits all that has queued up as one transaction, so that one flush of the disk
//! serves many callers, and answers each only then.
//!
//! ```text
//! idle ──► collecting ──► committing ──► answering ──► idle
//!              │               └ it fails: nothing of it is there, and all are told
//!              └ one fails: its savepoint goes back, the others stay
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::fault::{self, Fault};
use crate::change::Change;
use crate::error::StoreError;

/// Operations that wait for the writer; who comes later waits to be let in. What they carry is held by their callers
/// anyway.
const QUEUE: usize = 1024;

/// Operations of one transaction, so that the first of them is not kept waiting by an endless stream.
const BATCH: usize = 256;

/// Transactions that a subscriber may lag behind: a second's worth under the heaviest load.
const SUBSCRIBER_LAG: usize = 1024;

/// Takes work for the thread. Dropping it lets the thread finish what is queued, and waits for that.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    queue: Option<mpsc::Sender<Box<dyn Operation>>>,
    changes: broadcast::Sender<Arc<Vec<Change>>>,
    thread: Option<JoinHandle<()>>,
}

/// What one caller wants.
trait Operation: Send {
    /// Does it in the open transaction, and says what subscribers are to hear if it stays.
    fn carry_out(&mut self, connection: &Connection) -> Result<Vec<Change>, Fault>;

    /// In an error's words: "write a delivery".
    fn name(&self) -> &'static str;

    /// Tells the caller how it ended.
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
}

struct Asked<T, W> {
    name: &'static str,
    work: Option<W>,
    value: Option<T>,
    caller: oneshot::Sender<Result<Option<T>, StoreError>>,
}

impl<T: Send, W> Operation for Asked<T, W>
where
    W: FnOnce(&Connection, &mut Vec<Change>) -> Result<T, Fault> + Send,
{
    fn carry_out(&mut self, connection: &Connection) -> Result<Vec<Change>, Fault> {
        let mut told = Vec::new();
        if let Some(work) = self.work.take() {
            self.value = Some(work(connection, &mut told)?);
        }
        Ok(told)
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        // A caller that has gone does not want it.
        let Asked { value, caller, .. } = *self;
        let _ = caller.send(end.map(|()| value));
    }
}

impl Writer {
    /// Starts the thread with its connection to the database at `path`.
    pub(super) fn start(path: &Path, connection: Connection) -> Result<Writer, StoreError> {
        let (queue, queued) = mpsc::channel(QUEUE);
        let (changes, _) = broadcast::channel(SUBSCRIBER_LAG);
        let checkpoints =
            Checkpoints::start(path).map_err(|fault| fault.into_error("open a database", path))?;
        let thread = Thread { checkpoints, path: path.to_owned(), connection, changes: changes.clone() };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || thread.run(queued))
            .map_err(|error| StoreError::Failed {
            operation: "start the thread that writes".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Writer { path: path.to_owned(), queue: Some(queue), changes, thread: Some(thread) })
    }

    /// Writes; `operation` says what, for errors: "write a delivery". The work puts what subscribers are to hear into
    /// its second argument.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection, &mut Vec<Change>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Failed {
            operation: format!("{operation} in {}", self.path.display()),
            reason: "the thread that writes has ended".to_owned(),
        };
        let (caller, answer) = oneshot::channel();
        let asked = Asked { name: operation, work: Some(work), value: None, caller };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Box::new(asked)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())??.ok_or_else(gone)
    }

    /// Changes from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Vec<Change>>> {
        self.changes.subscribe()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was printed, and its callers were told.
            let _ = thread.join();
        }
    }
}

struct Thread {
    // Dropped first: whoever closes the last connection moves all of the log into the database.
    checkpoints: Checkpoints,
    path: PathBuf,
    connection: Connection,
    changes: broadcast::Sender<Arc<Vec<Change>>>,
}

impl Thread {
    fn run(mut self, mut queued: mpsc::Receiver<Box<dyn Operation>>) {
        let mut batch = Vec::with_capacity(BATCH);
        while queued.blocking_recv_many(&mut batch, BATCH) > 0 {
            let mut ends = Vec::with_capacity(batch.len());
            let committed = self.carry_out(&mut batch, &mut ends);
            self.checkpoints.written(batch.len());
            let mut ends = ends.into_iter();
            for operation in batch.drain(..) {
                // Those that were not tried have none, and then there is an error for all.
                let end = ends.next().unwrap_or(Ok(Vec::new()));
                self.answer(operation, end, committed.as_ref().err());
            }
        }
    }

    /// Tries all in one transaction, in order, and says how each ended. After an error nothing of it is there.
    fn carry_out(
        &self,
        batch: &mut [Box<dyn Operation>],
        ends: &mut Vec<Result<Vec<Change>, Fault>>,
    ) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let tried = batch.iter_mut().try_for_each(|operation| {
            ends.push(self.within_savepoint(operation.as_mut())?);
            Ok(())
        });
        let ended = tried.and_then(|()| connection.prepare_cached("COMMIT")?.execute([]).map(drop));
        // SQLite has gone back by itself after some errors.
        if ended.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK")?;
        }
        ended
    }

    /// The inner result is that of the operation; the outer one says that the transaction can't go on.
    fn within_savepoint(
        &self,
        operation: &mut dyn Operation,
    ) -> rusqlite::Result<Result<Vec<Change>, Fault>> {
        let connection = &self.connection;
        connection.prepare_cached("SAVEPOINT one")?.execute([])?;
        let end = operation.carry_out(connection);
        match &end {
            // The whole transaction went with it.
            Err(Fault::Sqlite(_)) if connection.is_autocommit() => {
                if let Err(Fault::Sqlite(error)) = end {
                    return Err(error);
                }
            }
            Err(_) => {
                connection.prepare_cached("ROLLBACK TO one")?.execute([])?;
            }
            Ok(_) => {}
        }
        connection.prepare_cached("RELEASE one")?.execute([])?;
        Ok(end)
    }

    fn answer(
        &self,
        operation: Box<dyn Operation>,
        end: Result<Vec<Change>, Fault>,
        failed: Option<&rusqlite::Error>,
    ) {
        let name = operation.name();
        if let Some(error) = failed {
            return operation.answer(Err(fault::in_words(error, name, &self.path)));
        }
        match end {
            Ok(told) => {
                if !told.is_empty() {
                    // Nobody needs to listen.
                    let _ = self.changes.send(Arc::new(told));
                }
                operation.answer(Ok(()));
            }
            Err(fault) => operation.answer(Err(fault.into_error(name, &self.path))),
        }
    }
}
