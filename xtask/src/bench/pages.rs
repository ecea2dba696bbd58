//! How a log of a million lines feels in a browser.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::browser::{Build, play};

/// Longest that a page may not answer: beyond, people see it stutter (<https://web.dev/articles/rail#response>).
const LONGEST_MS: u64 = 100;

/// What was done, as the story tells it.
#[derive(Deserialize)]
struct Done {
    name: String,
    took_ms: u64,
    /// 0 where none took 50 ms, from which on browsers tell of them (<https://w3c.github.io/longtasks/>).
    longest_task_ms: u64,
}

/// Measures it; the section of the report.
pub(super) fn run(folder: &Path) -> Result<String> {
    let said = play("million", Build::Release, folder)?;
    let mut section =
        "\n### A log of 1,000,000 lines in a browser\n\n| | Took | Longest task |\n|---|---|---|\n"
            .to_owned();
    for line in said.lines() {
        let done: Done = serde_json::from_str(line).with_context(|| format!("the story says {line:?}"))?;
        let longest = match done.longest_task_ms {
            0 => "under 50 ms".to_owned(),
            ms if ms > LONGEST_MS => format!("{ms} ms **too long**"),
            ms => format!("{ms} ms"),
        };
        section.push_str(&format!("| {} | {} ms | {longest} |\n", done.name, done.took_ms));
    }
    Ok(section)
}
