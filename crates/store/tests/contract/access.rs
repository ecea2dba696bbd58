//! Secrets, variables, tokens, settings, repositories.

use serde_json::json;
use store::record::{Scope, SealedSecret, Token, Variable};
use store::{Change, Store};

use crate::sample::{NOON, facts, later};
use crate::world::World;

fn scopes() -> [Scope; 3] {
    [
        Scope::Organisation("octo".to_owned()),
        Scope::Repository("octo/hello".to_owned()),
        Scope::Environment("octo/hello".to_owned(), "production".to_owned()),
    ]
}

async fn apply(store: &dyn Store, change: Change) {
    store.apply(vec![change]).await.expect("applied");
}

pub(crate) async fn secrets_and_variables_belong_to_their_scope(world: &impl World) {
    let store = world.open().await;
    for (at, scope) in (1..).zip(scopes()) {
        for name in ["TOKEN", "KEY"] {
            let set = Change::SecretSet {
                scope: scope.clone(),
                name: name.to_owned(),
                sealed: vec![0, 255, u8::try_from(at).expect("few")],
                at: later(at),
            };
            apply(&*store, set).await;
        }
        let value = format!("value {at}");
        let variable = Variable { scope: scope.clone(), name: "V".to_owned(), value, updated_at: later(at) };
        apply(&*store, Change::VariableSet(variable.clone())).await;
        assert_eq!(store.variables(&scope).await.expect("read"), [variable]);
    }
    let [_, repository, environment] = scopes();
    let secret = |name: &str, last| SealedSecret {
        scope: repository.clone(),
        name: name.to_owned(),
        sealed: vec![0, 255, last],
        updated_at: later(u64::from(last)),
    };
    assert_eq!(store.secrets(&repository).await.expect("read"), [secret("KEY", 2), secret("TOKEN", 2)]);
    let shouted = Scope::Repository("OCTO/Hello".to_owned());
    assert_eq!(store.secrets(&shouted).await.expect("read").len(), 2, "forges compare names without case");

    let remove = |name: &str| Change::SecretRemoved { scope: repository.clone(), name: name.to_owned() };
    apply(&*store, remove("KEY")).await;
    assert_eq!(store.secrets(&repository).await.expect("read"), [secret("TOKEN", 2)]);
    assert_eq!(store.secrets(&environment).await.expect("read").len(), 2);
    let gone = store.apply(vec![remove("KEY")]).await.expect_err("it is gone");
    assert_eq!(gone.to_string(), "there is no secret KEY of octo/hello");
    let gone = Change::VariableRemoved { scope: environment.clone(), name: "V".to_owned() };
    apply(&*store, gone).await;
    assert!(store.variables(&environment).await.expect("read").is_empty());
}

pub(crate) async fn a_token_is_found_by_its_digest_until_it_is_revoked(world: &impl World) {
    let store = world.open().await;
    let token = |name: &str, first: u8| Token {
        name: name.to_owned(),
        digest: [first; 32],
        role: "operate".to_owned(),
        created_at: NOON,
        expires_at: Some(later(9)),
    };
    for made in [token("laptop", 2), token("ci", 1)] {
        apply(&*store, Change::TokenMade(made)).await;
    }
    assert_eq!(store.tokens().await.expect("read"), [token("ci", 1), token("laptop", 2)]);
    assert_eq!(store.token(&[2; 32]).await.expect("read"), Some(token("laptop", 2)));
    let twice = store.apply(vec![Change::TokenMade(token("ci", 3))]).await.expect_err("a name is given once");
    assert_eq!(twice.to_string(), "token ci can't become made: it is there already");
    apply(&*store, Change::TokenRevoked { name: "laptop".to_owned() }).await;
    assert_eq!(store.token(&[2; 32]).await.expect("read"), None);
}

pub(crate) async fn settings_are_kept_until_they_are_null(world: &impl World) {
    let store = world.open().await;
    let set = |value| Change::Setting { key: "schedule".to_owned(), value };
    assert_eq!(store.setting("schedule").await.expect("read"), None);
    apply(&*store, set(json!({"z": 1, "a": [2]}))).await;
    apply(&*store, set(json!({"z": 2}))).await;
    assert_eq!(store.setting("schedule").await.expect("read"), Some(json!({"z": 2})));
    apply(&*store, set(json!(null))).await;
    assert_eq!(store.setting("schedule").await.expect("read"), None);
}

pub(crate) async fn a_repository_is_one_however_it_is_spelled(world: &impl World) {
    let store = world.open().await;
    let id = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let mut renamed = facts("Octo/Hello");
    renamed.default_branch = "trunk".to_owned();
    assert_eq!(store.repository_seen(renamed.clone(), later(5)).await.expect("seen"), id);
    let mut elsewhere = facts("octo/hello");
    elsewhere.forge = "forgejo".to_owned();
    assert_ne!(store.repository_seen(elsewhere, NOON).await.expect("seen"), id);
    let kept = store.repository(id).await.expect("read").expect("there");
    assert_eq!((kept.facts, kept.first_seen), (renamed, NOON));
    assert_eq!(store.repositories().await.expect("read").len(), 2);
}

pub(crate) async fn checking_reads_and_writes(world: &impl World) {
    world.open().await.check().await.expect("all is well");
}
