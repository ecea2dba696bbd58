//! `hearth serve` as a whole process, with what it needs around it: a repository, and a forge that hears its reports.
//!
//! Everything here is for tests and measurements: what can't be done panics.

mod forge;
mod git;
pub mod http;
mod process;
mod repository;
mod terminal;

pub use forge::{Forge, Heard};
pub use process::{SECRET, Server, Setting, TOKEN, sign, wait_a_moment};
pub use repository::Repository;
pub use terminal::Ended;
