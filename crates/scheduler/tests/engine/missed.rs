//! Webhooks that nobody took.

use std::sync::Arc;
use std::time::Duration;

use ::forge::github::app::App;
use ::forge::github::client::{Auth, Client};
use model::{Conclusion, RunId, Secret, Timestamp};
use scheduler::reconcile::{Look, Reconciler};
use serde_json::{Value as Json, json};

use crate::forge::{FakeForge, Fault};
use crate::house::{House, Place, push};

const FLOW: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";
const HOOKS: &str = "/repos/octo/hello/hooks?";
const SENT: &str = "/repos/octo/hello/hooks/4/deliveries";
const MINUTE: Duration = Duration::from_secs(60);

fn token() -> Auth {
    Auth::Token(Secret("t".to_owned()))
}

/// What each life of the server has.
fn reconciler(house: &House, forge: &FakeForge, auth: Auth) -> Reconciler {
    let client = Client::new(&forge.url(), auth).expect("a client");
    let url = Some("https://ci.example.com".to_owned());
    Reconciler::new(house.store.clone(), client, url, Arc::new(|_| {}))
}

fn attempt(id: u64, guid: &str, status: u16) -> Json {
    let now = i64::try_from(Timestamp::now().0).expect("a number");
    let at = jiff::Timestamp::from_millisecond(now).expect("a moment").to_string();
    json!({"id": id, "guid": guid, "delivered_at": at, "status_code": status, "event": "push"})
}

fn hook(id: u64, url: &str) -> Json {
    json!({"id": id, "active": true, "config": {"url": url}})
}

/// A server that has run `d-1`, and a forge with a webhook that leads to it.
async fn begun(place: &Place, sha: &str) -> (House, FakeForge) {
    let (house, forge) = (place.house().await, FakeForge::start());
    house.deliver("d-1", "push", &push(sha)).await;
    house.ended(1).await;
    let elsewhere = hook(5, "https://ci.example.com.evil.example/webhook");
    forge.show(HOOKS, json!([hook(4, "https://ci.example.com/webhook"), elsewhere]));
    forge.show(SENT, json!([attempt(9, "before the first life", 502)]));
    (house, forge)
}

fn sent_again(forge: &FakeForge) -> Vec<String> {
    forge.heard().into_iter().map(|(what, _)| what).collect()
}

#[tokio::test]
async fn what_was_missed_while_the_server_was_down_is_sent_again_and_runs_once() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = begun(&place, &sha).await;
    let first = reconciler(&house, &forge, token()).look(Timestamp::now()).await.expect("looked");
    assert_eq!(first, Look::default());
    // The server is down, and comes up again. What it had taken before GitHub gave up on its answer is known.
    forge.show(SENT, json!([attempt(12, "d-2", 502), attempt(11, "d-1", 0), attempt(10, "d-0", 200)]));
    let mut next = reconciler(&house, &forge, token());
    let look = next.look(Timestamp::now()).await.expect("looked");
    assert_eq!(look, Look { sent_again: 1, ..Look::default() });
    assert_eq!(sent_again(&forge), ["POST /repos/octo/hello/hooks/4/deliveries/12/attempts"]);
    // GitHub does it, twice even.
    house.deliver("d-2", "push", &push(&sha)).await;
    house.deliver("d-2", "push", &push(&sha)).await;
    assert_eq!(house.ended(2).await.conclusion, Some(Conclusion::Success));
    let look = next.look(Timestamp::now()).await.expect("looked");
    assert_eq!((look, forge.heard().len()), (Look::default(), 1));
    house.engine.idle().await;
    assert_eq!(house.store.run(RunId(3)).await.expect("read"), None);
}

#[tokio::test]
async fn a_rate_limit_ends_the_look_and_the_next_one_goes_on() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = begun(&place, &sha).await;
    reconciler(&house, &forge, token()).look(Timestamp::now()).await.expect("looked");
    forge.show(SENT, json!([attempt(13, "d-3", 502), attempt(12, "d-2", 502)]));
    let reset = (Timestamp::now().0 / 1000 + 3600).to_string();
    forge.fail(move |what| {
        let headers = vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset.clone())];
        what.contains("/13/").then_some(Fault::Refuse(403, headers, "API rate limit exceeded"))
    });
    let look = reconciler(&house, &forge, token()).look(Timestamp::now()).await.expect("looked");
    assert_eq!((look.sent_again, look.left), (1, 1));
    assert!(look.limited.is_some_and(|wait| wait > 50 * MINUTE), "{look:?}");
    house.deliver("d-2", "push", &push(&sha)).await;
    // An hour later; attempts that old are still looked at, since they are not done with.
    forge.answer_with(None);
    let later = Timestamp::now().after(61 * MINUTE);
    let look = reconciler(&house, &forge, token()).look(later).await.expect("looked");
    assert_eq!(look, Look { sent_again: 1, ..Look::default() });
    let attempts = ["12", "13"].map(|id| format!("POST /repos/octo/hello/hooks/4/deliveries/{id}/attempts"));
    assert_eq!(sent_again(&forge), attempts);
}

#[tokio::test]
async fn a_forge_that_is_down_is_asked_again_later_from_where_it_was() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = begun(&place, &sha).await;
    reconciler(&house, &forge, token()).look(Timestamp::now()).await.expect("looked");
    forge.show(SENT, json!([attempt(12, "d-2", 502)]));
    forge.answer_with(Some(401));
    let mut next = reconciler(&house, &forge, token());
    let look = next.look(Timestamp::now()).await.expect("looked");
    assert_eq!(
        look,
        Look { failed: 2, ..Look::default() },
        "what its organisation has, and what it has itself"
    );
    forge.answer_with(None);
    assert_eq!(next.look(Timestamp::now()).await.expect("looked").sent_again, 1);
}

#[tokio::test]
async fn a_token_that_may_not_see_webhooks_is_not_asked_with_each_time() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = begun(&place, &sha).await;
    forge.answer_with(Some(404));
    let mut reconciler = reconciler(&house, &forge, token());
    let now = Timestamp::now();
    for minutes in [0, 10, 350] {
        assert_eq!(reconciler.look(now.after(minutes * MINUTE)).await.expect("looked"), Look::default());
    }
    assert_eq!(forge.asked().len(), 2, "its organisation's and its own");
    reconciler.look(now.after(361 * MINUTE)).await.expect("looked");
    assert_eq!(forge.asked().len(), 4);
}

#[tokio::test]
async fn an_organisation_is_asked_for_its_webhooks_once_for_all_its_repositories() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = begun(&place, &sha).await;
    let mut other = push(&sha);
    other["repository"]["id"] = json!(8);
    other["repository"]["full_name"] = json!("octo/other");
    place.copy("other");
    house.deliver("d-2", "push", &other).await;
    house.ended(2).await;
    forge.show(HOOKS, json!([]));
    forge.show("/repos/octo/other/hooks?", json!([]));
    forge.show("/orgs/octo/hooks?", json!([hook(6, "https://ci.example.com/webhook")]));
    forge.show("/orgs/octo/hooks/6/deliveries", json!([]));
    let mut reconciler = reconciler(&house, &forge, token());
    reconciler.look(Timestamp::now()).await.expect("looked");
    forge.show("/orgs/octo/hooks/6/deliveries", json!([attempt(7, "d-3", 502)]));
    let look = reconciler.look(Timestamp::now()).await.expect("looked");
    assert_eq!(look, Look { sent_again: 1, ..Look::default() });
    assert_eq!(sent_again(&forge), ["POST /orgs/octo/hooks/6/deliveries/7/attempts"]);
}

#[tokio::test]
async fn an_app_is_asked_for_its_own_webhook() {
    let place = Place::new(FLOW);
    let (house, forge) = (place.house().await, FakeForge::start());
    let key = include_str!("../../../forge/src/github/app/test_key_pkcs1.pem");
    let app = Arc::new(App::new("Iv1.abc", &Secret(key.to_owned())).expect("an App"));
    let mut reconciler = reconciler(&house, &forge, Auth::App(app));
    reconciler.look(Timestamp::now()).await.expect("looked");
    forge.show("/app/hook/deliveries", json!([attempt(7, "d-1", 0)]));
    assert_eq!(reconciler.look(Timestamp::now()).await.expect("looked").sent_again, 1);
    assert_eq!(sent_again(&forge), ["POST /app/hook/deliveries/7/attempts"]);
}
