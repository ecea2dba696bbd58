//! The figures of the server: each is an example of the crate that it is about, and prints Markdown.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::command::{output, program, root};

/// Title, package, and example of each.
const FIGURES: &[(&str, &str, &str)] = &[
    ("Decisions of the scheduler (target: 5 ms)", "hearth-scheduler", "decide_speed"),
    (
        "Deliveries made durable (target: 1,000 a second, each within 20 ms at p99)",
        "hearth-store",
        "delivery_speed",
    ),
    (
        "The whole server (targets: 1,000 webhooks a second acknowledged, p99 20 ms; first line at the median within 150 ms; 40 MB at rest)",
        "hearth-e2e",
        "server_speed",
    ),
    ("A log of a million lines, opened at any place (target: 100 ms)", "hearth-store", "log_speed"),
];

/// All figures, as sections of the report.
///
/// What they write lies in `folder`: on a disk, as what is durable in memory costs nothing.
pub(super) fn run(folder: &Path) -> Result<String> {
    let temporary = folder.join("tmp");
    fs::create_dir_all(&temporary)?;
    let mut report = String::new();
    for (title, package, example) in FIGURES {
        let mut example =
            program("cargo", ["run", "--release", "--quiet", "-p", package, "--example", example]);
        // The image that the tests of virtual machines have built, where they have.
        let machines = root().join("target/vm");
        if machines.join("images/names/default").exists() {
            example.env("HEARTH_VM_DATA", machines);
        }
        let printed = output(example.env("TMPDIR", &temporary))?;
        report.push_str(&format!("\n### {title}\n\n{printed}"));
    }
    Ok(report)
}
