//! Tokens of jobs and signatures of blob addresses, both made with one key that no other service has.

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use model::{CacheMode, JobId, RunId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;

/// How long a job's token is good: GitHub's limit for a job on an own machine, five days.
const TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// How long a blob address is good; the longest upload fits in.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(6 * 60 * 60);

/// Longest token that is looked at: a real one has some 700 bytes.
const TOKEN_BYTES: usize = 16 * 1024;

/// What a job may do with caches and artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its run: artifacts are shared within it.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// Whether it restores caches, and whether it saves them.
    pub cache_mode: CacheMode,
    /// Where it finds and puts caches.
    pub caches: CacheScope,
}

/// Which caches a job sees.
///
/// Source: <https://docs.github.com/actions/reference/workflows-and-actions/dependency-caching#restrictions-for-accessing-a-cache>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheScope {
    /// `owner/name`, or what else stands for the repository: caches of one are invisible to another.
    pub repository: String,
    /// The job's own ref (`refs/heads/x`, `refs/pull/1/merge`), which it writes to and reads first.
    pub own_ref: String,
    /// What it reads besides, in this order: the base of its pull request, the default branch.
    pub read_refs: Vec<String>,
}

/// The claims of a token: ours, and those that the clients look for.
#[derive(Serialize, Deserialize)]
struct Claims {
    exp: u64,
    hearth: Grant,
    lease: u64,
}

/// The claims of a token that is good for asking for OIDC tokens, and for nothing else.
#[derive(Serialize, Deserialize)]
struct IdentityClaims {
    exp: u64,
    identity_of: u64,
}

/// What a blob address allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Writing the content of one upload.
    Upload,
    /// Reading one cache.
    Cache,
    /// Reading one artifact.
    Artifact,
}

impl Purpose {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Purpose::Upload => "upload",
            Purpose::Cache => "cache",
            Purpose::Artifact => "artifact",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Purpose::Upload, Purpose::Cache, Purpose::Artifact].into_iter().find(|one| one.as_str() == name)
    }
}

/// The query of a blob address. The SDK adds parameters of its own.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Address {
    pub(super) purpose: String,
    pub(super) id: String,
    pub(super) se: u64,
    pub(super) lease: u64,
    pub(super) sig: String,
    #[serde(default)]
    pub(super) comp: String,
    #[serde(default)]
    pub(super) blockid: String,
}

/// The key of one service.
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn random() -> io::Result<Self> {
        let mut key = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        Ok(Key(key))
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        // A key of any length is fine for HMAC, so this can't fail.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!());
        mac.update(text.as_bytes());
        mac
    }

    fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(text).finalize().into_bytes())
    }

    /// Compares in constant time.
    fn verify(&self, text: &str, signature: &str) -> bool {
        URL_SAFE_NO_PAD.decode(signature).is_ok_and(|bytes| self.mac(text).verify_slice(&bytes).is_ok())
    }

    /// A JWT (HS256) for one job, for as long as its lease is there.
    pub(super) fn token(&self, grant: &Grant, lease: u64) -> String {
        let now = seconds(SystemTime::now());
        let scope = |name: &String, permission: u8| json!({"Scope": name, "Permission": permission});
        let (read, write) = (grant.cache_mode.reads(), grant.cache_mode.writes());
        let mut access = Vec::new();
        if read || write {
            access.push(scope(&grant.caches.own_ref, u8::from(read) + 2 * u8::from(write)));
        }
        if read {
            access.extend(grant.caches.read_refs.iter().map(|name| scope(name, 1)));
        }
        let claims = json!({
            "iss": "hearth",
            "iat": now,
            "nbf": now.saturating_sub(60),
            "exp": now + TOKEN_LIFETIME.as_secs(),
            "scp": format!("Actions.Results:{}:{}", grant.run, grant.job),
            "ac": serde_json::Value::Array(access).to_string(),
            "hearth": grant,
            "lease": lease,
        });
        self.encode(&claims)
    }

    /// A JWT (HS256) with which one job asks for OIDC tokens.
    pub(super) fn identity_token(&self, lease: u64) -> String {
        let exp = seconds(SystemTime::now()) + TOKEN_LIFETIME.as_secs();
        self.encode(&json!({"exp": exp, "identity_of": lease}))
    }

    fn encode(&self, claims: &serde_json::Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        format!("{signed}.{}", self.sign(&signed))
    }

    /// The grant and the lease of a token; `None` when it is forged, of another service, or over.
    pub(super) fn open(&self, token: &str) -> Option<(Grant, u64)> {
        let claims: Claims = self.read(token)?;
        (claims.exp > seconds(SystemTime::now())).then_some((claims.hearth, claims.lease))
    }

    /// The lease of a token that asks for OIDC tokens.
    pub(super) fn open_identity(&self, token: &str) -> Option<u64> {
        let claims: IdentityClaims = self.read(token)?;
        (claims.exp > seconds(SystemTime::now())).then_some(claims.identity_of)
    }

    fn read<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        if token.len() > TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let payload = signed.split_once('.')?.1;
        if !self.verify(signed, signature) {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// The query of an address for one blob. `id` consists of letters, digits, and dashes.
    pub(super) fn address(&self, purpose: Purpose, id: &str, lease: u64) -> String {
        let expiry = seconds(SystemTime::now()) + ADDRESS_LIFETIME.as_secs();
        let signature = self.sign(&signed_address(purpose, id, expiry, lease));
        format!("purpose={}&id={id}&se={expiry}&lease={lease}&sig={signature}", purpose.as_str())
    }

    /// What an address allows; `None` when it is forged or over.
    pub(super) fn check(&self, address: &Address) -> Option<Purpose> {
        let purpose = Purpose::named(&address.purpose)?;
        let is_ours =
            self.verify(&signed_address(purpose, &address.id, address.se, address.lease), &address.sig);
        (is_ours && address.se > seconds(SystemTime::now())).then_some(purpose)
    }
}

fn signed_address(purpose: Purpose, id: &str, expiry: u64, lease: u64) -> String {
    format!("blob\n{}\n{id}\n{expiry}\n{lease}", purpose.as_str())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        let caches =
            CacheScope { repository: "o/r".into(), own_ref: "refs/heads/x".into(), read_refs: vec![] };
        Grant { run: RunId(7), job: JobId(3), cache_mode: CacheMode::Write, caches }
    }

    #[test]
    fn a_token_opens_to_its_grant_and_names_the_job_to_the_clients() {
        let key = Key::random().unwrap();
        let token = key.token(&grant(), 5);
        assert_eq!(key.open(&token), Some((grant(), 5)));
        assert_eq!(key.open_identity(&token), None, "each token is for one thing");
        assert_eq!(key.open_identity(&key.identity_token(5)), Some(5));
        assert_eq!(key.open(&key.identity_token(5)), None);
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims["scp"], "Actions.Results:7:3");
    }

    #[test]
    fn a_forged_foreign_or_expired_token_is_refused() {
        let key = Key::random().unwrap();
        let token = key.token(&grant(), 5);
        assert_eq!(Key::random().unwrap().open(&token), None);
        let mut parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(r#"{"exp":99999999999,"hearth":{}}"#);
        parts[1] = &other;
        assert_eq!(key.open(&parts.join(".")), None);
        assert_eq!(key.open(&token[..token.len() - 2]), None);
        assert_eq!(key.open(""), None);
        let expired = key.encode(&json!({"exp": 1, "hearth": grant(), "lease": 5}));
        assert_eq!(key.open(&expired), None);
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(key.open(&unsigned), None);
    }

    #[test]
    fn an_address_is_good_for_its_purpose_and_blob_only() {
        let key = Key::random().unwrap();
        let query = key.address(Purpose::Upload, "abc", 5);
        let mut fields = query.split('&').map(|pair| pair.split_once('=').unwrap().1.to_owned());
        let mut field = || fields.next().unwrap();
        let address = Address {
            purpose: field(),
            id: field(),
            se: field().parse().unwrap(),
            lease: field().parse().unwrap(),
            sig: field(),
            comp: String::new(),
            blockid: String::new(),
        };
        assert_eq!(key.check(&address), Some(Purpose::Upload));
        for changed in [
            Address { id: "abd".into(), ..address.clone() },
            Address { purpose: "cache".into(), ..address.clone() },
            Address { se: address.se + 1, ..address.clone() },
            Address { lease: 6, ..address.clone() },
        ] {
            assert_eq!(key.check(&changed), None);
        }
    }
}
