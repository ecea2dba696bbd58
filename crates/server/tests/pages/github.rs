//! Signing in at GitHub, which a small server stands in for.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::{get, post};
use forge::github::oauth::{Group, OAuthApp};
use model::Secret;
use serde_json::{Value, json};
use server::auth::Role;
use server::auth::people::{People, Who};
use server::http::Peer;
use store::Change;
use tokio::net::TcpListener;

use crate::world::World;
use crate::{Answer, Browser, send};

/// What was sent to change a code for a token.
type Codes = Arc<Mutex<Vec<Value>>>;

/// Mona's number.
const MONA: u64 = 2;

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
        true => Ok(Json(json!({"login": "mona", "id": MONA}))),
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

fn login(login: &str, id: Option<u64>) -> (Who, Role) {
    (Who::Login { login: login.to_owned(), id }, Role::Operate)
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
    let place = Place::new(vec![login("hubot", None)]).await;
    for (answer, status, words) in [
        ("error=access_denied", StatusCode::FORBIDDEN, "was not allowed to say who you are"),
        ("code=bad", StatusCode::BAD_GATEWAY, "The code is incorrect or expired"),
        ("code=good", StatusCode::FORBIDDEN, "@mona has no role on this server"),
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
async fn a_login_means_the_account_that_signed_in_first_or_the_one_that_is_named() {
    let arrive = async |place: &Place| {
        let (state, cookie) = place.leave("/").await;
        place.get(&format!("/sign-in/github/back?code=good&state={state}"), &cookie).await
    };
    for _ in 0..2 {
        let place = Place::new(vec![login("mona", Some(MONA)), member(Role::Read)]).await;
        assert_eq!(arrive(&place).await.status, StatusCode::OK);
        assert_eq!(arrive(&place).await.status, StatusCode::OK, "the same again");
    }
    let another = |id: u64| Change::Setting { key: "person/mona".to_owned(), value: json!(id) };
    for roles in [vec![login("mona", None)], vec![member(Role::Operate)]] {
        let place = Place::new(roles).await;
        place.world.store.apply(vec![another(MONA + 1)]).await.expect("written");
        let back = arrive(&place).await;
        assert_eq!(back.status, StatusCode::FORBIDDEN, "whatever gives them a role");
        assert!(back.text.contains("Another GitHub account was mona here before"), "{}", back.text);
        assert!(!back.header("set-cookie").starts_with("hearth="));
    }
    let place = Place::new(vec![login("mona", Some(MONA))]).await;
    place.world.store.apply(vec![another(MONA + 1)]).await.expect("written");
    assert_eq!(arrive(&place).await.status, StatusCode::OK, "the operator says so");
    let place = Place::new(vec![login("mona", Some(MONA + 1))]).await;
    assert!(arrive(&place).await.text.contains("@mona has no role on this server"));
}

#[tokio::test]
async fn who_sets_out_to_github_again_and_again_is_held_back_and_nobody_else_is() {
    let place = Place::new(vec![member(Role::Read)]).await;
    let from = async |address: &str| {
        let request = Request::get("/sign-in/github").header("x-forwarded-for", address);
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(Peer(([127, 0, 0, 1], 9).into()));
        send(&place.pages.router(), request).await
    };
    for _ in 0..60 {
        assert_eq!(from("192.0.2.1").await.status, StatusCode::SEE_OTHER);
    }
    let held = from("192.0.2.1").await;
    assert_eq!((held.status, held.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert!(held.text.contains("Too many have set out"), "{}", held.text);
    assert_eq!(from("192.0.2.2").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn without_an_app_nobody_is_sent_to_github() {
    let world = World::new().await;
    let browser = Browser::nobody(&world);
    let page = browser.get("/sign-in").await;
    assert!(!page.text.contains("GitHub"), "{}", page.text);
    assert_eq!(browser.get("/sign-in/github").await.status, StatusCode::NOT_FOUND);
}
