//! The protocol's messages and stubs, generated from `proto/` by `cargo xtask codegen`.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

include!("wire/hearth.guest.v1.rs");
