//! The figures of the server: each is an example of the crate that it is about, and prints Markdown.

use anyhow::Result;

use crate::command::{output, program};

/// Title, package, and example of each.
const FIGURES: &[(&str, &str, &str)] = &[
    ("Decisions of the scheduler (target: 5 ms)", "hearth-scheduler", "decide_speed"),
    (
        "Deliveries made durable (target: 1,000 a second, each within 20 ms at p99)",
        "hearth-store",
        "delivery_speed",
    ),
    ("A log of a million lines, opened at any place (target: 100 ms)", "hearth-store", "log_speed"),
];

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
