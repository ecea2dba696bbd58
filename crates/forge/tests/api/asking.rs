//! Questions, and webhooks that got lost.

use forge::github::client::Auth;
use forge::github::deliveries::{Holder, Hook, missed, redeliver, since};
use forge::github::questions::{
    AppFacts, Permission, app, comment, installation, installed, permission, pull_request, repository, revoke,
};
use serde_json::json;

use crate::server::{Reply, Server};
use crate::{hasty, token};

fn hello() -> forge::RepositoryName {
    "octo/hello".parse().unwrap()
}

#[tokio::test]
async fn deliveries_are_listed_back_to_a_time_and_sent_again() {
    let server = Server::start(|asked, _| {
        if asked.line.starts_with("POST") {
            return Reply::json(202, json!({}));
        }
        let host = &asked.headers["host"];
        let delivery = |id: u64, time: &str, status: u16| {
            json!({"id": id, "guid": format!("g{id}"), "delivered_at": time, "status_code": status, "event": "push"})
        };
        let (page, next) = if asked.line.contains("cursor=v1_2") {
            (vec![delivery(2, "2026-11-21T10:00:00Z", 500), delivery(1, "2026-11-21T09:00:00Z", 500)], None)
        } else {
            let next = format!("<http://{host}/repos/octo/hello/hooks/4/deliveries?cursor=v1_2>; rel=\"next\"");
            (vec![delivery(4, "2026-11-21T12:00:00.5Z", 200), delivery(3, "2026-11-21T11:00:00Z", 0)], Some(next))
        };
        let links = next.map(|next| ("link", next)).into_iter().collect();
        Reply::Say(200, links, json!(page).to_string())
    })
    .await;
    let client = hasty(&server, token());
    let hook = Hook::Of { holder: Holder::Repository(hello()), hook: 4 };
    let ten: jiff::Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
    let found = since(&client, &hook, u64::try_from(ten.as_second()).unwrap()).await.unwrap();
    assert_eq!(found.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), [4, 3, 2]);
    let ids = missed(&found, |_| false);
    assert_eq!(ids, [2, 3]);
    redeliver(&client, &hook, ids[0]).await.unwrap();
    let last = server.asked().pop().unwrap();
    assert_eq!(last.line, "POST /repos/octo/hello/hooks/4/deliveries/2/attempts");
    assert!(!last.headers.contains_key("content-type"), "GitHub's schema has no body here");
    since(&client, &Hook::App, 0).await.unwrap();
    assert!(server.lines().contains(&"GET /app/hook/deliveries?per_page=100".to_owned()));
}

#[tokio::test]
async fn what_somebody_may_do_is_asked_by_a_name_that_stays_one() {
    let server = Server::start(|asked, _| match asked.line.rsplit('/').nth(1).unwrap() {
        "mona" => Reply::json(200, json!({"permission": "write", "role_name": "maintain"})),
        "bot%5Bbot%5D" => Reply::json(200, json!({"permission": "read"})),
        "odd" => Reply::json(200, json!({"permission": "brand new"})),
        _ => Reply::json(404, json!({"message": "Not Found"})),
    })
    .await;
    let client = hasty(&server, token());
    let name = hello();
    for (login, expected) in [
        ("mona", Permission::Write),
        ("bot[bot]", Permission::Read),
        ("odd", Permission::None),
        ("../../user", Permission::None),
    ] {
        assert_eq!(permission(&client, &name, login).await.unwrap(), expected, "{login}");
    }
    assert!(Permission::Write > Permission::Read);
}

#[tokio::test]
async fn repositories_and_pull_requests_are_read_and_comments_written() {
    let server = Server::start(|asked, _| match asked.line.as_str() {
        "GET /repos/octo/hello" => Reply::json(
            200,
            json!({"id": 5, "full_name": "octo/renamed", "default_branch": "trunk", "private": false}),
        ),
        "GET /app" => Reply::json(200, json!({"id": 3, "slug": "hearth-octo", "client_id": "Iv1.abc"})),
        "GET /repos/octo/hello/installation" => Reply::json(200, json!({"id": 9})),
        "GET /repos/octo/other/installation" => Reply::json(404, json!({"message": "Not Found"})),
        "GET /repos/octo/hello/pulls/7" => {
            Reply::json(200, json!({"state": "open", "mergeable": null, "head": {"sha": "a"}}))
        }
        _ => Reply::json(201, json!({"id": 11})),
    })
    .await;
    let client = hasty(&server, Auth::Nobody);
    let name = hello();
    let found = repository(&client, &name).await.unwrap();
    assert_eq!((found.name.as_str(), found.default_branch.as_deref()), ("octo/renamed", Some("trunk")));
    assert!(!found.private);
    assert_eq!(installation(&client, &name).await.unwrap(), Some(9));
    assert_eq!(installation(&client, &"octo/other".parse().unwrap()).await.unwrap(), None);
    assert_eq!(app(&client).await.unwrap(), AppFacts { id: 3, slug: "hearth-octo".into() });
    let pull = pull_request(&client, &name, 7).await.unwrap();
    assert_eq!((pull.is_open, pull.mergeable, pull.head_sha.as_str()), (true, None, "a"));
    assert_eq!(comment(&client, &name, 7, "hello").await.unwrap(), 11);
    let last = server.asked().pop().unwrap();
    assert_eq!(
        (last.line.as_str(), last.body),
        ("POST /repos/octo/hello/issues/7/comments", json!({"body": "hello"}))
    );
}

#[tokio::test]
async fn what_an_installation_may_do_is_asked_and_a_token_is_ended_by_its_holder() {
    let server = Server::start(|asked, before| match asked.line.as_str() {
        "GET /app/installations/9" => Reply::json(200, json!({"permissions": {"contents": "write"}})),
        "GET /app/installations/10" => Reply::json(200, json!({})),
        "DELETE /installation/token" if before < 3 => Reply::Say(204, vec![], String::new()),
        _ => Reply::json(401, json!({"message": "Bad credentials"})),
    })
    .await;
    let client = hasty(&server, token());
    assert_eq!(installed(&client, 9).await.unwrap()["contents"], "write");
    let error = installed(&client, 10).await.unwrap_err().to_string();
    assert!(error.contains("it has no permissions"), "{error}");
    let job = client.holding(model::Secret("ghs_job".to_owned()));
    revoke(&job).await.unwrap();
    assert_eq!(server.asked()[2].headers["authorization"], "Bearer ghs_job");
    revoke(&job).await.expect("one that has ended already is ended");
}
