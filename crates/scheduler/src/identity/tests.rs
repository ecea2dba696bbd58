use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use model::{CacheMode, Contexts, JobId, Permissions, RunDefaults, RunId, TokenTerms};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::*;

/// A key of RSA, which opens nothing.
const RSA: &str = include_str!("../../../forge/src/github/app/test_key_pkcs8.pem");

fn job(github: Json, environment: Option<&str>) -> Job {
    let mut all = json!({
        "server_url": "https://github.com", "repository": "octo/hello", "repository_owner": "octo",
        "event_name": "push", "ref": "refs/heads/main", "sha": "abc", "run_id": "7", "run_attempt": "2",
        "actor": "mona", "workflow": "CI", "ref_protected": false, "event": {"repository": {"private": false}},
    });
    for (name, value) in github.as_object().unwrap() {
        all[name] = value.clone();
    }
    let origin = json!({"workflow_ref": "octo/lib/.github/workflows/x.yml@v1", "workflow_sha": "def"});
    Job {
        id: JobId(1),
        run: RunId(7),
        attempt: 2,
        key: "deploy".to_owned(),
        name: "deploy".to_owned(),
        steps: Vec::new(),
        contexts: Contexts { github: all, job: origin, ..Contexts::default() },
        env: Vec::new(),
        defaults: RunDefaults::default(),
        outputs: Vec::new(),
        environment_url: None,
        container: None,
        services: None,
        timeout: Duration::from_secs(60),
        cancel_timeout: Duration::from_secs(60),
        secrets: Default::default(),
        trust: Trust::Trusted,
        cache_mode: CacheMode::Write,
        permissions: Permissions::from([(ID_TOKEN.to_owned(), Access::Write)]),
        token: TokenTerms::Unsaid,
        environment: environment.map(str::to_owned),
    }
}

fn issuer(folder: &tempfile::TempDir) -> Arc<Issuer> {
    Arc::new(Issuer::open(folder.path(), "https://ci.example.com/").unwrap())
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// The claims of a token, checked with the keys that others see.
fn believed(token: &str, keys: &Json) -> Json {
    let parts: Vec<&str> = token.split('.').collect();
    let head: Json = serde_json::from_slice(&decoded(parts[0])).unwrap();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == head["kid"]).expect("a key");
    assert_eq!((&key["alg"], &key["use"]), (&head["alg"], &json!("sig")));
    let (text, signature) = (format!("{}.{}", parts[0], parts[1]), decoded(parts[2]));
    let number = |name: &str| decoded(key[name].as_str().unwrap());
    match key["kty"].as_str().unwrap() {
        "EC" => {
            let point = [vec![4], number("x"), number("y")].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(text.as_bytes(), &signature).expect("it is signed");
        }
        _ => {
            let key = RsaPublicKeyComponents { n: number("n"), e: number("e") };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &signature).expect("it is signed");
        }
    }
    serde_json::from_slice(&decoded(parts[1])).unwrap()
}

#[test]
fn a_token_says_who_its_job_is_and_others_can_check_it() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&folder);
    let identity = issuer.identity(&job(json!({}), None)).unwrap();
    let claims = believed(&identity.token(None).unwrap(), &issuer.keys());
    for (name, value) in [
        ("iss", "https://ci.example.com"),
        ("sub", "repo:octo/hello:ref:refs/heads/main"),
        ("aud", "https://github.com/octo"),
        ("repository", "octo/hello"),
        ("repository_visibility", "public"),
        ("ref", "refs/heads/main"),
        ("run_id", "7"),
        ("run_attempt", "2"),
        ("ref_protected", "false"),
        ("job_workflow_ref", "octo/lib/.github/workflows/x.yml@v1"),
        ("runner_environment", "self-hosted"),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let now = Timestamp::now().0 / 1000;
    let time = |name: &str| claims[name].as_u64().unwrap();
    assert!(time("nbf") < now && time("exp") > now && time("exp") - time("iat") == GOOD_FOR);
    let all = issuer.discovery()["claims_supported"].clone();
    for name in claims.as_object().unwrap().keys() {
        assert!(all.as_array().unwrap().contains(&json!(name)), "{name}");
    }
    let other = believed(&identity.token(Some("sts.amazonaws.com")).unwrap(), &issuer.keys());
    assert_eq!(other["aud"], "sts.amazonaws.com");
    assert_ne!(other["jti"], claims["jti"]);
}

#[test]
fn the_subject_is_the_environment_or_else_the_pull_request_or_else_the_ref() {
    let subject =
        |github: Json, environment: Option<&str>| claims::of(&job(github, environment))["sub"].clone();
    let pull = || json!({"event_name": "pull_request", "ref": "refs/pull/7/merge"});
    assert_eq!(subject(json!({"ref": "refs/tags/v1"}), None), "repo:octo/hello:ref:refs/tags/v1");
    assert_eq!(subject(pull(), None), "repo:octo/hello:pull_request");
    assert_eq!(subject(pull(), Some("a:b")), "repo:octo/hello:environment:a%3Ab");
    let target = json!({"event_name": "pull_request_target"});
    assert_eq!(subject(target, None), "repo:octo/hello:pull_request", "never that of a push to main");
}

#[test]
fn who_does_not_ask_and_who_nobody_vouches_for_has_no_identity() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&folder);
    let own = job(json!({}), None);
    assert!(issuer.identity(&Job { permissions: Permissions::new(), ..own.clone() }).is_none());
    assert!(issuer.identity(&Job { trust: Trust::Untrusted, ..own }).is_none());
}

#[test]
fn a_key_stays_the_same_is_its_owners_alone_and_can_be_changed_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join(KEY_FILE), folder.path().join(OLD_KEY_FILE));
    let first = issuer(&folder).keys();
    assert_eq!(issuer(&folder).keys(), first, "the same in the next life");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let token = issuer(&folder).identity(&job(json!({}), None)).unwrap().token(None).unwrap();
    std::fs::rename(&path, &old).unwrap();
    let both = issuer(&folder).keys();
    assert_eq!(both["keys"].as_array().unwrap().len(), 2);
    believed(&token, &both);
    std::fs::write(&path, RSA).unwrap();
    let rsa = issuer(&folder);
    assert_eq!(rsa.discovery()["id_token_signing_alg_values_supported"], json!(["RS256"]));
    believed(&rsa.identity(&job(json!({}), None)).unwrap().token(None).unwrap(), &rsa.keys());
}

#[test]
fn a_key_that_is_none_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in ["", "secretsecret", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(folder.path().join(KEY_FILE), wrong).unwrap();
        let error = Issuer::open(folder.path(), "x").err().unwrap().to_string();
        assert!(error.contains("oidc-key.pem is none") && error.contains("or remove it"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
