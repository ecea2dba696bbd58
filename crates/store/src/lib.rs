//! What a server must not forget: deliveries, runs, attempts, jobs, steps, logs, secrets.
//!
//! [`Store`] is the one trait behind which it lies; every state change goes through
//! [`Store::apply`] as a [`Change`], several of them in one transaction, and whoever
//! [subscribes](Store::subscribe) hears of it once it is durable. The [logs](log) of jobs are files beside it. This
//! crate must not know who calls it: it decides nothing, and has no clock.

pub mod backup;
pub mod change;
pub mod error;
mod lock;
pub mod log;
pub mod place;
pub mod query;
pub mod record;
pub mod retention;
pub mod sample;
pub mod seal;
pub mod sqlite;
mod store;

pub use change::Change;
pub use error::StoreError;
pub use lock::FolderLock;
pub use sqlite::SqliteStore;
pub use store::Store;
