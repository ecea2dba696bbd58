//! Tar streams of files and trees, in both directions.
//!
//! Unpacking trusts nothing in the stream: every member stays below the destination, whatever
//! its name, its links, and the links that are there already say. The host unpacks what a job
//! made with the same code as the agent unpacks what the host sent.

mod pack;
mod unpack;

pub use pack::{pack, pack_file_as};
pub use unpack::{UnpackError, inside, unpack};
