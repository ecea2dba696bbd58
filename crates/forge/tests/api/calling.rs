//! One call: what is sent, and what is done about failures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forge::github::app::App;
use forge::github::app::tokens::TokenRequest;
use forge::github::client::{Auth, Call, Client, ClientError, Observed};
use model::Secret;
use serde_json::{Value as Json, json};

use crate::server::{Reply, Server};
use crate::{HASTE, hasty, token};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn read() -> Call {
    Call::get("/repos/octo/hello", "read octo/hello")
}

fn make() -> Call {
    Call::post("/repos/octo/hello/issues/7/comments", "comment on octo/hello#7", json!({"body": "hi"}))
}

fn ok() -> Reply {
    Reply::json(200, json!({"id": 1}))
}

#[tokio::test]
async fn a_call_says_who_asks_and_for_which_version() {
    let server = Server::start(|_, _| ok()).await;
    assert_eq!(hasty(&server, token()).call(&make()).await.unwrap().body["id"], 1);
    let asked = server.asked().remove(0);
    assert_eq!(asked.line, "POST /repos/octo/hello/issues/7/comments");
    assert_eq!(asked.body, json!({"body": "hi"}));
    for (name, value) in [
        ("authorization", "Bearer ghp_secretsecret"),
        ("x-github-api-version", "2022-11-28"),
        ("accept", "application/vnd.github+json, application/json"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(asked.headers[name], value);
    }
    assert!(asked.headers["user-agent"].starts_with("hearth/"));
    hasty(&server, Auth::Nobody).call(&read()).await.unwrap();
    assert!(!server.asked()[1].headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_api_below_a_path_is_called_there() {
    let server = Server::start(|_, _| ok()).await;
    let client = Client::new(&format!("{}/api/v3/", server.address), token()).unwrap();
    client.call(&read()).await.unwrap();
    assert_eq!(server.lines(), ["GET /api/v3/repos/octo/hello"]);
}

#[tokio::test]
async fn a_server_that_stumbles_is_asked_again() {
    let server = Server::start(|_, before| match before {
        0 => Reply::json(502, json!({"message": "Server Error"})),
        1 => Reply::Cut,
        2 => Reply::Silent,
        _ => ok(),
    })
    .await;
    hasty(&server, token()).call(&read()).await.unwrap();
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn each_try_is_told_to_whoever_observes() {
    let server = Server::start(|_, before| if before == 0 { Reply::Cut } else { ok() }).await;
    let (told, seen) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let observer = Arc::new(move |observed: &Observed| told.lock().unwrap().send(observed.clone()).unwrap());
    hasty(&server, token()).observed(observer).call(&read()).await.unwrap();
    let seen: Vec<_> = seen.try_iter().map(|one| (one.method, one.route, one.status)).collect();
    assert_eq!(
        seen,
        [("GET", "/repos/{}/{}".to_owned(), None), ("GET", "/repos/{}/{}".to_owned(), Some(200))]
    );
}

#[tokio::test]
async fn a_server_that_stays_down_is_given_up_on() {
    let server = Server::start(|_, _| Reply::Say(500, vec![], "<html>oops</html>".into())).await;
    let error = hasty(&server, token()).call(&read()).await.unwrap_err();
    assert_eq!(server.asked().len(), 5);
    assert!(error.may_pass());
    let expected = "can't read octo/hello: GitHub answers 500: <html>oops</html>; https://www.githubstatus.com may say more";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_speaks_no_tls_is_unreachable() {
    let server = Server::start(|_, _| ok()).await;
    let deaf = server.address.replace("http://", "https://");
    for address in ["http://127.0.0.1:1", &deaf] {
        let client = Client::with_pace(address, token(), Duration::from_secs(5), HASTE).unwrap();
        let error = client.call(&read()).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }) && error.may_pass(), "{error}");
        assert!(error.to_string().ends_with("check that the API can be reached from here"), "{error}");
    }
    assert_eq!(server.asked().len(), 0, "no token was sent in the clear");
}

#[tokio::test]
async fn a_comment_that_may_have_been_made_is_not_made_twice() {
    for reply in [Reply::Cut, Reply::HangUp, Reply::Silent, Reply::json(502, Json::Null)] {
        let server = Server::start(move |_, _| reply.clone()).await;
        let error = hasty(&server, token()).call(&make()).await.unwrap_err();
        assert!(matches!(error, ClientError::Unsure { .. }), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_short_rate_limit_is_waited_for_and_a_long_one_is_told() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Say(429, vec![("retry-after", "1".into())], "{}".into()),
        1 => Reply::json(403, json!({"message": "You have exceeded a secondary rate limit."})),
        2 => ok(),
        _ => {
            let limits = vec![
                ("x-ratelimit-remaining", "0".into()),
                ("x-ratelimit-reset", (now() + 3000).to_string()),
            ];
            Reply::Say(403, limits, json!({"message": "API rate limit exceeded"}).to_string())
        }
    })
    .await;
    let client = hasty(&server, token());
    let began = std::time::Instant::now();
    client.call(&make()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    let error = client.call(&make()).await.unwrap_err();
    assert!(error.wait().is_some_and(|wait| wait > Duration::from_secs(2900)), "{error}");
    assert!(error.may_pass());
    assert_eq!(server.asked().len(), 4);
    let again = client.call(&read()).await.unwrap_err();
    assert!(matches!(again, ClientError::Limited { .. }), "{again}");
    assert_eq!(server.asked().len(), 4, "nobody is asked before the time has come");
}

#[tokio::test]
async fn the_last_call_of_an_hour_closes_the_door_behind_it() {
    let server = Server::start(|_, _| {
        let limits =
            vec![("x-ratelimit-remaining", "0".into()), ("x-ratelimit-reset", (now() + 3000).to_string())];
        Reply::Say(200, limits, "{}".into())
    })
    .await;
    let client = hasty(&server, token());
    client.call(&read()).await.unwrap();
    assert!(matches!(client.call(&read()).await, Err(ClientError::Limited { .. })));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_refusal_says_what_is_missing_and_shows_no_token() {
    let server = Server::start(|_, before| match before {
        0 => {
            let needs = vec![("x-accepted-github-permissions", "checks=write".into())];
            Reply::Say(403, needs, json!({"message": "Resource not accessible by integration"}).to_string())
        }
        1 => Reply::json(401, json!({"message": "Bad credentials"})),
        _ => Reply::json(422, json!({"message": "Validation Failed", "errors": [{"field": "sha"}]})),
    })
    .await;
    let client = hasty(&server, token());
    let mut said = Vec::new();
    for _ in 0..3 {
        let error = client.call(&make()).await.unwrap_err();
        assert!(!error.may_pass());
        assert!(!format!("{error:?} {client:?}").contains("ghp_"), "{error:?}");
        said.push(error.to_string());
    }
    let expected = "can't comment on octo/hello#7: GitHub answers 403: Resource not accessible by integration; give the App or the token the permission checks=write";
    assert_eq!(said[0], expected);
    assert!(
        said[1].ends_with("Bad credentials; the token or the App's key is wrong or has expired: set another"),
        "{}",
        said[1]
    );
    assert!(said[2].ends_with(r#"Validation Failed [{"field":"sha"}]"#), "{}", said[2]);
}

#[tokio::test]
async fn an_answer_that_is_not_json_or_too_long_is_an_error() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Say(200, vec![], "<html>".into()),
        _ => Reply::json(200, json!("x".repeat(17 * 1024 * 1024))),
    })
    .await;
    let client = hasty(&server, token());
    let error = client.call(&read()).await.unwrap_err();
    assert!(
        error.to_string().starts_with("can't read octo/hello: GitHub's answer can't be understood"),
        "{error}"
    );
    let patient = Client::with_pace(&server.address, token(), Duration::from_secs(60), HASTE).unwrap();
    let error = patient.call(&read()).await.unwrap_err();
    assert!(error.to_string().contains("length limit exceeded"), "{error}");
}

#[tokio::test]
async fn a_renamed_repository_is_followed_on_its_own_server_only() {
    let server = Server::start(|asked, _| {
        let host = &asked.headers["host"];
        let place = match asked.line.as_str() {
            "POST /repos/octo/hello/issues/7/comments" => {
                format!("http://{host}/repositories/1/issues/7/comments")
            }
            "GET /away" => "http://elsewhere.example/away".to_owned(),
            "GET /round" => format!("http://{host}/round"),
            _ => return ok(),
        };
        Reply::Say(307, vec![("location", place)], json!({"message": "Moved"}).to_string())
    })
    .await;
    let client = hasty(&server, token());
    client.call(&make()).await.unwrap();
    let second = server.asked().remove(1);
    assert_eq!(
        (second.line.as_str(), second.body),
        ("POST /repositories/1/issues/7/comments", json!({"body": "hi"}))
    );
    for path in ["/away", "/round"] {
        let error = client.call(&Call::get(path, "go")).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { status: 301 | 307, .. }), "{error}");
    }
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_from_the_same_server() {
    let server = Server::start(|asked, _| {
        let page = asked.line.split("page=").nth(1).map_or(1, |text| text.parse::<u64>().unwrap());
        let host = &asked.headers["host"];
        let next = if page < 3 {
            format!("<http://{host}/list?page={}>; rel=\"next\"", page + 1)
        } else {
            "<http://elsewhere.example/list>; rel=\"next\"".to_owned()
        };
        Reply::Say(200, vec![("link", next)], json!([page]).to_string())
    })
    .await;
    let client = hasty(&server, token());
    let all = client.list(&Call::get("/list", "list"), Json::as_array, |_| false).await.unwrap();
    assert_eq!(all, [1, 2, 3]);
    let some = client.list(&Call::get("/list", "list"), Json::as_array, |entry| *entry == 2).await.unwrap();
    assert_eq!(some, [1, 2]);
}

#[tokio::test]
async fn an_app_mints_a_token_for_each_installation_once() {
    let server = Server::start(|asked, before| {
        if asked.line.contains("access_tokens") {
            assert!(asked.headers["authorization"].starts_with("Bearer eyJ"));
            let expires = jiff::Timestamp::from_second(i64::try_from(now() + 3600).unwrap()).unwrap();
            Reply::json(201, json!({"token": format!("ghs_{before}"), "expires_at": expires.to_string()}))
        } else {
            ok()
        }
    })
    .await;
    let pem = include_str!("../../src/github/app/test_key_pkcs1.pem");
    let app = App::new("Iv1.abc", &Secret(pem.to_owned())).unwrap();
    let client = hasty(&server, Auth::App(Arc::new(app)));
    client.installation(9).call(&read()).await.unwrap();
    client.installation(9).call(&read()).await.unwrap();
    client.installation(10).call(&read()).await.unwrap();
    let expected = [
        "POST /app/installations/9/access_tokens",
        "GET /repos/octo/hello",
        "GET /repos/octo/hello",
        "POST /app/installations/10/access_tokens",
        "GET /repos/octo/hello",
    ];
    assert_eq!(server.lines(), expected);
    let tokens: Vec<_> = server.asked().iter().map(|asked| asked.headers["authorization"].clone()).collect();
    assert_eq!([&tokens[1], &tokens[2], &tokens[4]], ["Bearer ghs_0", "Bearer ghs_0", "Bearer ghs_3"]);
    let jobs = TokenRequest {
        installation: 9,
        repositories: vec!["hello".into()],
        repository_ids: Vec::new(),
        permissions: Some(BTreeMap::from([("contents".into(), "read".into())])),
    };
    let minted = client.mint(&jobs).await.unwrap();
    assert_eq!(minted.token.0, "ghs_5");
    assert_eq!(client.mint(&jobs).await.unwrap().token.0, "ghs_6", "each job has its own");
    assert_eq!(
        server.asked()[5].body,
        json!({"repositories": ["hello"], "permissions": {"contents": "read"}})
    );
}

#[tokio::test]
async fn an_installations_token_that_was_taken_back_is_replaced_once() {
    let server = Server::start(|asked, before| match (asked.line.contains("access_tokens"), before) {
        (true, _) => {
            Reply::json(201, json!({"token": format!("ghs_{before}"), "expires_at": "2999-01-01T00:00:00Z"}))
        }
        (false, 1) => Reply::json(401, json!({"message": "Bad credentials"})),
        (false, 3) => ok(),
        _ => Reply::json(401, json!({"message": "Bad credentials"})),
    })
    .await;
    let pem = include_str!("../../src/github/app/test_key_pkcs8.pem");
    let app = App::new("1", &Secret(pem.to_owned())).unwrap();
    let client = hasty(&server, Auth::App(Arc::new(app))).installation(9);
    client.call(&read()).await.unwrap();
    assert_eq!(server.asked()[3].headers["authorization"], "Bearer ghs_2");
    let error = client.call(&read()).await.unwrap_err();
    assert_eq!((error.status(), server.asked().len()), (Some(401), 7));
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for wrong in ["", "api.github.com", "ftp://h", "https://", "https://me:pw@h", "https://h?x", "http://h h"]
    {
        assert!(matches!(Client::new(wrong, Auth::Nobody), Err(ClientError::Address { .. })), "{wrong}");
    }
}
