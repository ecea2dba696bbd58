//! `filter`: what is left out, and comes when it is needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use model::Secret;
use runner::CheckoutRequest;

use crate::fixture::{Fixture, data, git, request};
use crate::server::{Server, TOKEN};

/// Objects that the clone names and does not have.
fn missing(workspace: &Path) -> usize {
    let listed = git(workspace, &["rev-list", "--objects", "--missing=print", "HEAD"]);
    listed.lines().filter(|line| line.starts_with('?')).count()
}

fn partial(filter: &str) -> CheckoutRequest {
    CheckoutRequest { filter: filter.to_owned(), fetch_depth: 0, ..request() }
}

#[tokio::test]
async fn a_filter_leaves_out_the_files_that_the_commit_does_not_need() {
    let fixture = Fixture::new();
    git(&fixture.remote(), &["config", "uploadpack.allowFilter", "true"]);
    for filter in ["blob:none", "tree:0"] {
        let workspace = fixture.check_out(partial(filter)).await.unwrap();
        assert_eq!(data(&workspace), "second", "{filter}");
        assert!(workspace.join("docs/guide").exists());
        assert!(missing(&workspace) > 0, "{filter}: the first commit's data.txt is not needed");
        assert_eq!(git(&workspace, &["status", "--short", "--branch"]), "## main...origin/main");
        assert_eq!(git(&workspace, &["config", "remote.origin.partialclonefilter"]), filter);
        let path = fixture.folder.path().display().to_string();
        let config = fs::read_to_string(workspace.join(".git/config")).unwrap();
        assert!(!config.contains(&path), "the job must not learn of the mirror: {config}");
    }
    let whole = fixture.check_out(partial("")).await.unwrap();
    assert_eq!(missing(&whole), 0);
}

#[tokio::test]
async fn what_a_filter_left_out_comes_from_the_server_later() {
    let fixture = Fixture::new();
    git(&fixture.remote(), &["config", "uploadpack.allowFilter", "true"]);
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    let token = Secret(TOKEN.to_owned());
    let request = CheckoutRequest { server: server.url.clone(), token, ..partial("blob:none") };
    let workspace = fixture.check_out(request).await.unwrap();
    assert!(missing(&workspace) > 0);
    let header = format!("http.{}/.extraheader=AUTHORIZATION: {}", server.url, crate::server::BASIC);
    let shown = tokio::task::spawn_blocking(move || {
        let show = ["-c", &header, "show", "HEAD~1:data.txt"];
        Command::new("git").current_dir(&workspace).args(show).output().unwrap()
    });
    let shown = shown.await.unwrap();
    assert_eq!(shown.stdout, b"first", "{}", String::from_utf8_lossy(&shown.stderr));
}

#[tokio::test]
async fn a_sparse_checkout_of_a_partial_clone_fetches_its_own_files_alone() {
    let fixture = Fixture::new();
    git(&fixture.remote(), &["config", "uploadpack.allowFilter", "true"]);
    let sparse = vec!["docs".to_owned()];
    let request = CheckoutRequest { fetch_depth: 1, sparse_checkout: sparse, ..partial("blob:none") };
    let request = CheckoutRequest { cone_mode: false, ..request };
    let workspace = fixture.check_out(request).await.unwrap();
    assert!(workspace.join("docs/guide").exists() && !workspace.join("data.txt").exists());
    assert_eq!(missing(&workspace), 1, "data.txt");
}

#[tokio::test]
async fn a_filter_that_git_does_not_know_is_named() {
    let fixture = Fixture::new();
    let error = fixture.check_out(partial("blobs")).await.unwrap_err();
    assert!(error.contains("invalid filter-spec 'blobs'"), "{error}");
}
