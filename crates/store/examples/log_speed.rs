//! How fast a log of a million lines is written, opened at any place, and searched.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use model::{JobId, LogLine, StepPhase, StepRef, Stream};
use store::log::{LogFolder, Pattern};

const LINES: u64 = 1_000_000;

/// What a page asks for.
const PAGE: usize = 200;

/// Places that are opened, spread over the whole.
const PLACES: u64 = 200;

fn line(n: u64, began: SystemTime) -> LogLine {
    LogLine {
        step: StepRef { index: 2, phase: StepPhase::Main },
        sequence: n,
        stream: Stream::Stdout,
        at: began + Duration::from_micros(n * 50),
        text: format!(
            "   Compiling crate-{n} v0.1.{} (/src/crates/crate-{n}) with some features more",
            n % 100
        ),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let logs = LogFolder::new(folder.path());
    let (began, since) = (Instant::now(), SystemTime::now());
    let mut writer = logs.append(JobId(1))?;
    for start in (0..LINES).step_by(1000) {
        writer.write(&(start..start + 1000).map(|n| line(n, since)).collect::<Vec<_>>())?;
        writer.flush()?;
    }
    writer.finish()?;
    println!("| A log of {LINES} lines | median | worst |");
    println!("|---|---|---|");
    println!("| written and flushed to the disk | {:.2} s | |", began.elapsed().as_secs_f64());

    let log = logs.read(JobId(1));
    let (mut by_line, mut by_time) = (Vec::new(), Vec::new());
    for place in 0..PLACES {
        // A large prime scatters them.
        let from = place * 7_368_787 % (LINES - PAGE as u64);
        let began = Instant::now();
        let page = log.lines(from, PAGE).await?;
        by_line.push(began.elapsed());
        assert!(page.len() == PAGE && page[0].number == from, "line {from}");
        let began = Instant::now();
        let found = log.at_time(page[0].line.at).await?;
        by_time.push(began.elapsed());
        assert!(found == from, "{found} at the time of line {from}");
    }
    println!("| {PAGE} lines from any place | {}", row(&mut by_line));
    println!("| the line of any moment | {}", row(&mut by_time));

    let pattern = Pattern::text("crate-999999 ", true)?;
    let (began, mut from) = (Instant::now(), 0);
    loop {
        let found = log.search(&pattern, from, 10).await?;
        match found.next {
            Some(next) => from = next,
            None => break,
        }
    }
    println!("| searched to its last line | {:.0} ms | |", began.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

fn row(took: &mut [Duration]) -> String {
    took.sort_unstable();
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    format!("{:.1} ms | {:.1} ms |", ms(took[took.len() / 2]), ms(took[took.len() - 1]))
}
