//! Mirrors that are not whole, and fetches at once.

use std::fs;
use std::path::Path;

use forge::CommitSpec;
use forge::git::MirrorError;

use crate::Place;

fn main_branch() -> CommitSpec {
    CommitSpec::Branch("main".into())
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

#[tokio::test]
async fn a_mirror_without_its_head_or_its_objects_is_cloned_again() {
    let place = Place::new();
    place.origin.commit("second", "");
    place.origin.push("main");
    for damage in ["HEAD", "config", "objects", "refs"] {
        let mirror = place.mirror().await;
        let path = mirror.path().join(damage);
        match damage {
            "config" => fs::write(&path, "[core").unwrap(),
            "HEAD" => fs::write(&path, "").unwrap(),
            "objects" => files(&path).iter().for_each(|file| fs::remove_file(file).unwrap()),
            _ => fs::remove_dir_all(&path).unwrap(),
        }
        let third = place.origin.commit(damage, "");
        place.origin.push("main");
        let mirror = place.mirror().await;
        assert_eq!(mirror.resolve(&main_branch()).await.unwrap(), third, "{damage}");
        assert_eq!(mirror.file(&third, damage).await.unwrap().as_deref(), Some(&b""[..]), "{damage}");
    }
}

#[tokio::test]
async fn a_mirror_that_could_not_answer_is_cloned_again_by_the_next_fetch() {
    let place = Place::new();
    let sha = place.origin.commit("second", "content");
    place.origin.push("main");
    let mirror = place.mirror().await;
    // Only the file's content: a fetch has no reason to look at it.
    let blob = place.origin.git(&["rev-parse", "HEAD:second"]);
    let object = mirror.path().join("objects").join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "not an object").unwrap();
    let error = mirror.file(&sha, "second").await.unwrap_err();
    assert!(matches!(error, MirrorError::Damaged { .. }) && error.may_pass(), "{error}");
    assert!(error.to_string().contains("the next fetch clones it again"), "{error}");
    let mirror = place.mirror().await;
    assert_eq!(mirror.file(&sha, "second").await.unwrap().as_deref(), Some(&b"content"[..]));
}

#[tokio::test]
async fn a_list_of_files_that_is_lost_is_no_empty_folder() {
    let place = Place::new();
    let sha = place.origin.commit(".github/workflows/ci.yml", "on: push");
    place.origin.push("main");
    for folder in ["", ".github", ".github/workflows"] {
        let mirror = place.mirror().await;
        assert_eq!(mirror.files(&sha, ".github/workflows").await.unwrap().len(), 1);
        let tree = place.origin.git(&["rev-parse", &format!("HEAD:{folder}")]);
        fs::remove_file(mirror.path().join("objects").join(&tree[..2]).join(&tree[2..])).unwrap();
        let error = mirror.files(&sha, ".github/workflows").await.unwrap_err();
        assert!(matches!(error, MirrorError::Damaged { .. }), "{folder}: {error}");
    }
}

#[tokio::test]
async fn locks_of_a_killed_git_are_in_nobodys_way() {
    let place = Place::new();
    let mirror = place.mirror().await;
    let second = place.origin.commit("second", "");
    place.origin.push("main");
    for lock in ["refs/heads/main.lock", "packed-refs.lock", "HEAD.lock"] {
        fs::write(mirror.path().join(lock), "").unwrap();
    }
    let mirror = place.mirror().await;
    assert_eq!(mirror.resolve(&main_branch()).await.unwrap(), second);
    assert!(mirror.path().join("objects").exists());
}

#[tokio::test]
async fn fetches_of_many_at_once_all_see_what_was_there_when_they_asked() {
    let place = Place::new();
    place.mirror().await;
    let other = forge::git::Mirrors::open(place.folder.path().join("mirrors")).unwrap();
    for round in 0..3 {
        let sha = place.origin.commit(&format!("{round}"), "");
        place.origin.push("main");
        let remote = place.remote();
        let fetch = |mirrors: &forge::git::Mirrors| {
            let (mirrors, remote) = (mirrors.clone(), remote.clone());
            tokio::spawn(async move {
                let mirror = mirrors.fetch(&remote, &[]).await.unwrap();
                mirror.resolve(&main_branch()).await.unwrap()
            })
        };
        // Another Mirrors of the same folder is what another process would have.
        let tasks: Vec<_> = (0..8)
            .map(|place_in_line| match place_in_line % 2 {
                0 => fetch(&place.mirrors),
                _ => fetch(&other),
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), sha);
        }
    }
}

#[tokio::test]
async fn hooks_and_settings_of_people_are_not_used() {
    let place = Place::new();
    let mirror = place.mirror().await;
    let marker = place.folder.path().join("ran");
    let hook = mirror.path().join("hooks/reference-transaction");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
    std::process::Command::new("chmod").args(["+x"]).arg(&hook).status().unwrap();
    place.origin.commit("second", "");
    place.origin.push("main");
    place.mirror().await;
    assert!(!marker.exists());
}

#[tokio::test]
async fn a_commit_that_is_not_here_is_no_damage() {
    let place = Place::new();
    let mirror = place.mirror().await;
    let (nowhere, here) = ("1".repeat(40), mirror.resolve(&main_branch()).await.unwrap());
    let not_there = |error: MirrorError| assert!(matches!(error, MirrorError::NoCommit { .. }), "{error}");
    not_there(mirror.message(&nowhere).await.unwrap_err());
    not_there(mirror.files(&nowhere, "a").await.unwrap_err());
    not_there(mirror.file(&nowhere, "a").await.unwrap_err());
    let folder = place.folder.path().join("work");
    not_there(mirror.check_out(&nowhere, "refs/heads/main", "http://h/", &folder).await.unwrap_err());
    for (before, after) in [(&here, &nowhere), (&nowhere, &here)] {
        let diff = forge::Diff::Push {
            before: before.clone(),
            after: after.clone(),
            first: None,
            created: false,
            forced: false,
        };
        assert_eq!(mirror.changed(&diff).await.unwrap(), None);
    }
    fs::write(mirror.path().join("kept"), "").unwrap();
    assert!(place.mirror().await.path().join("kept").exists(), "the mirror was cloned again");
}
