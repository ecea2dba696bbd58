//! Secrets that nobody can guess.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes of a secret: as many as its hash has, so that neither is the weaker one.
const BYTES: usize = 32;

/// A new secret, in characters that need no escapes anywhere.
pub(super) fn secret() -> String {
    let mut bytes = [0; BYTES];
    // Up to 256 bytes come whole or, before the system has gathered any randomness, later; nothing else can fail.
    while getrandom(&mut bytes, GetRandomFlags::empty()) != Ok(BYTES) {}
    URL_SAFE_NO_PAD.encode(bytes)
}
