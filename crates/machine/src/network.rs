//! The network of a machine with a kernel of its own: what it may reach, and what it did reach.
//!
//! [`NetworkPolicy`] says what is allowed; it is plain data, and its decisions are pure. How a
//! machine's frames come to Hearth is a matter of its driver (a socket, or a device in a namespace
//! of its own); who judges them is the same for all: [`user`], which ends every connection of the
//! guest and makes those that are allowed anew. The host's kernel forwards nothing for a machine.

pub mod user;

pub(crate) mod interface;
pub(crate) mod tap;

mod cidr;
mod contacts;
mod names;
mod policy;
mod ranges;

pub use cidr::Cidr;
pub use contacts::Contacts;
pub use policy::{Destination, DestinationError, NetworkPolicy, Refusal, Verdict};
pub use ranges::{CLOSED, Closed};
