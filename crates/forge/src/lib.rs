//! Forges: where repositories live, events come from, and results are shown.
//!
//! [`github`] checks and reads webhooks and speaks GitHub's REST API; [`git`] keeps a mirror of each
//! repository. What both speak of is in [`commit`] and [`repository`]. This crate must not know the
//! scheduler, the store, or what a workflow says: it hands over events and takes what is to be shown.

pub mod commit;
pub mod git;
pub mod github;
pub mod repository;
pub mod server_url;

pub use commit::{CommitSpec, Diff};
pub use repository::{RepositoryName, RepositoryNameError, RepositoryRef};
pub use server_url::{ServerUrl, ServerUrlError};
