//! Fetching over http, and what goes wrong there.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forge::CommitSpec;
use forge::git::{MirrorError, Remote, Want};
use model::Secret;

use crate::Place;
use crate::server::{Fault, Server};

const TOKEN: &str = "ghs_secretsecret";

fn authorization() -> String {
    format!("Basic {}", STANDARD.encode(format!("x-access-token:{TOKEN}")))
}

fn remote(server: &Server, token: Option<&str>) -> Remote {
    Remote { name: "octo/hello".into(), url: server.url(), auth: token.map(|token| Secret(token.to_owned())) }
}

#[tokio::test]
async fn a_private_repository_is_fetched_with_a_token_that_stays_out_of_the_mirror() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), Some(&authorization())).await;
    let mirror = place.mirrors.fetch(&remote(&server, Some(TOKEN)), &[]).await.unwrap();
    let main = CommitSpec::Branch("main".into());
    assert_eq!(mirror.resolve(&main).await.unwrap(), place.origin.git(&["rev-parse", "main"]));
    assert!(server.seen().iter().all(|(_, token)| *token));
    let config = std::fs::read_to_string(mirror.path().join("config")).unwrap();
    assert!(!config.contains("http") && !config.contains("remote"), "{config}");
    let second = place.origin.commit("second", "");
    place.origin.push("main");
    let mirror = place.mirrors.fetch(&remote(&server, Some(TOKEN)), &[]).await.unwrap();
    assert_eq!(mirror.resolve(&main).await.unwrap(), second);
}

#[tokio::test]
async fn a_server_that_packs_is_asked_how_far_it_is_so_that_it_is_not_silent() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), None).await;
    place.mirrors.fetch(&remote(&server, None), &[]).await.unwrap();
    assert_eq!(server.told(), 1);
}

#[tokio::test]
async fn a_repository_that_is_not_given_says_what_to_do_and_asks_nobody() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), Some(&authorization())).await;
    for token in [None, Some("ghs_wrongwrong")] {
        let error = place.mirrors.fetch(&remote(&server, token), &[]).await.unwrap_err();
        assert!(matches!(error, MirrorError::Denied { .. }) && !error.may_pass(), "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("octo/hello") && text.contains("install the App"), "{text}");
        assert!(!text.contains("ghs_") && !text.contains("Basic"), "{text}");
    }
    let elsewhere =
        Remote { url: format!("{}/octo/other.git", server.address), ..remote(&server, Some(TOKEN)) };
    let error = place.mirrors.fetch(&elsewhere, &[]).await.unwrap_err();
    assert!(matches!(error, MirrorError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn a_token_is_sent_to_its_own_server_only() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), None).await;
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    // The token's address has another name; git must not send it to this one by way of a setting.
    let other =
        Remote { url: format!("http://localhost:{port}/octo/hello.git"), ..remote(&server, Some(TOKEN)) };
    place.mirrors.fetch(&other, &[]).await.unwrap();
    assert!(server.seen().iter().all(|(_, token)| *token));
    place.mirrors.fetch(&remote(&server, None), &[]).await.unwrap();
    assert!(!server.seen().last().unwrap().1);
}

#[tokio::test]
async fn a_network_that_fails_is_worth_another_try_and_the_next_fetch_succeeds() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), None).await;
    for fault in [Fault::Cut, Fault::Status(500), Fault::Status(503), Fault::Cut] {
        place.origin.commit("more", &format!("{:?}", std::time::Instant::now()));
        place.origin.push("main");
        server.fail(fault);
        let error = place.mirrors.fetch(&remote(&server, None), &[]).await.unwrap_err();
        assert!(matches!(error, MirrorError::Unreachable { .. }) && error.may_pass(), "{error:?}");
        server.fail(Fault::None);
        let mirror = place.mirrors.fetch(&remote(&server, None), &[]).await.unwrap();
        let main = mirror.resolve(&CommitSpec::Branch("main".into())).await.unwrap();
        assert_eq!(main, place.origin.git(&["rev-parse", "main"]));
    }
    let gone = Remote { url: "http://127.0.0.1:1/octo/hello.git".into(), ..remote(&server, None) };
    let error = place.mirrors.fetch(&gone, &[]).await.unwrap_err();
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_on() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), None).await;
    server.fail(Fault::Silent);
    let mirrors = place.mirrors.clone().with_timeout(Duration::from_millis(300));
    let error = mirrors.fetch(&remote(&server, None), &[]).await.unwrap_err();
    assert!(matches!(error, MirrorError::TimedOut { .. }) && error.may_pass(), "{error}");
    // Git's own helpers are gone with it; alone they would wait for a minute.
    tokio::time::timeout(Duration::from_secs(20), server.hung_up()).await.expect("nothing of git is left");
    server.fail(Fault::None);
    place.mirrors.fetch(&remote(&server, None), &[]).await.unwrap();
}

#[tokio::test]
async fn addresses_that_would_run_programs_or_show_passwords_are_refused() {
    let place = Place::new();
    for url in [
        "ext::sh -c touch% /tmp/x",
        "/srv/hello.git",
        "git://host/hello.git",
        "--upload-pack=x",
        "https://me:word@host/octo/hello.git",
        "https:///octo/hello.git",
        "ssh://-oProxyCommand=x/octo/hello.git",
    ] {
        let remote = Remote { url: url.into(), ..place.remote() };
        let error = place.mirrors.fetch(&remote, &[]).await.unwrap_err();
        assert!(matches!(error, MirrorError::Address { .. }), "{url}: {error}");
    }
}

#[tokio::test]
async fn many_who_ask_at_once_share_a_fetch() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), None).await;
    let fetch = || {
        let (mirrors, remote) = (place.mirrors.clone(), remote(&server, None));
        tokio::spawn(async move { mirrors.fetch(&remote, &[]).await.map(drop) })
    };
    let tasks: Vec<_> = (0..20).map(|_| fetch()).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let rounds = server.seen().iter().filter(|(line, _)| line.starts_with("GET ")).count();
    assert!(
        rounds <= 2,
        "{rounds} fetches for those who asked before the first and those who asked during it"
    );
}

#[tokio::test]
async fn a_fetch_serves_all_that_came_before_it_unless_it_lacks_what_they_want() {
    let place = Place::new();
    let server = Server::start(&place.origin.root(), None).await;
    let fetches = || server.seen().iter().filter(|(line, _)| line.starts_with("GET ")).count();
    let fetch = async |want: &[Want], since| {
        place.mirrors.fetch_since(&remote(&server, None), want, since).await.unwrap()
    };
    let came = Instant::now();
    let first = place.origin.git(&["rev-parse", "main"]);
    for _ in 0..2 {
        fetch(&[Want::Sha(first.clone())], came).await;
        assert_eq!(fetches(), 1, "the second came before the fetch of the first");
    }
    let second = place.origin.commit("second", "");
    place.origin.push("main");
    let mirror = fetch(&[Want::Sha(second.clone())], came).await;
    assert_eq!(mirror.resolve(&CommitSpec::Sha(second)).await.unwrap().len(), 40);
    assert_eq!(fetches(), 2, "it was not there");
    fetch(&[Want::Pull(7)], came).await;
    assert_eq!(fetches(), 3, "nobody has asked for the pull request");
    let third = place.origin.commit("third", "");
    place.origin.push("main");
    let main = CommitSpec::Branch("main".into());
    let mirror = fetch(&[], Instant::now()).await;
    assert_eq!(mirror.resolve(&main).await.unwrap(), third, "a branch as it is since then");
}

#[tokio::test]
async fn a_repository_without_commits_is_a_mirror_without_branches() {
    let place = Place::new();
    let empty = place.folder.path().join("empty.git");
    crate::origin::run(place.folder.path(), &["init", "-q", "--bare", empty.to_str().unwrap()]);
    let remote = Remote { url: format!("file://{}", empty.display()), ..place.remote() };
    let mirror = place.mirrors.fetch(&remote, &[]).await.unwrap();
    assert_eq!(mirror.full_ref("main").await.unwrap(), None);
}
