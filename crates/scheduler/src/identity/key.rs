//! The key that signs OIDC tokens: P-256 where the server has made it, RSA where somebody has put one there.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value as Json, json};

/// Longest key file that is looked at: one of RSA with 8192 bits has some 6 KiB.
const KEY_BYTES: u64 = 64 * 1024;

/// Letters in a line of a PEM file.
/// <https://www.rfc-editor.org/rfc/rfc7468#section-2>
const PEM_LINE: usize = 64;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("can't use the key of OIDC tokens {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no key.
    #[error(
        "the key of OIDC tokens {path} is none: {cause}; put a PEM file with a key of RSA (2048 bits or more) or P-256 \
         (PKCS#8) there, or remove it, and another is made"
    )]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// None can be made.
    #[error("can't make a key for OIDC tokens: the system has no randomness")]
    NoRandomness,
}

/// A key that signs.
pub(super) enum SigningKey {
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// What others check signatures with: a JSON Web Key without its name.
/// <https://www.rfc-editor.org/rfc/rfc7517>
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PublicKey {
    algorithm: &'static str,
    /// The members that a thumbprint counts.
    key: Json,
}

impl SigningKey {
    pub(super) fn load_or_make(path: &Path) -> Result<SigningKey, KeyError> {
        match SigningKey::load(path) {
            Err(KeyError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                SigningKey::make(path)
            }
            loaded => loaded,
        }
    }

    pub(super) fn load(path: &Path) -> Result<SigningKey, KeyError> {
        let fault = |source| KeyError::File { path: path.to_owned(), source };
        let mut pem = Vec::new();
        File::open(path).and_then(|file| file.take(KEY_BYTES).read_to_end(&mut pem)).map_err(fault)?;
        SigningKey::read(&pem).map_err(|cause| KeyError::Wrong { path: path.to_owned(), cause })
    }

    fn read(pem: &[u8]) -> Result<SigningKey, String> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        let (rsa, der) = match &key {
            PrivateKeyDer::Pkcs1(key) => (RsaKeyPair::from_der(key.secret_pkcs1_der()), None),
            PrivateKeyDer::Pkcs8(key) => {
                let der = key.secret_pkcs8_der();
                (RsaKeyPair::from_pkcs8(der), Some(der))
            }
            _ => return Err("it is neither PKCS#1 nor PKCS#8".to_owned()),
        };
        let random = SystemRandom::new();
        let p256 =
            der.and_then(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).ok());
        match p256 {
            Some(key) => Ok(SigningKey::P256(key)),
            None => rsa.map(SigningKey::Rsa).map_err(|error| error.to_string()),
        }
    }

    /// Makes one that its owner alone can read. It is there whole or not at all.
    fn make(path: &Path) -> Result<SigningKey, KeyError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_| KeyError::NoRandomness)?;
        let fresh = path.with_extension("pem.new");
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
            file.write_all(pem(made.as_ref()).as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        };
        write().map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        SigningKey::load(path)
    }

    /// As JSON Web Signatures call it.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            SigningKey::P256(_) => "ES256",
            SigningKey::Rsa(_) => "RS256",
        }
    }

    pub(super) fn public(&self) -> PublicKey {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = match self {
            // Uncompressed: a byte that says so, then both coordinates.
            SigningKey::P256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
                json!({"crv": "P-256", "kty": "EC", "x": text(x), "y": text(y)})
            }
            SigningKey::Rsa(key) => {
                let parts: PublicKeyComponents<Vec<u8>> = key.public().into();
                json!({"e": text(&parts.e), "kty": "RSA", "n": text(&parts.n)})
            }
        };
        PublicKey { algorithm: self.algorithm(), key }
    }

    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        match self {
            SigningKey::P256(key) => key.sign(&random, text).map(|signature| signature.as_ref().to_vec()),
            SigningKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).map(|()| signature)
            }
        }
        .map_err(|_| "the server's key does not sign".to_owned())
    }
}

impl PublicKey {
    /// Its thumbprint: the same key has the same name in every life of the server.
    /// <https://www.rfc-editor.org/rfc/rfc7638>
    pub(super) fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.key.to_string().as_bytes()))
    }

    pub(super) fn jwk(&self) -> Json {
        let mut key = self.key.clone();
        for (name, value) in
            [("kid", self.id()), ("alg", self.algorithm.to_owned()), ("use", "sig".to_owned())]
        {
            key[name] = value.into();
        }
        key
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}
