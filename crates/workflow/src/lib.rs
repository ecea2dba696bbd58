//! GitHub Actions' language: text in, decisions out.
//!
//! [`yaml`] reads text to a spanned tree, [`syntax`] holds the typed workflow that
//! [`schema`] checks and makes of it, [`expr`] is the expression language, [`trigger`]
//! decides whether an event starts a workflow, [`plan`] turns a workflow into jobs and
//! says which may start, [`concurrency`] who of them waits for whom. Everything is pure: no files, processes, clocks, or forges.

pub mod concurrency;
pub mod cron;
pub mod diagnostic;
pub mod expr;
mod nearest;
pub mod plan;
pub mod resolve;
pub mod schema;
pub mod span;
pub mod syntax;
pub mod trigger;
pub mod yaml;

pub use nearest::nearest;
