//! Tokens: JSON Web Tokens, signed with one shared key (HS256).
//!
//! Nothing else of the standard is understood: no other algorithm, no key ids, no encryption,
//! and so none of their holes. <https://www.rfc-editor.org/rfc/rfc7519>,
//! <https://www.rfc-editor.org/rfc/rfc8725>.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

/// Shortest key: as many bytes as HS256's hash has, as RFC 7518 section 3.2 demands.
pub const KEY_BYTES: usize = 32;

/// Longest token that is looked at: a usual one has some 200 bytes.
const TOKEN_BYTES: usize = 8 * 1024;

/// Longest subject and tier: they go into errors and logs.
const NAME_BYTES: usize = 128;

/// How much later than ours the clock of who made a token may be.
const CLOCK_SKEW_SECONDS: f64 = 60.0;

/// The tier of a token that names none.
pub const DEFAULT_TIER: &str = "default";

/// Signs and checks tokens.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its subject: sees its own machines only.
    pub subject: String,
    /// Which limits it has.
    pub tier: String,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("the key has {found} bytes and needs at least {KEY_BYTES}; make one with: openssl rand -hex 32")]
pub struct WeakKey {
    found: usize,
}

/// Why a token is not taken. Told to whoever sent it: none of it helps to forge one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("no token: send the header `Authorization: Bearer <token>`")]
    Missing,
    /// Not three parts of base64url with JSON in them.
    #[error("the token is not a JSON Web Token")]
    Malformed,
    /// Signed in another way, or not at all.
    #[error("the token is not signed with HS256, the only algorithm that is taken")]
    Algorithm,
    /// Signed with another key, or changed.
    #[error("the token's signature is wrong")]
    Signature,
    /// Good for ever, which none may be.
    #[error("the token has no `exp`: it must say when it expires")]
    NoExpiry,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet (`nbf`)")]
    Early,
    /// It speaks for nobody.
    #[error("the token has no `sub` of 1 to {NAME_BYTES} bytes: it must say whose machines are meant")]
    NoSubject,
    /// Not a name.
    #[error("the token's `tier` is not a name of 1 to {NAME_BYTES} bytes")]
    BadTier,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood; we understand none.
    crit: Option<Value>,
}

/// Claims as they come; their types are checked one by one, to say which is wrong.
#[derive(Deserialize)]
struct Claims {
    sub: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    tier: Option<Value>,
}

impl Key {
    /// A key of at least [`KEY_BYTES`] bytes.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, WeakKey> {
        if secret.len() < KEY_BYTES {
            return Err(WeakKey { found: secret.len() });
        }
        // HMAC takes keys of any length.
        Hmac::new_from_slice(secret).map(Key).map_err(|_| WeakKey { found: secret.len() })
    }

    /// A token for `caller` that is good until `expires`, in seconds since 1970.
    #[must_use]
    pub fn mint(&self, caller: &Caller, expires: u64) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = json!({"sub": caller.subject, "exp": expires, "tier": caller.tier});
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.0.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whom a token speaks for at `now`, in seconds since 1970. Nothing in it is believed before its
    /// signature is compared, in constant time.
    ///
    /// # Errors
    /// When the token is forged, over, or not fit for this API.
    pub fn open(&self, token: &str, now: u64) -> Result<Caller, TokenError> {
        if token.len() > TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else { return Err(TokenError::Malformed) };
        let head: Header = decode(header)?;
        if head.alg != "HS256" || head.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        let signed = &token[..header.len() + 1 + payload.len()];
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Signature)?;
        let verified = self.0.clone().chain_update(signed).verify_slice(&signature);
        verified.map_err(|_| TokenError::Signature)?;
        judge(decode(payload)?, now)
    }
}

fn decode<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

fn judge(claims: Claims, now: u64) -> Result<Caller, TokenError> {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in an f64 for long")]
    let now = now as f64;
    let expires = claims.exp.and_then(|exp| exp.as_f64()).ok_or(TokenError::NoExpiry)?;
    if expires <= now {
        return Err(TokenError::Expired);
    }
    if let Some(nbf) = claims.nbf
        && nbf.as_f64().is_none_or(|begins| begins > now + CLOCK_SKEW_SECONDS)
    {
        return Err(TokenError::Early);
    }
    let subject = claims.sub.as_ref().and_then(name).ok_or(TokenError::NoSubject)?;
    let tier = match &claims.tier {
        None => DEFAULT_TIER.to_owned(),
        Some(tier) => name(tier).ok_or(TokenError::BadTier)?,
    };
    Ok(Caller { subject, tier })
}

fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let fit = !text.is_empty() && text.len() <= NAME_BYTES && !text.chars().any(char::is_control);
    fit.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn key() -> Key {
        Key::new(&[7; KEY_BYTES]).unwrap()
    }

    fn caller() -> Caller {
        Caller { subject: "ann".into(), tier: "gold".into() }
    }

    /// Signs anything.
    fn signed(key: &Key, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let signature = key.0.clone().chain_update(&text).finalize().into_bytes();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn hs256(claims: &Value) -> String {
        signed(&key(), &json!({"alg": "HS256"}), claims)
    }

    #[test]
    fn a_token_opens_until_it_expires() {
        let token = key().mint(&caller(), NOW + 1);
        assert_eq!(key().open(&token, NOW), Ok(caller()));
        assert_eq!(key().open(&token, NOW + 1), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_of_another_library_opens() {
        // What PyJWT makes of jwt.encode({"sub": "ann", "exp": 4102444800}, "k" * 32, "HS256")
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9.\
                     Z2nKLnAHacFIqeQtJ62Wk89IV1ge8prGkc_FDQlnXu8";
        let caller = Key::new(&[b'k'; 32]).unwrap().open(token, NOW).unwrap();
        assert_eq!(caller, Caller { subject: "ann".into(), tier: "default".into() });
    }

    #[test]
    fn a_token_of_another_key_or_with_other_claims_is_refused() {
        let token = key().mint(&caller(), NOW + 60);
        assert_eq!(Key::new(&[8; KEY_BYTES]).unwrap().open(&token, NOW), Err(TokenError::Signature));
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"bob","exp":4102444800}"#);
        parts[1] = &other;
        assert_eq!(key().open(&parts.join("."), NOW), Err(TokenError::Signature));
        parts[2] = "";
        assert_eq!(key().open(&parts.join("."), NOW), Err(TokenError::Signature));
    }

    #[test]
    fn another_algorithm_is_refused_even_when_the_signature_is_right() {
        let claims = json!({"sub": "ann", "exp": NOW + 60});
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "hs256"}),
            json!({"alg": "HS512"}),
            json!({"alg": "RS256"}),
        ] {
            let token = signed(&key(), &header, &claims);
            assert_eq!(key().open(&token, NOW), Err(TokenError::Algorithm), "{header}");
        }
        let unsigned = signed(&key(), &json!({"alg": "none"}), &claims);
        let unsigned = &unsigned[..=unsigned.rfind('.').unwrap()];
        assert_eq!(key().open(unsigned, NOW), Err(TokenError::Algorithm));
        let critical = signed(&key(), &json!({"alg": "HS256", "crit": ["b64"]}), &claims);
        assert_eq!(key().open(&critical, NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn a_token_without_end_or_subject_is_refused() {
        assert_eq!(key().open(&hs256(&json!({"sub": "ann"})), NOW), Err(TokenError::NoExpiry));
        let words = json!({"sub": "ann", "exp": "4102444800"});
        assert_eq!(key().open(&hs256(&words), NOW), Err(TokenError::NoExpiry));
        for subject in [json!(null), json!(""), json!(7), json!("a\nb"), json!("x".repeat(129))] {
            let token = hs256(&json!({"sub": subject, "exp": NOW + 60}));
            assert_eq!(key().open(&token, NOW), Err(TokenError::NoSubject), "{subject}");
        }
        let token = hs256(&json!({"sub": "ann", "exp": NOW + 60, "tier": 3}));
        assert_eq!(key().open(&token, NOW), Err(TokenError::BadTier));
    }

    #[test]
    fn a_token_that_is_not_valid_yet_is_refused() {
        let from = |nbf: u64| hs256(&json!({"sub": "ann", "exp": NOW + 900, "nbf": nbf}));
        assert_eq!(key().open(&from(NOW + 600), NOW), Err(TokenError::Early));
        assert!(key().open(&from(NOW + 30), NOW).is_ok(), "clocks differ a little");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for token in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.é.é", &"x".repeat(9000)] {
            assert_eq!(key().open(token, NOW), Err(TokenError::Malformed), "{token:?}");
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(Key::new(&[1; KEY_BYTES - 1]).is_err());
        assert!(Key::new(b"").is_err());
    }
}
