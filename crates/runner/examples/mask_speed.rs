//! How fast a log goes through masking to events: 100 MB of lines, prints MB/s.
//!
//! `cargo run --release -p hearth-runner --example mask_speed`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::{EventSink, JobEvent, StepPhase, StepRef, Stream};
use runner::command::{CommandPolicy, CommandProcessor};
use runner::lines::LineBuffer;
use runner::log::JobLog;

/// Size of the log.
const BYTES: usize = 100 * 1000 * 1000;

/// As the agent reads a pipe.
const CHUNK: usize = 64 * 1024;

/// Counts what arrives.
#[derive(Default)]
struct Counter {
    lines: AtomicU64,
    masked: AtomicU64,
}

impl EventSink for Counter {
    fn emit(&self, event: JobEvent) {
        if let JobEvent::Log(line) = event {
            self.lines.fetch_add(1, Ordering::Relaxed);
            self.masked.fetch_add(u64::from(line.text.contains("***")), Ordering::Relaxed);
        }
    }
}

fn main() {
    let text = sample();
    let counter = Arc::new(Counter::default());
    let log = JobLog::new(counter.clone());
    for secret in ["ghs_16C7e42F292c6912E7710c838347Ae178B4a", "correct horse battery staple", "s3cr3t!"] {
        log.masker.add(secret);
    }
    let step = StepRef { index: 0, phase: StepPhase::Main };
    let mut commands = CommandProcessor::new(CommandPolicy::default(), false);
    let mut lines = LineBuffer::new(log.masker.longest());
    let begun = Instant::now();
    for chunk in text.chunks(CHUNK) {
        lines.push(chunk, |line| {
            if commands.process(&line.text).is_none() {
                log.line(step, Stream::Stdout, &line.text, line.dropped);
            }
        });
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (lines, masked) = (counter.lines.load(Ordering::Relaxed), counter.masked.load(Ordering::Relaxed));
    println!(
        "{:.0} MB/s: {lines} lines, {masked} with a secret, in {seconds:.3} s",
        BYTES as f64 / 1e6 / seconds
    );
}

/// Lines as builds print them; every hundredth holds a secret.
fn sample() -> Vec<u8> {
    let mut text = Vec::with_capacity(BYTES + 200);
    let mut n = 0;
    while text.len() < BYTES {
        let line = match n % 100 {
            0 => format!(
                "2026-11-21T05:00:{:02}Z pushing with ghs_16C7e42F292c6912E7710c838347Ae178B4a\n",
                n % 60
            ),
            1..30 => format!(
                "   Compiling crate-{n} v1.{}.0 (/home/runner/work/app/app/crates/crate-{n})\n",
                n % 17
            ),
            30..60 => {
                format!("test module_{}::tests::it_does_what_it_should_{n} ... \x1b[32mok\x1b[0m\n", n % 50)
            }
            _ => format!(
                "[{n:>8}] GET /api/v1/resources/{n}?page={} 200 {} bytes in {} ms\n",
                n % 9,
                n % 4096,
                n % 77
            ),
        };
        text.extend_from_slice(line.as_bytes());
        n += 1;
    }
    text.truncate(BYTES);
    text
}
