//! kill -9 at any moment.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use model::JobId;
use store::log::LogFolder;
use store::record::Receipt;
use store::{SqliteStore, Store};
use tempfile::TempDir;

use crate::child;
use crate::sample::{delivery, guids, line};

/// How often the child is killed.
const LIVES: usize = 12;
/// Callers at once, so that transactions have many deliveries.
const CALLERS: usize = 16;

/// Not a test by itself: writes, and says what is acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes_until_it_is_killed() {
    let Some(folder) = child::folder() else { return };
    let store = Arc::new(SqliteStore::open(&folder).expect("opens after every kill"));
    let life = std::process::id();
    for caller in 0..CALLERS {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0.. {
                let guid = format!("{life}-{caller}-{n}");
                let receipt = store.receive(delivery(&guid, 3000)).await.expect("received");
                assert!(matches!(receipt, Receipt::New(_)));
                say(&format!("delivery {guid}"));
            }
        });
    }
    let logs = LogFolder::new(&folder.join("logs"));
    let mut writer = logs.append(JobId(1)).expect("opened");
    loop {
        let from = writer.count();
        writer.write(&[line(from), line(from + 1)]).expect("written");
        writer.flush().expect("flushed");
        say(&format!("log {}", writer.count()));
        // As often as there are transactions.
        store.check().await.expect("writes");
    }
}

fn say(what: &str) {
    // One write, so that lines of several threads do not mix.
    let _ = std::io::stdout().write_all(format!("{what}\n").as_bytes());
}

/// Everything that a child said before it was killed, after so many lines.
fn life(folder: &Path, lines: usize) -> Vec<String> {
    let mut command = child::command("killed::child_that_writes_until_it_is_killed", folder);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    let mut said = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut all: Vec<String> = said.by_ref().take(lines).collect();
    child.kill().expect("killed");
    all.extend(said);
    child.wait().expect("ended");
    assert!(all.len() >= lines, "the child ended by itself: {all:?}");
    all
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_by_kill_9() {
    let folder = TempDir::new().expect("a folder");
    let (mut acknowledged, mut lines) = (HashSet::new(), 0);
    for kill in 0..LIVES {
        for said in life(folder.path(), 40 + 97 * kill) {
            if let Some(guid) = said.strip_prefix("delivery ") {
                acknowledged.insert(guid.to_owned());
            } else if let Some(count) = said.strip_prefix("log ") {
                lines = lines.max(count.parse().expect("a number"));
            }
        }
        let store = SqliteStore::open(folder.path()).expect("opens");
        let kept: HashSet<String> = guids(&store).await.into_iter().collect();
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "lost after kill {kill}: {lost:?}");
        let log = LogFolder::new(&folder.path().join("logs")).read(JobId(1));
        assert!(log.count().await.expect("counted") >= lines);
    }
    assert!(acknowledged.len() > LIVES * 50, "{} deliveries say little", acknowledged.len());
    assert!(lines > 0);
}
