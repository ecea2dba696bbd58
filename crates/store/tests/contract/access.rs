//! Secrets, variables, tokens, settings, repositories.

use serde_json::json;
use store::record::{RepositoryFacts, Scope, SealedSecret, Token, Variable};
use store::{Change, Store, place};

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
    let sealed = store.sealed_scopes().await.expect("read");
    assert!(sealed.len() == 3 && scopes().iter().all(|scope| sealed.contains(scope)), "{sealed:?}");
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

pub(crate) async fn a_repository_that_was_renamed_is_the_same_and_keeps_its_place(world: &impl World) {
    let store = world.open().await;
    let id = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let renamed = RepositoryFacts { full_name: "mona/hi".to_owned(), ..facts("octo/hello") };
    assert_eq!(store.repository_seen(renamed.clone(), later(5)).await.expect("seen"), id);
    let kept = store.repository(id).await.expect("read").expect("there");
    assert_eq!((kept.facts, kept.place.as_str()), (renamed, "octo/hello"));
    let secret = |name: &str| Scope::Environment(name.to_owned(), "production".to_owned());
    assert_eq!(place::of(&*store, &secret("Mona/hi")).await.expect("read"), Ok(secret("octo/hello")));
    assert_eq!(
        place::of(&*store, &secret("octo/hello")).await.expect("read"),
        Err("mona/hi".to_owned()),
        "nobody sets anything for a name that is nobody's"
    );
    let twice = RepositoryFacts { full_name: "mona/hey".to_owned(), ..facts("octo/hello") };
    assert_eq!(store.repository_seen(twice, later(6)).await.expect("seen"), id);
    for former in ["octo/hello", "Mona/Hi"] {
        let told = place::of(&*store, &secret(former)).await.expect("read");
        assert_eq!(told, Err("mona/hey".to_owned()), "{former}");
    }
    let taken = RepositoryFacts { forge_id: Some(9), ..facts("mona/hi") };
    let taken = store.repository_seen(taken, later(8)).await.expect("seen");
    let taken = store.repository(taken).await.expect("read").expect("there");
    assert_eq!(taken.place, "mona/hi~9", "what was put under the name before is not its own");
    assert_eq!(place::of(&*store, &secret("mona/hi")).await.expect("read"), Ok(secret("mona/hi~9")));
    let again = RepositoryFacts { forge_id: Some(8), ..facts("octo/hello") };
    let next = store.repository_seen(again, later(9)).await.expect("seen");
    let next = store.repository(next).await.expect("read").expect("there");
    assert_ne!((next.id, next.place.as_str()), (id, "octo/hello"), "whoever has the old name next");
}

pub(crate) async fn a_repository_that_was_made_anew_under_a_name_has_nothing_of_the_old_one(
    world: &impl World,
) {
    let store = world.open().await;
    let named = |name: &str| Scope::Repository(name.to_owned());
    assert_eq!(place::of(&*store, &named("octo/hello")).await.expect("read"), Ok(named("octo/hello")));
    let old = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let anew = RepositoryFacts { forge_id: Some(8), ..facts("octo/hello") };
    let new = store.repository_seen(anew.clone(), later(5)).await.expect("seen");
    assert_ne!(old, new);
    assert_eq!(store.repository_seen(anew, later(6)).await.expect("seen"), new, "from then on it is known");
    let new = store.repository(new).await.expect("read").expect("there");
    assert_eq!((new.facts.full_name.as_str(), new.place.as_str()), ("octo/hello", "octo/hello~8"));
    let old = store.repository(old).await.expect("read").expect("there");
    assert_eq!((old.facts.full_name.as_str(), old.place.as_str()), ("octo/hello~1", "octo/hello"));
    assert_eq!(place::of(&*store, &named("octo/hello")).await.expect("read"), Ok(named("octo/hello~8")));
    assert_eq!(place::of(&*store, &named("octo/hello~1")).await.expect("read"), Ok(named("octo/hello")));
    // It had been renamed, and nobody had said so yet.
    let renamed = RepositoryFacts { full_name: "octo/hi".to_owned(), ..facts("octo/hello") };
    assert_eq!(store.repository_seen(renamed, later(7)).await.expect("seen"), old.id);
    assert_eq!(place::of(&*store, &named("octo/hi")).await.expect("read"), Ok(named("octo/hello")));
}

pub(crate) async fn checking_reads_and_writes(world: &impl World) {
    world.open().await.check().await.expect("all is well");
}
