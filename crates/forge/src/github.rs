//! GitHub: webhooks in, contexts for jobs, results out.

pub mod app;
pub mod client;
pub mod context;
pub mod deliveries;
pub mod event;
pub mod oauth;
pub mod questions;
pub mod refs;
pub mod report;
pub mod signature;
