//! The machine's processes, as `/proc` shows them.

use std::collections::{HashMap, HashSet};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Rounds of stopping before killing: each finds only what was born in the one before.
const FREEZE_ROUNDS: usize = 16;

/// All processes below `root`, itself not counted.
pub(super) fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, parent) in all() {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = Vec::new();
    let mut look_at = vec![root];
    while let Some(parent) = look_at.pop() {
        let below = children.remove(&parent).unwrap_or_default();
        found.extend_from_slice(&below);
        look_at.extend(below);
    }
    found
}

/// Sends a signal to each. Who is gone is fine.
pub(super) fn send_each(pids: &[i32], signal: Signal) {
    for pid in pids {
        let _ = kill(Pid::from_raw(*pid), signal);
    }
}

/// Sends a signal to all below `root`. Before KILL they are stopped, so that none can fork away.
pub(super) fn send_all_below(root: i32, signal: Signal) {
    if root == 1 {
        let _ = kill(Pid::from_raw(-1), signal);
        return;
    }
    if signal == Signal::SIGKILL {
        freeze(root);
    }
    send_each(&descendants(root), signal);
}

fn freeze(root: i32) {
    let mut stopped = HashSet::new();
    for _ in 0..FREEZE_ROUNDS {
        let new: Vec<i32> = descendants(root).into_iter().filter(|pid| stopped.insert(*pid)).collect();
        if new.is_empty() {
            return;
        }
        send_each(&new, Signal::SIGSTOP);
    }
}

/// Each process and its parent.
fn all() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, even `)`: the fields come after the last one.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields = std::str::from_utf8(&stat[after_name..]).ok()?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}
