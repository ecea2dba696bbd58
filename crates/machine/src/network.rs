//! The network of a machine with a kernel of its own: what it may reach, and what it did reach.
//!
//! [`NetworkPolicy`] says what is allowed; it is plain data, and its decisions are pure. How a
//! machine reaches out is a matter of its [`Network`](crate::Network): as the user who started
//! Hearth, whose process ends every connection of the guest and makes those that are allowed
//! anew (no device, no rights, and nothing between guest and host but frames on a socket), or
//! through a device of the host, which rules for nftables close.

pub mod nftables;
pub mod user;

mod cidr;
mod contacts;
mod names;
mod policy;
mod ranges;

pub use cidr::Cidr;
pub use contacts::{Contact, Contacts, Protocol};
pub use policy::{Destination, DestinationError, NetworkPolicy, Refusal, Verdict};
pub use ranges::{CLOSED, Closed};
