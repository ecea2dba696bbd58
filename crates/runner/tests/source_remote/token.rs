//! A server that asks for a token.

use model::Secret;
use runner::CheckoutRequest;
use runner::source::RemoteRepositories;

use crate::fixture::{Fixture, at, data, git, git_texts, request};
use crate::server::{BASIC, Server, TOKEN};

#[tokio::test]
async fn a_token_opens_a_private_repository_and_is_not_left_in_it() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let private = CheckoutRequest { server: server.url.clone(), ..at("v1") };
    let error = fixture.check_out(private.clone()).await.unwrap_err();
    assert!(error.contains(&server.url) && error.contains("token: ${{ secrets.NAME }}"), "{error}");

    let with_token = CheckoutRequest { token: Secret(TOKEN.to_owned()), ..private.clone() };
    let workspace = fixture.check_out(with_token).await.unwrap();
    assert_eq!(data(&workspace), "first");
    let origin = git(&workspace, &["remote", "get-url", "origin"]);
    assert_eq!(origin, format!("{}/acme/data", server.url));
    let texts = git_texts(&workspace);
    assert!(!texts.contains(TOKEN) && !texts.contains("basic") && !texts.contains("extraheader"), "{texts}");

    let wrong = CheckoutRequest { token: Secret("ghp_wrong".to_owned()), ..private };
    let error = fixture.check_out(wrong).await.unwrap_err();
    assert!(!error.contains("ghp_wrong"), "{error}");
}

#[tokio::test]
async fn a_mirror_is_not_given_the_token_for_github() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let mirror = format!("{}/{{owner}}/{{repo}}", server.url);
    let source = RemoteRepositories::open(fixture.data(), vec![mirror.parse().unwrap()], false).unwrap();
    let request = CheckoutRequest { token: Secret(TOKEN.to_owned()), ..request() };
    fixture.check_out_from(&source, request).await.unwrap_err();
    let authorizations = server.authorizations.lock().unwrap();
    assert!(
        !authorizations.is_empty() && authorizations.iter().all(|given| given != BASIC),
        "{authorizations:?}"
    );
}
