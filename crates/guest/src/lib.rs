//! The way into a machine: a wire protocol, the agent inside, and the client outside.
//!
//! One byte stream carries everything (gRPC over HTTP/2), however the stream came up:
//! a socket pair into a namespace, vsock, a virtio port, a network connection. The
//! [`agent`] serves it inside of the machine; the host talks through [`client::Guest`].
//! This crate depends on nothing else of the workspace, and knows no jobs.
//!
//! The host trusts nothing that comes from the agent: every size is bounded here.

pub mod agent;
pub mod archive;
pub mod bounds;
pub mod client;
pub mod greeting;

mod carry;
mod wire;
