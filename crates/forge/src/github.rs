//! GitHub: webhooks in, contexts for jobs, results out.

pub mod app;
pub mod client;
pub mod context;
pub mod event;
pub mod refs;
pub mod signature;
