//! Tokens: a random secret that its holder has, and of which the store has the hash only.

use axum::http::{HeaderMap, header};
use model::Timestamp;
use sha2::{Digest, Sha256};
use store::record::Token;

use super::{Role, random};

/// What a token begins with, so that people and scanners of secrets know it for one.
pub const PREFIX: &str = "hearth_";

/// Longest name of a token: it goes into logs and pages.
const NAME_BYTES: usize = 100;

/// A token has no name that can be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token's name has 1 to {NAME_BYTES} bytes, none of them control characters")]
pub struct BadName;

/// Makes a token: the secret, for its holder, and the record, for [`Change::TokenMade`](store::Change::TokenMade).
///
/// # Errors
/// The name can't be one.
pub fn make(
    name: &str,
    role: Role,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(String, Token), BadName> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        return Err(BadName);
    }
    let secret = format!("{PREFIX}{}", random::secret());
    let record = Token {
        name: name.to_owned(),
        digest: digest(&secret),
        role: role.as_str().to_owned(),
        created_at: now,
        expires_at,
    };
    Ok((secret, record))
}

/// Nobody could make tokens, set secrets, or look after the server any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is the last token of an administrator; make another first (`hearth token create NAME --role admin`)"
)]
pub struct LastAdministrator {
    /// The token's name.
    pub name: String,
}

/// Whether this token may be revoked: another administrator's must be left. People who sign in at the forge do not
/// count, for the forge may be away when an administrator is needed.
///
/// # Errors
/// It is the last one.
pub fn check_revocable(tokens: &[Token], name: &str, now: Timestamp) -> Result<(), LastAdministrator> {
    let mut administrators = tokens.iter().filter(|token| is_administrator(token, now));
    match (administrators.next(), administrators.next()) {
        (Some(last), None) if last.name == name => Err(LastAdministrator { name: name.to_owned() }),
        _ => Ok(()),
    }
}

/// Whether a token lets an administrator in, now.
#[must_use]
pub fn is_administrator(token: &Token, now: Timestamp) -> bool {
    Role::of(&token.role) == Role::Admin && token.expires_at.is_none_or(|end| end > now)
}

/// What the store knows a token by.
#[must_use]
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The token of the header, whose scheme may be written in any case.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether two secrets are the same, in a time that does not tell where they differ: of hashes, nobody learns more.
pub(super) fn same(one: &str, other: &str) -> bool {
    digest(one) == digest(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_no_two_are_the_same() {
        let (secret, record) = make(" ci ", Role::Operate, None, Timestamp(7)).unwrap();
        assert!(secret.starts_with(PREFIX) && secret.len() == PREFIX.len() + 43, "{secret}");
        assert_eq!(record.digest, digest(&secret));
        assert_eq!((record.name.as_str(), record.role.as_str()), ("ci", "operate"));
        let (other, _) = make("ci", Role::Operate, None, Timestamp(7)).unwrap();
        assert_ne!(secret, other);
        assert!(same(&secret, &secret.clone()) && !same(&secret, &other));
    }

    #[test]
    fn a_name_that_people_could_not_read_is_refused() {
        for name in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert_eq!(make(name, Role::Read, None, Timestamp(0)).unwrap_err(), BadName, "{name:?}");
        }
    }
}
