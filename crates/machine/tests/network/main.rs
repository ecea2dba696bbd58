//! What the rules for nftables do, in network namespaces that each test makes for itself: a
//! machine, the host, and others beside and behind it. Nothing leaves them.

mod houses;
mod rules;
