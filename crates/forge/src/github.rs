//! GitHub: webhooks in, contexts for jobs, results out.

pub mod context;
pub mod event;
pub mod refs;
pub mod signature;
