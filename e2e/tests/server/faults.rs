//! A disk without room, a clock that jumps, and a forge that is silent.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hearth_e2e::served::{Forge, Repository, Server, Setting};
use serde_json::json;

const FLOW: &str = "\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: 'echo spark'}]
";

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut ballast = File::create(path).expect("made");
    for piece in [vec![0; 1 << 20], vec![0; 1 << 10], vec![0; 1]] {
        loop {
            match ballast.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_webhook_that_finds_no_room_is_not_acknowledged_and_runs_when_it_comes_again() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: only root can mount a small disk");
        return;
    }
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let mount = Some("mount -t tmpfs -o size=48m,mode=700 none \"$DATA\"");
    let without_marks = json!({"serve": {"disk": {"stop-below": 0, "resume-above": 0, "files": 0}}});
    let setting = Setting { mounted: mount, ..Setting::default() };
    let server = Server::set(&repository, &forge, without_marks, setting);
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success");
    let ballast = server.data().join("ballast");
    fill(&ballast);
    let mut payload = repository.push(&sha);
    // More than what the database's pages have left over.
    payload["padding"] = json!("x".repeat(1 << 20));
    let (status, answer) = server.deliver("push", &payload, "d-2");
    assert_eq!(status, 503, "{answer}");
    assert_eq!(server.get("/api/v1/runs/1").1["conclusion"], "success", "what is there can be seen");
    std::fs::remove_file(&ballast).expect("removed");
    assert_eq!(server.deliver("push", &payload, "d-2").0, 200);
    assert_eq!(server.ended(2)["conclusion"], "success");
}

#[test]
fn repositories_that_hang_hold_up_no_other_however_many_they_are() {
    /// More than are begun at once.
    const SILENT: u64 = 12;
    /// Far less than the minute after which git gives up.
    const SOON: Duration = Duration::from_secs(40);
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    let began = Instant::now();
    for number in 1..=SILENT {
        server.deliver("push", &repository.push_to_silent(number, &sha), &format!("silent-{number}"));
    }
    server.deliver("push", &repository.push(&sha), "d-1");
    assert_eq!(server.ended(1)["conclusion"], "success");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_clock_that_jumps_either_way_stops_nothing() {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let folder = tempfile::tempdir().expect("a folder");
    let offset = folder.path().join("offset");
    let set = |text: &str| std::fs::write(&offset, text).expect("written");
    set("+0");
    let env = vec![
        ("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1".to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    let server = Server::set(&repository, &forge, json!({}), Setting { env, ..Setting::default() });
    let mut at = Vec::new();
    for (number, jump) in ["+0", "+2d", "-2d", "+0"].iter().enumerate() {
        set(jump);
        let run = number as u64 + 1;
        server.deliver("push", &repository.push(&sha), &format!("d-{run}"));
        let ended = server.ended(run);
        assert_eq!(ended["conclusion"], "success", "{jump}: {ended}");
        at.push(ended["ended_at"].as_u64().expect("a time"));
    }
    const DAY: u64 = 24 * 60 * 60 * 1000;
    assert!(at[1] > at[0] + DAY && at[2] + 3 * DAY < at[1], "the clock has jumped: {at:?}");
}
