//! Throws broken input at everything that reads what users write: no panic, no hang, bounded memory.
//!
//! `cargo run -p hearth-fuzz` gives each target some seconds; `--replay FILE` runs one input again.
//! Inputs are mutations of a corpus (the project's own scenarios and examples, and seeds beside each
//! target). Each target runs in a process of its own under a bound of memory, watched from outside,
//! so that whatever ends it, the input that did is kept; as many at a time as there are processors.
//! Decision record 0006 says why not libFuzzer.

mod corpus;
mod mutate;
mod plan;
mod targets;
mod watch;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use targets::Target;

/// The seed of the mutations unless one is given: the same inputs every time, as far as time allows.
const SEED: u64 = 0x4865_6172_7468;

#[derive(Parser)]
#[command(about = "Throws broken input at everything that reads what users write")]
struct Arguments {
    /// Targets; all where none is given
    targets: Vec<Target>,
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seed of the mutations
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Run this input once, on the one target that is given
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Be the watched process (used by the watcher)
    #[arg(long, hide = true, value_name = "FILE")]
    watched: Option<PathBuf>,
}

fn main() -> ExitCode {
    match carry_out(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every target stood it.
fn carry_out(arguments: &Arguments) -> Result<bool> {
    let targets = if arguments.targets.is_empty() { Target::all() } else { arguments.targets.clone() };
    let time = Duration::from_secs(arguments.seconds);
    if let Some(file) = &arguments.replay {
        let input = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
        targets.iter().for_each(|target| target.run(&input));
        return Ok(true);
    }
    if let (Some(file), [target]) = (&arguments.watched, targets.as_slice()) {
        watch::be_watched(*target, file, time, arguments.seed)?;
        return Ok(true);
    }
    watch_all(targets, time, arguments.seed)
}

/// Whether all stood it. There is one watcher for each processor; the next target goes to who is free.
fn watch_all(targets: Vec<Target>, time: Duration, seed: u64) -> Result<bool> {
    let watchers = thread::available_parallelism().context("how many processors are there?")?.get();
    let left = Mutex::new(targets.into_iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<bool> {
        let mut stood = true;
        while let Some(target) = next() {
            stood &= watch::watch(target, time, seed)?;
        }
        Ok(stood)
    };
    thread::scope(|scope| {
        let watchers: Vec<_> = (0..watchers).map(|_| scope.spawn(work)).collect();
        let mut stood = true;
        for watcher in watchers {
            stood &= watcher.join().expect("a watcher does not panic")?;
        }
        Ok(stood)
    })
}
