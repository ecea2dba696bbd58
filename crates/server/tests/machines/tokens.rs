//! Who is let in.

use axum::http::{Method, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use server::client::Client;
use server::machines::token::{Caller, Key};

use crate::fixture::{Api, Server, token};

#[tokio::test]
async fn a_token_that_is_missing_forged_unsigned_or_over_is_refused_on_every_route() {
    let server = Server::start().await;
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let claims = part(r#"{"sub":"ann","exp":4102444800}"#);
    let none = format!("{}.{claims}.", part(r#"{"alg":"none"}"#));
    let ann = Caller { subject: "ann".into(), tier: "default".into() };
    let forged = Key::new(&[1; 32]).unwrap().mint(&ann, 4_102_444_800);
    let cases = [
        (token("ann", "default", -1), "expired"),
        (forged, "signature"),
        (none, "HS256"),
        ("nonsense".to_owned(), "not a JSON Web Token"),
    ];
    for (token, reason) in &cases {
        let api = server.bearer(token);
        for (method, path) in routes() {
            let answer = api.send(method.clone(), path, "").await;
            assert!(answer.refused(401).contains(reason), "{method} {path}");
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        }
    }
    let nobody = Api { client: Client::new(&format!("http://{}", server.address), None).unwrap() };
    for (method, path) in routes() {
        assert!(nobody.send(method.clone(), path, "").await.refused(401).contains("Authorization"));
    }
    assert_eq!(server.driver.started(), 0);
}

/// Every route that needs a token.
fn routes() -> Vec<(Method, &'static str)> {
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    vec![
        (get.clone(), "/api/vms"),
        (post.clone(), "/api/vms"),
        (get.clone(), "/api/vms/x"),
        (delete.clone(), "/api/vms/x"),
        (get.clone(), "/api/vms/x/logs"),
        (post.clone(), "/api/vms/x/exec"),
        (get.clone(), "/api/vms/x/shell"),
        (get.clone(), "/api/vms/x/files?path=a"),
        (put.clone(), "/api/vms/x/files?path=a"),
        (delete.clone(), "/api/vms/x/files?path=a"),
        (get.clone(), "/api/vms/x/archive?path=a"),
        (put, "/api/vms/x/archive?path=a"),
        (get.clone(), "/api/vms/x/snapshots"),
        (post.clone(), "/api/vms/x/snapshots"),
        (delete, "/api/vms/x/snapshots/y"),
        (post.clone(), "/api/vms/x/rollback/y"),
        (post, "/api/llm/execute"),
        (get, "/api/pool"),
    ]
}

#[tokio::test]
async fn a_tier_that_the_server_does_not_know_is_refused() {
    let server = Server::start().await;
    let refused = server.client("ann", "platinum").post("/api/vms", json!({})).await.refused(403);
    assert!(refused.contains("platinum"), "{refused}");
    assert_eq!(server.driver.started(), 0);
}
