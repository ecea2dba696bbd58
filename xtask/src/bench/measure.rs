//! Wall time and memory of one command with everything that it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};

use crate::command::shown;

/// Name of the task of xtask that [`Sample::take`] runs commands under.
pub(crate) const MEASURE: &str = "measure";

/// One run of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    wall_seconds: f64,
    largest_process_kib: f64,
}

impl Sample {
    /// Runs a command, which must succeed, under a process of its own: what the kernel says of
    /// that process's children is then about this command alone.
    pub(crate) fn take(command: &mut Command) -> Result<Sample> {
        let name = shown(command);
        let xtask = std::env::current_exe().context("where is xtask?")?;
        let mut under = Command::new(xtask);
        under.arg(MEASURE).arg(command.get_program()).args(command.get_args());
        under.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            under.current_dir(folder);
        }
        let output = under.output().with_context(|| format!("can't run {name}"))?;
        ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let mut numbers = text.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(wall_seconds)), Some(Ok(largest_process_kib))) => {
                Ok(Sample { wall_seconds, largest_process_kib })
            }
            _ => anyhow::bail!("{name}: measured nothing: {text:?}"),
        }
    }
}

/// The task behind [`Sample::take`]: runs the command and prints its seconds and KiB.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let (name, arguments) = words.split_first().context("nothing to measure")?;
    let began = Instant::now();
    let output = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("can't run {name}"))?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    println!("{seconds} {}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(())
}

/// Samples of several rounds.
#[derive(Default)]
pub(crate) struct Figures(Vec<Sample>);

impl Figures {
    pub(crate) fn push(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// Median of the wall times in seconds.
    pub(crate) fn wall(&self) -> f64 {
        median(self.0.iter().map(|sample| sample.wall_seconds).collect())
    }

    /// The shortest wall time in seconds.
    pub(crate) fn fastest(&self) -> f64 {
        self.0.iter().map(|sample| sample.wall_seconds).fold(f64::INFINITY, f64::min)
    }

    /// Median of the peak of the largest process, in MiB.
    pub(crate) fn memory_mib(&self) -> f64 {
        median(self.0.iter().map(|sample| sample.largest_process_kib).collect()) / 1024.0
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Peak in MiB of what a command and all its descendants hold together (proportional set sizes, so that
/// shared pages count once). Sampled as fast as it goes in a run of its own, whose time is not measured.
pub(crate) fn memory_of_all(command: &mut Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("can't run {}", shown(command)))?;
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        peak = peak.max(descendants(child.id()).into_iter().map(proportional_kib).sum());
    }
    Ok(f64::from(u32::try_from(peak)?) / 1024.0)
}

/// A process and everything below it.
fn descendants(root: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that has just gone has no parent any more.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(id);
    }
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        for child in children.remove(&id).unwrap_or_default() {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn proportional_kib(id: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{median, memory_of_all};

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]).to_bits(), 2.5_f64.to_bits());
    }

    #[test]
    fn memory_of_grandchildren_counts() {
        let script = "python3 -c 'import time; held = bytearray(60 << 20); time.sleep(0.5)' & wait";
        let held = memory_of_all(Command::new("bash").args(["-c", script])).expect("bash runs");
        assert!(held > 60.0, "{held} MiB");
    }
}
