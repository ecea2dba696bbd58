//! From checked trees to types: how the parts of a file fit together.

mod action;
mod background;
mod condition;
mod container;
mod event;
mod ids;
mod input;
mod job;
mod matrix;
mod needs;
mod permissions;
mod runs_on;
mod service;
mod step;
mod workflow;

pub(super) use action::action;
pub(super) use service::check_service;
pub(super) use workflow::workflow;
