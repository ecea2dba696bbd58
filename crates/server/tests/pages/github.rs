//! Signing in at GitHub, which a small server stands in for.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use forge::github::oauth::{Group, OAuthApp};
use model::Secret;
use serde_json::{Value, json};
use server::auth::Role;
use server::auth::people::{People, Who};
use tokio::net::TcpListener;

use crate::world::World;
use crate::{Answer, Browser};

/// What was sent to change a code for a token.
type Codes = Arc<Mutex<Vec<Value>>>;

/// Mona is a member of octo, and invited to its team.
async fn github(codes: Codes) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new()
        .route("/login/oauth/access_token", post(token))
        .route("/user", get(async |headers: HeaderMap| user(&headers)))
        .route("/user/memberships/orgs/{name}", get(organisation))
        .route("/orgs/octo/teams/core/memberships/mona", get(async || Json(json!({"state": "pending"}))))
        .with_state(codes);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn token(State(codes): State<Codes>, headers: HeaderMap, Json(body): Json<Value>) -> Json<Value> {
    assert_eq!(headers["accept"], "application/json", "GitHub answers in another form otherwise");
    codes.lock().expect("whole").push(body.clone());
    Json(match body["code"].as_str() {
        Some("good") => json!({"access_token": "gho_1", "token_type": "bearer", "scope": "read:org"}),
        _ => {
            json!({"error": "bad_verification_code", "error_description": "The code is incorrect or expired."})
        }
    })
}

fn user(headers: &HeaderMap) -> Result<Json<Value>, StatusCode> {
    match headers.get("authorization").is_some_and(|token| token == "Bearer gho_1") {
        true => Ok(Json(json!({"login": "mona", "id": 2}))),
        false => Err(StatusCode::UNAUTHORIZED),
    }
}

async fn organisation(Path(name): Path<String>) -> Result<Json<Value>, StatusCode> {
    if name == "octo" { Ok(Json(json!({"state": "active"}))) } else { Err(StatusCode::NOT_FOUND) }
}

struct Place {
    world: World,
    pages: server::pages::Pages,
    codes: Codes,
}

impl Place {
    async fn new(roles: Vec<(Who, Role)>) -> Place {
        let (world, codes) = (World::new().await, Codes::default());
        let url = github(Arc::clone(&codes)).await;
        let app = OAuthApp {
            server: url.clone(),
            api: url,
            client_id: "Ov23".to_owned(),
            client_secret: Secret("hidden".to_owned()),
        };
        let pages = world.pages_with(false, Some(People::new(app, roles, "https://ci.example.org")));
        Place { world, pages, codes }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        let browser = Browser { router: self.pages.router(), cookie: cookie.to_owned() };
        browser.get(path).await
    }

    /// Sets out; the state, and the cookie.
    async fn leave(&self, next: &str) -> (String, String) {
        let answer = self.get(&format!("/sign-in/github?next={next}"), "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let address = answer.header("location");
        for part in ["client_id=Ov23", "code_challenge_method=S256", "sign-in%2Fgithub%2Fback"] {
            assert!(address.contains(part), "{part} is not in {address}");
        }
        let state = address.split("&state=").nth(1).and_then(|rest| rest.split('&').next()).expect("a state");
        let cookie = answer.header("set-cookie");
        assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        (state.to_owned(), cookie.split(';').next().expect("a pair").to_owned())
    }
}

fn member(role: Role) -> (Who, Role) {
    (Who::Group(Group::Organisation("octo".to_owned())), role)
}

#[tokio::test]
async fn a_member_signs_in_at_github_and_comes_where_they_wanted_with_their_role() {
    let core = Group::Team("octo".to_owned(), "core".to_owned());
    let place = Place::new(vec![member(Role::Operate), (Who::Group(core), Role::Admin)]).await;
    let hello = place.world.repository("octo/hello").await;
    let run = place.world.run(hello, 5, |_| {}).await.id;
    let (state, cookie) = place.leave(&format!("/runs/{run}")).await;
    let back = place.get(&format!("/sign-in/github/back?code=good&state={state}"), &cookie).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    assert!(back.text.contains(&format!("url=/runs/{run}\"")), "{}", back.text);
    let session = back.header("set-cookie");
    assert!(session.starts_with("hearth=") && session.contains("SameSite=Strict"), "{session}");

    let sent = place.codes.lock().expect("whole")[0].clone();
    assert_eq!(
        (&sent["client_secret"], sent["code_verifier"].as_str().map(str::len)),
        (&json!("hidden"), Some(43))
    );

    let session = session.split(';').next().expect("a pair");
    let page = place.get(&format!("/runs/{run}"), session).await;
    assert!(page.text.contains("@mona"), "{}", page.text);
    assert!(page.text.contains("data-action=\"cancel\""), "who may operate has buttons");
    let settings = place.get("/settings", session).await;
    assert!(settings.text.contains("yours is operate"), "an invitation to a team is no membership");
}

#[tokio::test]
async fn who_is_refused_at_github_or_has_no_role_here_is_told_what_to_do() {
    let place = Place::new(vec![(Who::Login("hubot".to_owned()), Role::Admin)]).await;
    for (answer, status, words) in [
        ("error=access_denied", StatusCode::FORBIDDEN, "was not allowed to say who you are"),
        ("code=bad", StatusCode::BAD_GATEWAY, "The code is incorrect or expired"),
        ("code=good", StatusCode::FORBIDDEN, "Mona has no role on this server"),
    ] {
        let (state, cookie) = place.leave("/").await;
        let back = place.get(&format!("/sign-in/github/back?{answer}&state={state}"), &cookie).await;
        assert_eq!(back.status, status, "{answer}");
        assert!(back.text.contains(words) && back.text.contains("Try again"), "{answer}: {}", back.text);
        assert!(!back.header("set-cookie").starts_with("hearth="), "{answer} begins no session");
    }
    let (state, _) = place.leave("/").await;
    let foreign = place.get(&format!("/sign-in/github/back?code=good&state={state}"), "").await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST);
    assert!(foreign.text.contains("was not begun in this browser"), "{}", foreign.text);
}

#[tokio::test]
async fn without_an_app_nobody_is_sent_to_github() {
    let world = World::new().await;
    let browser = Browser::nobody(&world);
    let page = browser.get("/sign-in").await;
    assert!(!page.text.contains("GitHub"), "{}", page.text);
    assert_eq!(browser.get("/sign-in/github").await.status, StatusCode::NOT_FOUND);
}
