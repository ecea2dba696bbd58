//! Databases that something happened to.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use store::sqlite::DATABASE_FILE;
use store::{SqliteStore, Store, StoreError};
use tempfile::TempDir;

use crate::sample::{delivery, guids};

/// A database of some hundred pages, closed well.
async fn filled() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let store = SqliteStore::open(folder.path()).expect("opens");
    for n in 0..200 {
        store.receive(delivery(&format!("delivery-{n}"), 3000)).await.expect("received");
    }
    drop(store);
    let path = folder.path().join(DATABASE_FILE);
    assert!(fs::metadata(&path).expect("there").len() > 500_000);
    (folder, path)
}

fn damaged(folder: &TempDir) -> String {
    let error = SqliteStore::open(folder.path()).expect_err("it is damaged");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(DATABASE_FILE) && text.contains("with `hearth restore FROM --data /"), "{text}");
    text
}

#[tokio::test]
async fn a_database_that_was_cut_is_refused_with_a_way_out() {
    for keep in [100, 4096, 40_000, 400_000] {
        let (folder, path) = filled().await;
        File::options().write(true).open(&path).expect("there").set_len(keep).expect("cut");
        damaged(&folder);
    }
}

#[tokio::test]
async fn a_database_with_overwritten_pages_is_refused_with_a_way_out() {
    let (folder, path) = filled().await;
    let file = File::options().write(true).open(&path).expect("there");
    for page in [5, 20, 60] {
        file.write_all_at(&[0x5a; 4096], page * 4096).expect("written");
    }
    damaged(&folder);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_with_a_way_out() {
    let folder = TempDir::new().expect("a folder");
    fs::write(
        folder.path().join(DATABASE_FILE),
        "no database, but long enough to be looked at. ".repeat(200),
    )
    .expect("written");
    damaged(&folder);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (folder, path) = filled().await;
    // `user_version` in the header: https://www.sqlite.org/fileformat2.html#user_version_number
    let file = File::options().write(true).open(&path).expect("there");
    file.write_all_at(&7777_u32.to_be_bytes(), 60).expect("written");
    let before = fs::read(&path).expect("read");
    let error = SqliteStore::open(folder.path()).expect_err("too new").to_string();
    assert!(error.contains("has format 7777") && error.contains("run the newer version"), "{error}");
    assert!(fs::read(&path).expect("read") == before);
}

#[tokio::test]
async fn a_log_of_changes_that_was_torn_costs_only_what_was_torn() {
    let (folder, path) = filled().await;
    let store = SqliteStore::open(folder.path()).expect("opens");
    for n in 0..5 {
        store.receive(delivery(&format!("late-{n}"), 3000)).await.expect("received");
    }
    // As a crash leaves it: copied while it is open, with the last transaction torn.
    let crashed = TempDir::new().expect("a folder");
    let log = format!("{DATABASE_FILE}-wal");
    fs::copy(&path, crashed.path().join(DATABASE_FILE)).expect("copied");
    fs::copy(folder.path().join(&log), crashed.path().join(&log)).expect("copied");
    let torn = File::options().write(true).open(crashed.path().join(&log)).expect("there");
    torn.set_len(torn.metadata().expect("there").len() - 100).expect("cut");
    let kept = guids(&SqliteStore::open(crashed.path()).expect("opens")).await;
    assert_eq!(kept.len(), 204);
    assert!(!kept.contains(&"late-4".to_owned()));
}
