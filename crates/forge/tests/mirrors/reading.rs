//! Commits, messages, and files.

use std::os::unix::fs::symlink;

use forge::git::{MirrorError, NoMerge, Want};
use forge::{CommitSpec, Diff};

use crate::Place;
use crate::origin::{Origin, run};

fn branch(name: &str) -> CommitSpec {
    CommitSpec::Branch(name.to_owned())
}

#[tokio::test]
async fn branches_and_tags_follow_the_repository() {
    let place = Place::new();
    let first = place.origin.git(&["rev-parse", "main"]);
    assert_eq!(place.mirror().await.resolve(&branch("main")).await.unwrap(), first);
    place.origin.git(&["checkout", "-q", "-b", "topic/ü"]);
    let second = place.origin.commit("second", "");
    place.origin.push("topic/ü");
    place.origin.git(&["tag", "-a", "-m", "tagged", "v1"]);
    place.origin.push("v1");
    let mirror = place.mirror().await;
    assert_eq!(mirror.resolve(&branch("topic/ü")).await.unwrap(), second);
    assert_eq!(mirror.resolve(&CommitSpec::Tag("v1".into())).await.unwrap(), second);
    assert_eq!(mirror.full_ref("v1").await.unwrap().as_deref(), Some("refs/tags/v1"));
    assert_eq!(mirror.full_ref("topic/ü").await.unwrap().as_deref(), Some("refs/heads/topic/ü"));
    assert_eq!(mirror.full_ref("gone").await.unwrap(), None);
    place.origin.git(&["push", "-q", "origin", ":topic/ü"]);
    place.origin.git(&["branch", "-q", "-m", "moved"]);
    place.origin.push("moved:topic");
    let mirror = place.mirror().await;
    let error = mirror.resolve(&branch("topic/ü")).await.unwrap_err().to_string();
    assert!(error.starts_with("octo/hello has no branch topic/ü; it was deleted"), "{error}");
    assert_eq!(mirror.resolve(&branch("topic")).await.unwrap(), second);
}

#[tokio::test]
async fn a_commit_is_of_the_branch_that_has_it_or_of_the_tag_that_is_it_and_else_of_none() {
    let place = Place::new();
    let first = place.origin.commit("first", "");
    let second = place.origin.commit("second", "");
    place.origin.push("main");
    place.origin.push("main:release/1");
    place.origin.git(&["checkout", "-q", "--detach"]);
    let aside = place.origin.commit("aside", "");
    place.origin.git(&["tag", "-a", "-m", "tagged", "release/1"]);
    place.origin.push("refs/tags/release/1");
    let mirror = place.mirror().await;
    let of = async |name: &str, sha: &str| mirror.ref_of(name, sha).await.unwrap().unwrap_or_default();
    for sha in [&first, &second] {
        assert_eq!(of("refs/heads/release/1", sha).await, "refs/heads/release/1");
        assert_eq!(of("refs/tags/release/1", sha).await, "");
    }
    assert_eq!(of("refs/heads/release/1", &aside).await, "refs/tags/release/1");
    assert_eq!(of("refs/tags/release/1", &aside).await, "refs/tags/release/1");
    assert_eq!(of("refs/heads/main", &aside).await, "");
    assert_eq!(of("refs/heads/gone", &first).await, "");
}

#[tokio::test]
async fn a_replaced_commit_is_fetched_by_its_name() {
    let place = Place::new();
    let lost = place.origin.commit("lost", "");
    place.origin.push("main");
    place.origin.git(&["commit", "-q", "--amend", "-m", "kept"]);
    place.origin.push("main");
    let spec = CommitSpec::Sha(lost.clone());
    let mirror = place.mirror().await;
    assert!(matches!(mirror.resolve(&spec).await, Err(MirrorError::NoCommit { .. })));
    let mirror = place.fetch(&[Want::Sha(lost.clone())]).await.unwrap();
    assert_eq!(mirror.resolve(&spec).await.unwrap(), lost);
    assert_eq!(mirror.message(&lost).await.unwrap(), "lost");
}

#[tokio::test]
async fn a_commit_that_nobody_has_is_an_error_unless_it_was_only_hoped_for() {
    let place = Place::new();
    let nowhere = "1".repeat(40);
    let error = place.fetch(&[Want::Sha(nowhere.clone())]).await.unwrap_err();
    assert!(error.to_string().contains(&format!("no commit {nowhere}")), "{error}");
    place.fetch(&[Want::Perhaps(nowhere), Want::Perhaps("--all".into())]).await.unwrap();
}

#[tokio::test]
async fn a_pull_request_has_its_merge_until_it_conflicts() {
    let place = Place::new();
    place.origin.git(&["checkout", "-q", "-b", "topic"]);
    place.origin.commit("file", "topic");
    let (head, merge) = place.origin.pull("topic");
    let base = place.origin.git(&["rev-parse", "main"]);
    let spec = CommitSpec::Merge { pull: 7, head: head.clone(), base: base.clone() };
    let mirror = place.fetch(&[Want::Pull(7)]).await.unwrap();
    assert_eq!(mirror.resolve(&spec).await.unwrap(), merge.unwrap());
    let newer = CommitSpec::Merge { pull: 7, head: "2".repeat(40), base };
    let error = mirror.resolve(&newer).await.unwrap_err();
    assert!(matches!(error, MirrorError::NoMerge { reason: NoMerge::Behind, .. }), "{error}");
    assert!(error.may_pass());
    place.origin.commit("file", "main");
    place.origin.push("main");
    assert_eq!(place.origin.pull("topic").1, None);
    let mirror = place.fetch(&[Want::Pull(7)]).await.unwrap();
    let error = mirror.resolve(&spec).await.unwrap_err();
    assert!(matches!(error, MirrorError::NoMerge { reason: NoMerge::Missing, .. }), "{error}");
    assert!(error.to_string().contains("pull request 7: it conflicts"), "{error}");
    assert!(error.may_pass(), "GitHub makes a merge some moments after it tells of the pull request");
}

#[tokio::test]
async fn the_workflows_of_a_commit_are_read_and_links_are_not_followed() {
    let place = Place::new();
    let folder = place.origin.work().join(".github/workflows");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    std::fs::write(folder.join("b.yml"), b"on: push\xff\n").unwrap();
    std::fs::write(folder.join("ü a.yml"), "").unwrap();
    std::fs::write(folder.join("below/c.yml"), "no").unwrap();
    symlink("/etc/passwd", folder.join("link.yml")).unwrap();
    let sha = place.origin.commit_all("workflows");
    place.origin.push("main");
    let mirror = place.mirror().await;
    let files = mirror.files(&sha, ".github/workflows").await.unwrap();
    let expected =
        [(".github/workflows/b.yml", &b"on: push\xff\n"[..]), (".github/workflows/ü a.yml", &b""[..])];
    let expected: Vec<(String, Vec<u8>)> =
        expected.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    assert_eq!(files, expected);
    assert_eq!(mirror.files(&sha, "nowhere").await.unwrap(), []);
    assert_eq!(mirror.file(&sha, "first").await.unwrap().as_deref(), Some(&b"first"[..]));
    for none in [".github/workflows/link.yml", ".github", "../first", "first/x", "", "*", ":(top)first"] {
        assert_eq!(mirror.file(&sha, none).await.unwrap(), None, "{none}");
    }
}

#[tokio::test]
async fn more_than_is_read_is_said_to_be_too_much() {
    let place = Place::new();
    let large = "x".repeat(1024 * 1024 + 1);
    let sha = place.origin.commit(".github/workflows/large.yml", &large);
    place.origin.push("main");
    let mirror = place.mirror().await;
    let error = mirror.files(&sha, ".github/workflows").await.unwrap_err().to_string();
    let expected = ".github/workflows/large.yml of octo/hello is more than the 1048576 bytes that are read; make it smaller";
    assert_eq!(error, expected);
    for number in 0..1001 {
        std::fs::write(place.origin.work().join(format!(".github/{number}")), "").unwrap();
    }
    let sha = place.origin.commit_all("many");
    place.origin.push("main");
    let error = place.mirror().await.files(&sha, ".github").await.unwrap_err().to_string();
    assert!(error.contains("the number of files in .github/ of octo/hello is more than the 1000"), "{error}");
}

#[tokio::test]
async fn nothing_from_outside_becomes_an_option_of_git() {
    let place = Place::new();
    let mirror = place.mirror().await;
    for spec in [
        CommitSpec::Sha("--all".into()),
        CommitSpec::Sha("HEAD".into()),
        branch("../../HEAD"),
        branch("a^{/x}"),
        CommitSpec::Tag("--x y".into()),
    ] {
        assert!(matches!(mirror.resolve(&spec).await, Err(MirrorError::NoCommit { .. })), "{spec:?}");
    }
    assert!(mirror.message("--output=x").await.is_err());
    assert!(mirror.files("--output=x", "a").await.is_err());
}

#[tokio::test]
async fn a_mirror_stays_in_its_folder_and_is_shared_by_all_spellings() {
    let place = Place::new();
    for name in ["../x", "octo/..", "octo", "/etc/x", "octo/a/b"] {
        let remote = forge::git::Remote { name: name.into(), ..place.remote() };
        let error = place.mirrors.fetch(&remote, &[]).await.unwrap_err();
        assert!(matches!(error, MirrorError::Name(_)), "{name}: {error}");
        assert!(place.mirrors.get(name).is_err());
    }
    assert!(place.mirrors.get("octo/hello").unwrap().is_none());
    let mirror = place.mirror().await;
    assert_eq!(mirror.path(), place.folder.path().join("mirrors/octo/hello.git"));
    let shouted = place.mirrors.get("Octo/HELLO").unwrap().unwrap();
    assert_eq!(shouted.path(), mirror.path());
    place.mirrors.remove("octo/hello").await.unwrap();
    assert!(place.mirrors.get("octo/hello").unwrap().is_none());
}

#[tokio::test]
async fn a_repository_of_sha256_is_mirrored_read_and_checked_out_like_others() {
    let place = Place::around(Origin::of("sha256"));
    let first = place.origin.git(&["rev-parse", "main"]);
    let sha = place.origin.commit(".github/workflows/ci.yml", "on: push");
    place.origin.push("main");
    assert_eq!(sha.len(), 64);
    let mirror = place.fetch(&[Want::Sha(sha.clone())]).await.unwrap();
    assert_eq!(mirror.resolve(&branch("main")).await.unwrap(), sha);
    assert_eq!(mirror.files(&sha, ".github/workflows").await.unwrap().len(), 1);
    let push = |before: &str, created| Diff::Push {
        before: before.to_owned(),
        after: sha.clone(),
        first: Some(sha.clone()),
        created,
        forced: false,
    };
    for diff in [push(&first, false), push(&"0".repeat(64), true), push(&"0".repeat(64), false)] {
        let changed = mirror.changed(&diff).await.unwrap();
        assert_eq!(changed.unwrap(), [".github/workflows/ci.yml"], "{diff:?}");
    }
    let tree = place.folder.path().join("tree");
    mirror.check_out(&sha, "refs/heads/main", "https://example.com/octo/hello.git", &tree).await.unwrap();
    assert_eq!(run(&tree, &["rev-parse", "HEAD"]), sha);
    // Its next fetch goes on with what is there.
    place.origin.commit("second", "");
    place.origin.push("main");
    place.mirror().await;
    assert_eq!(run(mirror.path(), &["rev-parse", "--show-object-format"]), "sha256");
}

#[tokio::test]
async fn a_repository_that_is_made_anew_with_another_hash_is_mirrored_anew() {
    let mut place = Place::around(Origin::of("sha256"));
    place.mirror().await;
    place.origin = Origin::new();
    let sha = place.origin.git(&["rev-parse", "main"]);
    assert_eq!(place.mirror().await.resolve(&branch("main")).await.unwrap(), sha);
}

/// Only root can give a repository to somebody else.
#[tokio::test]
async fn a_repository_of_another_user_is_refused_with_what_to_do() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    std::os::unix::fs::chown(place.origin.bare(), Some(1234), Some(1234)).unwrap();
    let error = place.fetch(&[]).await.unwrap_err().to_string();
    let path = place.origin.bare();
    let way_out = format!("git config --system --add safe.directory {}", path.display());
    assert!(error.contains("dubious ownership") && error.contains(&way_out), "{error}");
}
