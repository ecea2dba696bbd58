//! The figures of the server: each is an example of the crate that it is about, and prints Markdown.

use anyhow::Result;

use crate::command::{output, program};

/// Title, package, and example of each.
const FIGURES: &[(&str, &str, &str)] =
    &[("Decisions of the scheduler (target: 5 ms)", "hearth-scheduler", "decide_speed")];

/// All figures, as sections of the report.
pub(super) fn run() -> Result<String> {
    let mut report = String::new();
    for (title, package, example) in FIGURES {
        let printed = output(&mut program(
            "cargo",
            ["run", "--release", "--quiet", "-p", package, "--example", example],
        ))?;
        report.push_str(&format!("\n### {title}\n\n{printed}"));
    }
    Ok(report)
}
