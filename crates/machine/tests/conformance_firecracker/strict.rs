//! A server that takes nothing on trust.

pub(crate) mod description;
pub(crate) mod faults;
pub(crate) mod guest;
pub(crate) mod schema;
pub(crate) mod server;
pub(crate) mod world;
