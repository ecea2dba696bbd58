//! One server for a folder.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use store::{SqliteStore, StoreError};
use tempfile::TempDir;

use crate::child;

#[tokio::test]
async fn a_second_opener_is_told_who_has_the_folder() {
    let folder = TempDir::new().expect("a folder");
    let first = SqliteStore::open(folder.path()).expect("opens");
    let second = SqliteStore::open(folder.path()).expect_err("taken");
    assert!(matches!(second, StoreError::Taken { .. }));
    let expected = format!("another hearth (process {}) has the data folder", std::process::id());
    assert!(second.to_string().starts_with(&expected), "{second}");
    drop(first);
    SqliteStore::open(folder.path()).expect("the first has gone");
}

#[test]
fn a_folder_is_free_again_after_kill_9() {
    let folder = TempDir::new().expect("a folder");
    let mut command = child::command("killed::child_that_writes_until_it_is_killed", folder.path());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut said = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    said.find(|line| line.starts_with("delivery ")).expect("it writes");
    let taken = SqliteStore::open(folder.path()).expect_err("the child has it").to_string();
    assert!(taken.contains(&format!("(process {})", child.id())), "{taken}");
    child.kill().expect("killed");
    child.wait().expect("ended");
    SqliteStore::open(folder.path()).expect("nobody has it");
}
