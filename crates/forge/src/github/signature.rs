//! Whether a webhook comes from GitHub: `X-Hub-Signature-256`.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header that carries the signature.
pub const HEADER: &str = "X-Hub-Signature-256";

/// What its value begins with.
const PREFIX: &str = "sha256=";

/// Bytes of an HMAC-SHA256.
const LENGTH: usize = 32;

/// The secrets that webhooks may be signed with: more than one while a secret is being changed.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

/// Why webhooks can't be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There is none.
    #[error(
        "there is no webhook secret; set one here and in the webhook's settings, such as of `openssl rand -hex 32`"
    )]
    None,
    /// One of them is empty: everybody knows it.
    #[error(
        "webhook secret {place} of {count} is empty, so anybody could sign with it; remove it or fill it in"
    )]
    Empty {
        /// Which one, from 1.
        place: usize,
        /// How many there are.
        count: usize,
    },
}

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It has no signature.
    #[error("the webhook has no {HEADER}; set its secret in the webhook's settings")]
    Missing,
    /// Its signature is not one.
    #[error("the webhook's {HEADER} is not {PREFIX} and 64 hexadecimal digits")]
    Malformed,
    /// It is signed with another secret, or was changed on the way.
    #[error(
        "the webhook's {HEADER} fits none of the secrets; set the same secret here and in the webhook's settings"
    )]
    Mismatch,
}

impl Secrets {
    /// Takes the secrets. Space around one belongs to it, yet one of nothing else is empty.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Secrets, SecretsError> {
        let secrets: Vec<S> = secrets.into_iter().collect();
        if secrets.is_empty() {
            return Err(SecretsError::None);
        }
        if let Some(place) = secrets.iter().position(|secret| secret.as_ref().trim().is_empty()) {
            return Err(SecretsError::Empty { place: place + 1, count: secrets.len() });
        }
        Ok(Secrets(secrets.iter().map(|secret| keyed(secret.as_ref())).collect()))
    }

    /// Checks the signature of a body. Takes the same time wherever they differ, and whichever secret fits.
    pub fn verify(&self, body: &[u8], header: Option<&str>) -> Result<(), SignatureError> {
        let given = given(header)?;
        let mut fits = false;
        for secret in &self.0 {
            fits |= secret.clone().chain_update(body).verify_slice(&given).is_ok();
        }
        if fits { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// The header's value for a body, as GitHub makes it: for tests and demonstrations.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let digits = keyed(secret).chain_update(body).finalize().into_bytes();
    digits.iter().fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Whether a header can be a signature at all, which needs no body to be told.
///
/// # Errors
/// [`SignatureError::Missing`] and [`SignatureError::Malformed`].
pub fn check_form(header: Option<&str>) -> Result<(), SignatureError> {
    given(header).map(|_| ())
}

fn given(header: Option<&str>) -> Result<[u8; LENGTH], SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    header.trim().strip_prefix(PREFIX).and_then(bytes_of_hex).ok_or(SignatureError::Malformed)
}

fn keyed(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).expect("an HMAC takes keys of any length")
}

fn bytes_of_hex(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    if text.len() != 2 * LENGTH || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's page on validating deliveries.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    #[test]
    fn the_example_of_githubs_documentation_is_believed() {
        let secrets = Secrets::new([SECRET]).unwrap();
        assert_eq!(secrets.verify(BODY, Some(SIGNATURE)), Ok(()));
        assert_eq!(secrets.verify(BODY, Some(&SIGNATURE.replace("757107ea", "757107EA"))), Ok(()));
        assert_eq!(sign(SECRET, BODY), SIGNATURE);
    }

    #[test]
    fn while_a_secret_is_changed_both_are_good() {
        let secrets = Secrets::new(["new", SECRET]).unwrap();
        assert_eq!(secrets.verify(BODY, Some(SIGNATURE)), Ok(()));
        assert_eq!(secrets.verify(BODY, Some(&sign("new", BODY))), Ok(()));
        assert_eq!(secrets.verify(BODY, Some(&sign("old", BODY))), Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_changed_body_is_not_believed() {
        let secrets = Secrets::new([SECRET]).unwrap();
        assert_eq!(secrets.verify(b"Hello, World?", Some(SIGNATURE)), Err(SignatureError::Mismatch));
    }

    #[test]
    fn what_is_no_signature_is_said_to_be_none() {
        let secrets = Secrets::new([SECRET]).unwrap();
        assert_eq!(secrets.verify(BODY, None), Err(SignatureError::Missing));
        let odd = format!("sha256={}", "+1".repeat(32));
        for wrong in
            ["", "sha256=", "sha1=aa", &SIGNATURE[7..], &SIGNATURE[..70], &format!("{SIGNATURE}0"), &odd]
        {
            assert_eq!(secrets.verify(BODY, Some(wrong)), Err(SignatureError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn an_empty_secret_is_refused_by_its_place() {
        assert_eq!(Secrets::new(["a", ""]).unwrap_err(), SecretsError::Empty { place: 2, count: 2 });
        assert_eq!(Secrets::new([" \n"]).unwrap_err(), SecretsError::Empty { place: 1, count: 1 });
        assert_eq!(Secrets::new([""; 0]).unwrap_err(), SecretsError::None);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Secrets::new(["hidden"]).unwrap()), "Secrets(1)");
    }
}
