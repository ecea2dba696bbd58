//! A process that fuzzes, and the one that watches it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, setrlimit};

use crate::targets::Target;
use crate::{corpus, mutate};

/// Address space of the watched process: an input of 64 KiB that needs a gigabyte is a bomb.
const MEMORY_BYTES: u64 = 1 << 30;

/// Longest that one input may take, in a build without optimisation on a loaded machine.
const INPUT_TIME: Duration = Duration::from_secs(20);

/// How often the watched process says that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_millis(200);

/// Fuzzes until the time is up. The input at hand is always in `file`.
pub(crate) fn be_watched(target: Target, file: &Path, time: Duration, seed: u64) -> Result<()> {
    setrlimit(Resource::RLIMIT_AS, MEMORY_BYTES, MEMORY_BYTES).context("can't bound the memory")?;
    let corpus = corpus::of(target)?;
    let mut random = mutate::Random::new(seed);
    let (began, mut said, mut count) = (Instant::now(), Instant::now(), 0_u64);
    for input in &corpus {
        fs::write(file, input)?;
        target.run(input);
    }
    while began.elapsed() < time {
        let input = mutate::input(&corpus, &mut random);
        fs::write(file, &input)?;
        target.run(&input);
        count += 1;
        if said.elapsed() > SIGN_OF_LIFE {
            said = Instant::now();
            println!("{count}");
        }
    }
    println!("{count}");
    std::io::stdout().flush().context("nobody watches")
}

/// Runs a target in a process of its own. Whether it stood it; if not, the input is kept and named.
pub(crate) fn watch(target: Target, time: Duration, seed: u64) -> Result<bool> {
    let (findings, file) = places(target)?;
    let mut child = Command::new(std::env::current_exe().context("where is the fuzzer?")?)
        .arg(target.name())
        .args(["--seconds", &time.as_secs().to_string(), "--seed", &seed.to_string(), "--watched"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't run the fuzzer")?;
    let stdout = child.stdout.take().context("no pipe")?;
    let stderr = child.stderr.take().context("no pipe")?;
    // Kept until its end, so that two of them do not speak at once.
    let complaints = std::thread::spawn(|| io::read_to_string(stderr).unwrap_or_default());
    let (sender, signs) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The watcher is gone when it has seen a hang.
            let _ = sender.send(line);
        }
    });
    let mut count = "0".to_owned();
    let fault = loop {
        match signs.recv_timeout(INPUT_TIME) {
            Ok(said) => count = said,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                break Some(format!("one input took more than {} s", INPUT_TIME.as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait()?;
                break (!status.success()).then(|| status.to_string());
            }
        }
    };
    let Some(fault) = fault else {
        println!("fuzz: {}: {count} inputs, none broke it", target.name());
        return Ok(true);
    };
    let kept = findings.join(format!("{}-{}", target.name(), std::process::id()));
    let complaint = complaints.join().unwrap_or_default();
    fs::copy(&file, &kept).with_context(|| format!("can't keep the input in {}", kept.display()))?;
    eprintln!(
        "{complaint}fuzz: {}: {fault}; run it again: cargo run -p hearth-fuzz -- {} --replay {}",
        target.name(),
        target.name(),
        kept.display()
    );
    Ok(false)
}

/// Where findings are kept, and the file with the input at hand.
fn places(target: Target) -> Result<(PathBuf, PathBuf)> {
    let program = std::env::current_exe().context("where is the fuzzer?")?;
    let findings = program.with_file_name("fuzz-findings");
    fs::create_dir_all(&findings).with_context(|| format!("can't make {}", findings.display()))?;
    let file = findings.join(format!("{}-at-hand", target.name()));
    Ok((findings, file))
}
