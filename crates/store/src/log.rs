//! Logs of jobs: append-only files, one folder for each job.
//!
//! ```text
//! <root>/<job>/000000000000-1750000000000000.log   lines 0 to 8191
//!              000000008192-1750000003141592.log   lines 8192 to …
//!              complete                            nothing follows
//! ```
//!
//! A log is a row of *segments*. The name of each says the number of its first line and its time, so that the names are
//! the index: a line is found by one look at the folder and the reading of one segment, which is small. A segment is a
//! row of framed [records](record) with a checksum each, so that a line torn by a crash is noticed, cut off, and told.

mod cursor;
mod folder;
mod follow;
mod live;
mod reader;
mod record;
mod search;
mod segment;
mod writer;

pub use folder::LogFolder;
pub use follow::Follow;
pub use reader::{Line, LogReader, PAGE_BYTES, PAGE_LINES};
pub use search::{Found, Pattern, SCAN_BYTES};
pub use writer::LogWriter;
