//! A GitHub App: how it proves that it is one.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>

pub mod tokens;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Secret;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

/// Seconds that a proof dates itself back by: GitHub's clock may be behind.
const BACKDATED: u64 = 60;

/// Seconds that a proof is good for, below GitHub's bound of ten minutes.
const GOOD_FOR: u64 = 9 * 60;

/// An App, with its key.
pub struct App {
    id: String,
    key: RsaKeyPair,
}

/// Why an App can't prove what it is.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The id is empty.
    #[error("the GitHub App has no id; set its client id or number from the App's settings")]
    NoId,
    /// The key is none.
    #[error(
        "the private key of GitHub App {app} can't be read: {cause}; generate one in the App's settings and give \
         its .pem file as it is"
    )]
    Key {
        /// Which App.
        app: String,
        /// What is wrong.
        cause: String,
    },
    /// Signing failed.
    #[error(
        "can't sign for GitHub App {app}; its key may be damaged, so generate another in the App's settings"
    )]
    Sign {
        /// Which App.
        app: String,
    },
    /// A token is none.
    #[error("the GitHub token has characters that no token has; set it again, without quotes and line ends")]
    Token,
}

impl App {
    /// An App by its client id or number and its key: the file that GitHub gives (PKCS#1), or the same as PKCS#8.
    pub fn new(id: &str, pem: &Secret) -> Result<App, AppError> {
        if id.trim().is_empty() {
            return Err(AppError::NoId);
        }
        let fault = |cause: String| AppError::Key { app: id.to_owned(), cause };
        let key =
            PrivateKeyDer::from_pem_slice(pem.0.as_bytes()).map_err(|error| fault(error.to_string()))?;
        let key = match &key {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(fault("it is not an RSA key".to_owned())),
        };
        let key = key.map_err(|error| fault(error.to_string()))?;
        Ok(App { id: id.trim().to_owned(), key })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A proof that this is the App, made at a time in seconds since 1970.
    pub fn jwt(&self, now: u64) -> Result<Secret, AppError> {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({"alg": "RS256", "typ": "JWT"}));
        let (issued, expires) = (now.saturating_sub(BACKDATED), now.saturating_add(GOOD_FOR));
        let claims = part(json!({"iat": issued, "exp": expires, "iss": self.id}));
        let text = format!("{head}.{claims}");
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| AppError::Sign { app: self.id.clone() })?;
        Ok(Secret(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value as Json;

    use super::*;

    /// Made for these tests with `openssl genrsa -traditional 2048`; opens nothing.
    const PKCS1: &str = include_str!("app/test_key_pkcs1.pem");
    /// The same key, by `openssl pkcs8 -topk8 -nocrypt`.
    const PKCS8: &str = include_str!("app/test_key_pkcs8.pem");

    fn app(pem: &str) -> Result<App, AppError> {
        App::new("Iv1.abc", &Secret(pem.to_owned()))
    }

    #[test]
    fn a_proof_is_signed_by_the_key_in_either_form() {
        let public = app(PKCS1).unwrap().key.public().as_ref().to_vec();
        for pem in [PKCS1, PKCS8] {
            let jwt = app(pem).unwrap().jwt(1_000_000).unwrap().0;
            let (text, signature) = jwt.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public);
            key.verify(text.as_bytes(), &signature).unwrap();
            let decoded = |part: &str| -> Json {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
            };
            let (head, claims) = text.split_once('.').unwrap();
            assert_eq!(decoded(head), json!({"alg": "RS256", "typ": "JWT"}));
            assert_eq!(decoded(claims), json!({"iat": 999_940, "exp": 1_000_540, "iss": "Iv1.abc"}));
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_without_showing_it() {
        for wrong in
            ["", "secretsecret", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"]
        {
            let error = app(wrong).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("private key of GitHub App Iv1.abc can't be read"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        assert!(matches!(App::new(" ", &Secret(PKCS1.to_owned())), Err(AppError::NoId)));
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", app(PKCS1).unwrap()), "App(Iv1.abc)");
    }
}
