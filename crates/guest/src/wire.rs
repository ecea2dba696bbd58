//! The protocol's messages and stubs, generated from `proto/` by `cargo xtask codegen`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

include!("wire/hearth.guest.v1.rs");
