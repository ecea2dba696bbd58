//! OIDC tokens: who a job is, in words that others believe, since the server signs them.
//!
//! <https://docs.github.com/en/actions/reference/security/oidc>

mod claims;
mod key;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::token::ID_TOKEN;
use model::{Access, Job, Timestamp, Trust};
use ring::rand::{SecureRandom, SystemRandom};
use runner::results::Identity;
use serde_json::{Map, Value as Json, json};

pub use key::KeyError;

use key::{PublicKey, SigningKey};

/// Name of the signing key below the data folder.
pub const KEY_FILE: &str = "oidc-key.pem";

/// Name of a key that signs no more, and whose tokens are still believed: the one before, while keys are changed.
pub const OLD_KEY_FILE: &str = "oidc-key.old.pem";

/// Where others find what to check tokens with, below the server's address: OpenID Connect Discovery's name.
/// <https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig>
pub const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// Where the keys are.
pub const KEYS_PATH: &str = "/.well-known/jwks";

/// Seconds that a token is good for: as GitHub's, enough to trade it in at once.
const GOOD_FOR: u64 = 5 * 60;

/// Seconds that a token dates itself back by: the clock of who checks it may be behind.
const BACKDATED: u64 = 60;

/// Signs for one server.
pub struct Issuer {
    /// The server's address, as others know it.
    url: String,
    key: SigningKey,
    public: Vec<PublicKey>,
}

impl Issuer {
    /// With the key of a data folder, made if there is none.
    ///
    /// # Errors
    /// A key can't be read or made.
    pub fn open(folder: &Path, url: &str) -> Result<Issuer, KeyError> {
        let key = SigningKey::load_or_make(&folder.join(KEY_FILE))?;
        let old = folder.join(OLD_KEY_FILE);
        let mut public = vec![key.public()];
        if old.exists() {
            public.push(SigningKey::load(&old)?.public());
        }
        Ok(Issuer { url: url.trim_end_matches('/').to_owned(), key, public })
    }

    /// What others find at [`DISCOVERY_PATH`].
    #[must_use]
    pub fn discovery(&self) -> Json {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}{KEYS_PATH}", self.url),
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "claims_supported": claims::names(),
            "id_token_signing_alg_values_supported": [self.key.algorithm()],
            "scopes_supported": ["openid"],
        })
    }

    /// What others find at [`KEYS_PATH`].
    #[must_use]
    pub fn keys(&self) -> Json {
        json!({"keys": self.public.iter().map(PublicKey::jwk).collect::<Vec<_>>()})
    }

    /// Who a job is, if it may say so: `permissions` ask for it, and somebody vouches for its code.
    #[must_use]
    pub fn identity(self: &Arc<Self>, job: &Job) -> Option<Arc<dyn Identity>> {
        let may = job.permissions.get(ID_TOKEN) == Some(&Access::Write) && job.trust == Trust::Trusted;
        may.then(|| {
            let claims = claims::of(job);
            Arc::new(JobIdentity { issuer: Arc::clone(self), claims }) as Arc<dyn Identity>
        })
    }

    fn sign(&self, claims: &Json) -> Result<String, String> {
        let part = |value: &Json| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"alg": self.key.algorithm(), "typ": "JWT", "kid": self.key.public().id()});
        let text = format!("{}.{}", part(&head), part(claims));
        let signature = self.key.sign(text.as_bytes())?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Who one job is.
struct JobIdentity {
    issuer: Arc<Issuer>,
    claims: Map<String, Json>,
}

impl Identity for JobIdentity {
    fn token(&self, audience: Option<&str>) -> Result<String, String> {
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id).map_err(|_| "there is no randomness".to_owned())?;
        let now = Timestamp::now().0 / 1000;
        let mut claims = self.claims.clone();
        if let Some(audience) = audience {
            claims.insert("aud".to_owned(), audience.into());
        }
        for (name, value) in [
            ("iss", json!(self.issuer.url)),
            ("jti", json!(URL_SAFE_NO_PAD.encode(id))),
            ("iat", json!(now)),
            ("nbf", json!(now.saturating_sub(BACKDATED))),
            ("exp", json!(now + GOOD_FOR)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        self.issuer.sign(&Json::Object(claims))
    }
}
