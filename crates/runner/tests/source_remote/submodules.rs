//! Submodules of other repositories.

use std::fs;

use model::Secret;
use runner::CheckoutRequest;

use crate::fixture::{Fixture, data, git, request};
use crate::server::{Server, TOKEN};

#[tokio::test]
async fn submodules_come_from_the_server_when_asked_for() {
    let fixture = Fixture::new();
    fixture.add_submodule("../data");
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let token = Secret(TOKEN.to_owned());
    let without = CheckoutRequest { server: server.url.clone(), token, ..request() };
    let workspace = fixture.check_out(without.clone()).await.unwrap();
    assert_eq!(fs::read_dir(workspace.join("lib")).unwrap().count(), 0);
    let with = CheckoutRequest { submodules: "recursive".to_owned(), ..without };
    let workspace = fixture.check_out(with).await.unwrap();
    assert_eq!(data(&workspace.join("lib")), "first");
    assert_eq!(git(&workspace, &["status", "--short"]), "");
    assert_eq!(git(&workspace.join("lib"), &["rev-parse", "HEAD"]), fixture.commit("v1"));
    let texts = fs::read_to_string(workspace.join(".git/modules/lib/config")).unwrap();
    assert!(!texts.contains("extraheader") && !texts.contains(TOKEN), "{texts}");
}

#[tokio::test]
async fn submodules_that_are_named_for_ssh_come_with_the_token() {
    let fixture = Fixture::new();
    fixture.add_submodule("git@127.0.0.1:acme/data");
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let token = Secret(TOKEN.to_owned());
    let submodules = "true".to_owned();
    let request = CheckoutRequest { server: server.url.clone(), token, submodules, ..request() };
    let workspace = fixture.check_out(request).await.unwrap();
    assert_eq!(data(&workspace.join("lib")), "first");
    let url = git(&workspace.join("lib"), &["config", "remote.origin.url"]);
    assert_eq!(url, "git@127.0.0.1:acme/data", "the clone keeps the name; its settings say where that leads");
}

#[tokio::test]
async fn a_run_without_network_does_not_fetch_submodules() {
    let fixture = Fixture::new();
    fixture.add_submodule("../data");
    let near = fixture.source_with("{owner}/{repo}", true);
    let with = CheckoutRequest { submodules: "true".to_owned(), ..request() };
    let error = fixture.check_out_from(&near, with).await.unwrap_err();
    assert!(error.contains("submodules come from the network"), "{error}");
}
