//! What a job gets of other repositories, looked at with git itself.

mod fixture;
mod lfs;
mod partial;
mod server;
mod ssh;
mod submodules;
mod token;

use std::fs;
use std::sync::Arc;

use runner::source::{FirstOf, RemoteRepositories, WorkTree};
use runner::{CheckoutRequest, SourceProvider};

use fixture::{Fixture, at, data, git, git_texts, request};

#[tokio::test]
async fn without_a_ref_the_default_branch_comes_as_a_shallow_clone_of_github() {
    let fixture = Fixture::new();
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(data(&workspace), "second");
    assert_eq!(git(&workspace, &["status", "--short", "--branch"]), "## main...origin/main");
    assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), fixture.commit("main"));
    assert_eq!(git(&workspace, &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(git(&workspace, &["remote", "get-url", "origin"]), "https://github.com/acme/data");
    git(&workspace, &["fsck", "--strict"]);
    let path = fixture.folder.path().display().to_string();
    assert!(!git_texts(&workspace).contains(&path), "the job must not learn of the mirror");
    assert_eq!(fs::read_dir(fixture.data()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn branches_tags_and_commits_are_checked_out() {
    let fixture = Fixture::new();
    let first = fixture.commit("v1");
    for (reference, text, branch) in [
        ("größe/x", "side", "größe/x"),
        ("refs/heads/größe/x", "side", "größe/x"),
        ("v1", "first", ""),
        ("refs/tags/v1", "first", ""),
        (&first, "first", ""),
        (&first.to_uppercase(), "first", ""),
    ] {
        for depth in [0, 1, 5] {
            let request = CheckoutRequest { fetch_depth: depth, ..at(reference) };
            let workspace = fixture.check_out(request).await.unwrap();
            assert_eq!(data(&workspace), text, "{reference} {depth}");
            assert_eq!(git(&workspace, &["branch", "--show-current"]), branch, "{reference} {depth}");
            assert_eq!(git(&workspace, &["status", "--short"]), "", "{reference} {depth}");
            git(&workspace, &["fsck"]);
        }
    }
}

#[tokio::test]
async fn a_branch_goes_before_a_tag_of_the_same_name() {
    let fixture = Fixture::new();
    git(&fixture.remote(), &["branch", "v1", "main"]);
    assert_eq!(data(&fixture.check_out(at("v1")).await.unwrap()), "second");
    assert_eq!(data(&fixture.check_out(at("refs/tags/v1")).await.unwrap()), "first");
}

#[tokio::test]
async fn a_pull_request_comes_detached() {
    let fixture = Fixture::new();
    git(&fixture.remote(), &["update-ref", "refs/pull/7/merge", "refs/heads/größe/x"]);
    for depth in [0, 1] {
        let request = CheckoutRequest { fetch_depth: depth, ..at("refs/pull/7/merge") };
        let workspace = fixture.check_out(request).await.unwrap();
        assert_eq!(data(&workspace), "side");
        assert_eq!(git(&workspace, &["branch", "--show-current"]), "");
    }
}

#[tokio::test]
async fn the_depth_and_the_tags_are_those_asked_for() {
    let fixture = Fixture::new();
    let whole = fixture.check_out(CheckoutRequest { fetch_depth: 0, ..request() }).await.unwrap();
    assert_eq!(git(&whole, &["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(git(&whole, &["rev-parse", "v1^{commit}"]), fixture.commit("v1"));
    assert!(git(&whole, &["branch", "--remotes"]).contains("origin/größe/x"));
    let one = fixture.check_out(request()).await.unwrap();
    assert_eq!(git(&one, &["tag"]), "");
    let tags = fixture.check_out(CheckoutRequest { fetch_tags: true, ..request() }).await.unwrap();
    assert_eq!(git(&tags, &["tag"]), "v1");
    assert_eq!(git(&tags, &["rev-list", "--count", "HEAD"]), "1");
}

#[tokio::test]
async fn sparse_patterns_hold_for_another_repository() {
    let fixture = Fixture::new();
    let sparse = vec!["/docs/".to_owned()];
    let request = CheckoutRequest { sparse_checkout: sparse, cone_mode: false, ..request() };
    let workspace = fixture.check_out(request).await.unwrap();
    assert!(workspace.join("docs/guide").exists() && !workspace.join("data.txt").exists());
    assert_eq!(git(&workspace, &["status", "--short"]), "");
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_place_that_was_asked() {
    let fixture = Fixture::new();
    let url = format!("file://{}", fixture.remote().display());
    let error = fixture.check_out(at("nope")).await.unwrap_err();
    assert!(error.contains("'nope' of acme/data") && error.contains(&url), "{error}");
    assert!(error.contains("it has no branch or tag 'nope'"), "{error}");
    let unknown = "1".repeat(40);
    let error = fixture.check_out(at(&unknown)).await.unwrap_err();
    assert!(error.contains("acme/data") && error.contains("no commit '1111"), "{error}");
    let missing = CheckoutRequest { repository: "acme/gone".to_owned(), ..request() };
    let error = fixture.check_out(missing).await.unwrap_err();
    assert!(error.contains("acme/gone") && error.contains("fatal: "), "{error}");
    assert_eq!(fs::read_dir(fixture.data()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn names_that_git_could_take_for_options_or_paths_are_refused() {
    let fixture = Fixture::new();
    let proof = fixture.folder.path().join("proof");
    let upload_pack = format!("--upload-pack=touch {}", proof.display());
    for reference in [upload_pack.as_str(), "-b", "a..b", "x:y", "refs/heads/*", "+main", "v1\nv2"] {
        let error = fixture.check_out(at(reference)).await.unwrap_err();
        assert!(error.contains(reference), "{error}");
    }
    for repository in ["../data", "acme/..", "-x/data", "acme/data/..", "acme", "acme/da ta", "http://x/y"] {
        let request = CheckoutRequest { repository: repository.to_owned(), ..request() };
        let error = fixture.check_out(request).await.unwrap_err();
        assert!(error.contains("is no repository"), "{error}");
    }
    assert!(!proof.exists());
}

#[tokio::test]
async fn the_next_mirror_is_asked_for_what_the_first_lacks() {
    let fixture = Fixture::new();
    let mirror = |path: &str| format!("{}/{path}", fixture.folder.path().display()).parse().unwrap();
    let mirrors = vec![mirror("none/{owner}/{repo}"), mirror("remotes/{owner}/{repo}")];
    let source = RemoteRepositories::open(fixture.data(), mirrors, false).unwrap();
    assert_eq!(data(&fixture.check_out_from(&source, at("v1")).await.unwrap()), "first");
}

#[tokio::test]
async fn offline_only_mirrors_in_folders_are_asked() {
    let fixture = Fixture::new();
    let near = fixture.source_with("{owner}/{repo}", true);
    assert_eq!(data(&fixture.check_out_from(&near, request()).await.unwrap()), "second");
    let far = RemoteRepositories::open(fixture.data(), Vec::new(), true).unwrap();
    let error = fixture.check_out_from(&far, request()).await.unwrap_err();
    assert!(error.contains("may not use the network"), "{error}");
    let server = CheckoutRequest { server: "http://127.0.0.1:1".to_owned(), ..request() };
    let error = fixture.check_out_from(&near, server).await.unwrap_err();
    assert!(error.contains("may not use the network"), "{error}");
}

#[tokio::test]
async fn the_working_tree_goes_first_and_the_rest_is_remote() {
    let fixture = Fixture::new();
    let own = fixture.folder.path().join("work");
    fs::write(own.join("data.txt"), "uncommitted").unwrap();
    let both = FirstOf(vec![Arc::new(WorkTree::new(own)), Arc::new(fixture.source())]);
    assert_eq!(data(&fixture.check_out_from(&both, request()).await.unwrap()), "second");
    let own = CheckoutRequest { repository: String::new(), ..request() };
    assert_eq!(data(&fixture.check_out_from(&both, own.clone()).await.unwrap()), "uncommitted");
    assert!(FirstOf(vec![Arc::new(fixture.source())]).archive(&own).await.unwrap().is_none());
}
