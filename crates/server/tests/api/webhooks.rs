//! What GitHub tells.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use axum::http::Method;
use forge::github::signature::{Secrets, sign};
use model::{DeliveryState, Timestamp};
use server::rate::Rate;
use server::webhook::{Allowed, BODY_BYTES};
use store::Store;
use store::record::Expansion;

use crate::fixture::{SECRET, World};

const PUSH: &str = r#"{"ref": "refs/heads/main", "repository": {"full_name": "octo/hello"}}"#;

#[tokio::test]
async fn a_push_is_durable_when_it_is_answered() {
    let world = World::start().await;
    let answer = world.webhook("push", "guid-1", PUSH).await.is(200).json();
    assert_eq!(answer["message"], "Push webhook received for refs/heads/main");
    assert_eq!(answer["status"], "success");
    assert_eq!(world.control.nudges(), 1);
    let due = world.store.due_deliveries(Timestamp::now(), Vec::new(), 9).await.unwrap();
    let [delivery] = &due[..] else { panic!("{due:?}") };
    assert_eq!((delivery.guid.as_str(), delivery.event.as_str()), ("guid-1", "push"));
    assert_eq!(delivery.repository.as_deref(), Some("octo/hello"));
    let (_, payload) = world.store.delivery(delivery.id).await.unwrap().unwrap();
    assert_eq!(payload, PUSH.as_bytes());
}

#[tokio::test]
async fn the_answers_are_those_that_clients_know() {
    let world = World::start().await;
    let cases = [
        (
            "pull_request",
            r#"{"action":"opened"}"#,
            "Pull request webhook received and workflow execution started",
        ),
        ("pull_request", r#"{"action":"closed"}"#, "Webhook received (action=closed)"),
        ("ping", "{}", "Webhook received (action=none)"),
        ("brand_new_event", r#"{"action":"made"}"#, "Webhook received (action=made)"),
    ];
    for (number, (event, body, message)) in cases.into_iter().enumerate() {
        let answer = world.webhook(event, &format!("g{number}"), body).await.is(200).json();
        assert_eq!(answer["message"], message);
        assert_eq!(answer["status"], if number == 0 { "success" } else { "acknowledged" });
    }
    let client = world.github("ping", "g9", "{}");
    assert_eq!(client.open(Method::POST, "/webhooks/github", "{}").await.status(), 200);
}

#[tokio::test]
async fn a_delivery_that_is_sent_again_is_answered_and_not_run_twice() {
    let world = World::start().await;
    world.webhook("push", "guid-1", PUSH).await.is(200);
    let id = world.store.deliveries(None, 9).await.unwrap()[0].id;
    let again = world.webhook("push", "guid-1", PUSH).await.is(200).json();
    assert_eq!(again["message"], "Webhook guid-1 was received before (received); nothing is run twice");
    world.store.expand(id, Expansion::Ignored("a test".to_owned()), Timestamp::now()).await.unwrap();
    let again = world.webhook("push", "guid-1", PUSH).await.is(200).json();
    assert!(again["message"].as_str().unwrap().contains("(ignored)"), "{again}");
    assert_eq!(world.store.deliveries(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_delivery_that_failed_is_received_anew() {
    let world = World::start().await;
    world.webhook("push", "guid-1", PUSH).await.is(200);
    let id = world.store.deliveries(None, 9).await.unwrap()[0].id;
    world.store.expand(id, Expansion::Failed("a test".to_owned()), Timestamp::now()).await.unwrap();
    let again = world.webhook("push", "guid-1", PUSH).await.is(200).json();
    assert_eq!(again["status"], "success");
    assert_eq!(world.store.deliveries(None, 9).await.unwrap()[0].state, DeliveryState::Received);
}

#[tokio::test]
async fn a_delivery_without_an_id_is_known_by_what_it_says() {
    let world = World::start().await;
    for _ in 0..2 {
        let client = world.github("push", "x", PUSH).without("x-github-delivery");
        client.send(Method::POST, "/webhook", PUSH).await.is(200);
    }
    assert_eq!(world.store.deliveries(None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_signed_with_a_secret_is_refused_and_not_looked_at() {
    let world = World::start().await;
    let client = world.github("push", "guid-1", PUSH);
    let unsigned = client.clone().without("x-hub-signature-256");
    let reason = unsigned.send(Method::POST, "/webhook", PUSH).await.refused(400);
    assert!(reason.contains("X-Hub-Signature-256"), "{reason}");
    let odd = client.clone().and("x-hub-signature-256", "sha256=ä");
    odd.send(Method::POST, "/webhook", PUSH).await.refused(400);
    let wrong = client.clone().and("x-hub-signature-256", &sign("another", PUSH.as_bytes()));
    let reason = wrong.send(Method::POST, "/webhook", PUSH).await.refused(403);
    assert!(reason.contains("none of the secrets"), "{reason}");
    // The signature of something else, and a body that is no JSON: the first is what is said.
    client.send(Method::POST, "/webhook", "nonsense").await.refused(403);
    assert!(world.store.deliveries(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn while_a_secret_is_changed_both_are_good() {
    let world = World::start_with(|parts| {
        parts.webhook.secrets = Secrets::new(["new", SECRET]).unwrap();
    });
    let world = world.await;
    world.webhook("ping", "g1", "{}").await.is(200);
    let client = world.github("ping", "g2", "{}").and("x-hub-signature-256", &sign("new", b"{}"));
    client.send(Method::POST, "/webhook", "{}").await.is(200);
}

#[tokio::test]
async fn what_is_signed_and_yet_no_webhook_is_refused_with_the_reason() {
    let world = World::start().await;
    for body in ["", "[]", "nonsense", r#"{"a":"#] {
        assert!(world.webhook("push", "g", body).await.refused(400).contains("JSON"), "{body}");
    }
    let client = world.github("push", "g", "{}");
    let send = async |client: crate::fixture::Client| client.send(Method::POST, "/webhook", "{}").await;
    assert!(send(client.clone().without("x-github-event")).await.refused(400).contains("X-GitHub-Event"));
    send(client.clone().and("x-github-event", "../push")).await.refused(400);
    send(client.clone().and("x-github-event", &"x".repeat(65))).await.refused(400);
    send(client.clone().and("x-github-delivery", "a b")).await.refused(400);
    let reason = send(client.clone().and("content-type", "text/xml")).await.refused(400);
    assert!(reason.contains("application/json"), "{reason}");
    assert!(world.store.deliveries(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_form_is_taken_as_github_sends_it() {
    let world = World::start().await;
    let body = "payload=%7B%22ref%22%3A+%22refs%2Fheads%2Fmain%22%7D";
    let client = world.github("push", "g", body).and("content-type", "application/x-www-form-urlencoded");
    let answer = client.send(Method::POST, "/webhook", body).await.is(200).json();
    assert_eq!(answer["message"], "Push webhook received for refs/heads/main");
    let id = world.store.deliveries(None, 9).await.unwrap()[0].id;
    let (_, payload) = world.store.delivery(id).await.unwrap().unwrap();
    assert_eq!(payload, br#"{"ref": "refs/heads/main"}"#);
}

#[tokio::test]
async fn the_largest_webhook_of_github_is_taken_and_no_larger_one() {
    let world = World::start().await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(BODY_BYTES - 8));
    assert_eq!(body.len(), BODY_BYTES);
    world.webhook("push", "g", &body).await.is(200);
    let larger = format!("{body} ");
    world.webhook("push", "g2", &larger).await.refused(413);
    // The same without saying how long it is.
    let chunks: Vec<_> =
        larger.as_bytes().chunks(65_536).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let stream = axum::body::Body::from_stream(futures_util::stream::iter(chunks));
    world.github("push", "g2", &larger).send(Method::POST, "/webhook", stream).await.refused(413);
}

#[tokio::test]
async fn a_webhook_that_can_not_be_kept_is_not_acknowledged() {
    let world = World::start().await;
    world.store.is_full.store(true, Ordering::SeqCst);
    let answer = world.webhook("push", "g", PUSH).await;
    assert_eq!(answer.headers["retry-after"], "30");
    assert!(answer.refused(503).contains("no room left"));
    world.store.is_full.store(false, Ordering::SeqCst);
    world.webhook("push", "g", PUSH).await.is(200);
}

#[tokio::test]
async fn no_acknowledged_delivery_is_lost_whatever_the_store_does() {
    let world = World::start().await;
    world.store.is_flaky.store(true, Ordering::SeqCst);
    let mut acknowledged = BTreeSet::new();
    for number in 0..100 {
        let guid = format!("g{number}");
        match world.webhook("push", &guid, PUSH).await.status {
            200 => assert!(acknowledged.insert(guid)),
            503 => {}
            status => panic!("{status}"),
        }
    }
    let kept = world.store.due_deliveries(Timestamp::now(), Vec::new(), 1000).await.unwrap();
    let kept: BTreeSet<String> = kept.into_iter().map(|delivery| delivery.guid).collect();
    assert_eq!(acknowledged.len(), 50);
    assert!(acknowledged.is_subset(&kept), "{acknowledged:?} {kept:?}");
    // GitHub's own button sends the others again; those that were written are not written twice.
    world.store.is_flaky.store(false, Ordering::SeqCst);
    for number in 0..100 {
        world.webhook("push", &format!("g{number}"), PUSH).await.is(200);
    }
    assert_eq!(world.store.due_deliveries(Timestamp::now(), Vec::new(), 1000).await.unwrap().len(), 100);
}

#[tokio::test]
async fn who_guesses_secrets_is_held_back_and_nobody_else() {
    let world = World::start_with(|parts| parts.webhook.refused_rate = Rate { per_minute: 3 }).await;
    let guess = world.github("push", "g", PUSH).and("x-hub-signature-256", &sign("guess", PUSH.as_bytes()));
    let guess = guess.and("x-forwarded-for", "198.51.100.7");
    for _ in 0..3 {
        guess.send(Method::POST, "/webhook", PUSH).await.refused(403);
    }
    let answer = guess.send(Method::POST, "/webhook", PUSH).await;
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    answer.refused(429);
    world.webhook("push", "g", PUSH).await.is(200);
}

/// Anybody can have GitHub send webhooks here, signed with a secret of their own, from GitHub's addresses.
#[tokio::test]
async fn wrongly_signed_webhooks_keep_none_out_that_are_rightly_signed_from_the_same_address() {
    let world = World::start_with(|parts| parts.webhook.refused_rate = Rate { per_minute: 3 }).await;
    let wrong = sign("another", PUSH.as_bytes());
    let flood = world.github("push", "g", PUSH).and("x-hub-signature-256", &wrong);
    for _ in 0..3 {
        flood.send(Method::POST, "/webhook", PUSH).await.refused(403);
    }
    flood.send(Method::POST, "/webhook", PUSH).await.refused(429);
    world.webhook("push", "g1", PUSH).await.is(200);
    // Large ones as well, though they wait for one another.
    let large = format!("{PUSH}{}", " ".repeat(1024 * 1024));
    world.webhook("push", "g2", &large).await.is(200);
    flood.send(Method::POST, "/webhook", PUSH).await.refused(429);
}

#[tokio::test]
async fn a_webhook_without_a_signature_is_refused_before_its_body_is_read() {
    let world = World::start_with(|parts| parts.webhook.refused_rate = Rate { per_minute: 1 }).await;
    for status in [400, 429] {
        let endless = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let body = axum::body::Body::from_stream(endless);
        let unsigned = world.github("push", "g", PUSH).and("x-hub-signature-256", "none");
        unsigned.send(Method::POST, "/webhook", body).await.refused(status);
    }
}

#[tokio::test]
async fn an_address_may_send_so_many_where_the_operator_says_so() {
    let world = World::start_with(|parts| parts.webhook.rate = Some(Rate { per_minute: 2 })).await;
    world.webhook("push", "g1", PUSH).await.is(200);
    world.webhook("push", "g2", PUSH).await.is(200);
    world.webhook("push", "g3", PUSH).await.refused(429);
}

#[tokio::test]
async fn webhooks_are_taken_from_allowed_addresses_which_may_change() {
    let allowed = Allowed::only(vec!["192.0.2.0/24".parse().unwrap()]);
    let world = World::start_with(|parts| parts.webhook.allowed = allowed.clone()).await;
    let reason = world.webhook("push", "g", PUSH).await.refused(403);
    assert!(reason.contains("127.0.0.1"), "{reason}");
    let github = world.github("push", "g", PUSH).and("x-forwarded-for", "192.0.2.5");
    github.send(Method::POST, "/webhook", PUSH).await.is(200);
    allowed.replace(Some(vec!["127.0.0.0/8".parse().unwrap()]));
    world.webhook("push", "g2", PUSH).await.is(200);
    github.send(Method::POST, "/webhook", PUSH).await.refused(403);
    allowed.replace(None);
    github.send(Method::POST, "/webhook", PUSH).await.is(200);
}
