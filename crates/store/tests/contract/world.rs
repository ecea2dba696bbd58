//! Where the cases happen.

use std::future::Future;
use std::sync::Arc;

use store::{SqliteStore, Store};
use tempfile::TempDir;

/// An implementation with nothing in it.
pub(crate) trait World: Sync {
    /// Opens what is there. Whatever was opened before has been dropped.
    fn open(&self) -> impl Future<Output = Arc<dyn Store>> + Send;
}

/// A database in a folder of its own.
pub(crate) struct Sqlite(TempDir);

impl Sqlite {
    pub(crate) fn new() -> Sqlite {
        Sqlite(TempDir::new().expect("a folder"))
    }
}

impl World for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path()).expect("the store opens"))
    }
}
