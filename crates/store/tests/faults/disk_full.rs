//! A disk without room, and with room again.

use std::fs;
use std::path::Path;

use model::JobId;
use store::log::LogFolder;
use store::{SqliteStore, Store, StoreError};
use tempfile::TempDir;

use crate::child;
use crate::sample::{NOON, delivery, guids, line};

/// Runs a test of this file, which is its own child, on a disk of so many MiB.
fn on_small_disk(test: &str, mib: u32) {
    let folder = TempDir::new().expect("a folder");
    let mut command = child::on_small_disk(&format!("disk_full::{test}"), folder.path(), mib);
    let done = command.output().expect("unshare (util-linux) runs");
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

/// Takes all room that there is.
fn fill(folder: &Path) -> std::path::PathBuf {
    let ballast = folder.join("ballast");
    let mut size = 1 << 20;
    let mut all = Vec::new();
    while size >= 512 {
        all.resize(all.len() + size, 0_u8);
        if fs::write(&ballast, &all).is_err() {
            all.truncate(all.len() - size);
            size /= 2;
        }
    }
    // The last try may have left the file shorter than it was.
    let _ = fs::write(&ballast, &all);
    ballast
}

#[tokio::test]
async fn the_store_works_on_when_there_is_room_again() {
    let Some(folder) = child::folder() else {
        return on_small_disk("the_store_works_on_when_there_is_room_again", 8);
    };
    let store = SqliteStore::open(&folder).expect("opens");
    store.receive(delivery("before", 1000)).await.expect("received");
    let ballast = fill(&folder);
    let mut acknowledged = vec!["before".to_owned()];
    let mut refused = None;
    for n in 0..2000 {
        let guid = format!("delivery-{n}");
        match store.receive(delivery(&guid, 5000)).await {
            Ok(_) => acknowledged.push(guid),
            Err(error) => refused = Some(error),
        }
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("the disk is full");
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    assert!(refused.to_string().contains("free some space on the disk"), "{refused}");
    store.check().await.expect_err("it says that it can't write");
    let due = store.due_deliveries(NOON, Vec::new(), 500).await.expect("what is there can be read");
    assert_eq!(due.len(), acknowledged.len());

    fs::remove_file(ballast).expect("room again");
    store.receive(delivery("after", 5000)).await.expect("received");
    store.check().await.expect("all is well");
    acknowledged.push("after".to_owned());
    drop(store);
    let mut kept = guids(&SqliteStore::open(&folder).expect("opens")).await;
    kept.reverse();
    assert_eq!(kept, acknowledged);
}

#[tokio::test]
async fn a_log_says_how_many_lines_had_no_room_and_goes_on() {
    let Some(folder) = child::folder() else {
        return on_small_disk("a_log_says_how_many_lines_had_no_room_and_goes_on", 4);
    };
    let logs = LogFolder::new(&folder.join("logs"));
    let mut writer = logs.append(JobId(1)).expect("opened");
    writer.write(&[line(0), line(1)]).expect("written");
    writer.flush().expect("flushed");
    let ballast = fill(&folder);
    let (mut sequence, mut taken) = (2, 2);
    let refused = loop {
        let lines: Vec<_> = (sequence..sequence + 100).map(line).collect();
        sequence += 100;
        match writer.write(&lines).and_then(|()| writer.flush()) {
            Ok(()) => taken = sequence,
            Err(refused) => break refused,
        }
    };
    assert_eq!(
        refused.to_string(),
        "no room left for the log of job 1; free some space on the disk of the data folder"
    );
    let lines: Vec<_> = (sequence..sequence + 100).map(line).collect();
    writer.write(&lines).and_then(|()| writer.flush()).expect_err("still full");
    sequence += 100;
    fs::remove_file(ballast).expect("room again");
    writer.write(&[line(sequence)]).expect("written");
    writer.finish().expect("finished");

    let read = logs.read(JobId(1)).lines(taken, 10).await.expect("read");
    let texts: Vec<_> = read.iter().map(|line| line.line.text.as_str()).collect();
    let lost = sequence - taken;
    assert_eq!(texts[0], format!("[{lost} lines were lost here: the disk did not take them]"));
    assert!(texts[1].starts_with(&format!("line {sequence} ")), "{texts:?}");
    assert_eq!(texts.len(), 2);
}
