//! Runs GitHub's own workflow cases (`HEARTH_CONFORMANCE_DIR`, or the checkout beside this one).
//!
//! A case is a file of documents: options, the workflow, files that it calls, and what GitHub
//! makes of it: the workflow as JSON, or its errors.

#[path = "conformance_workflows/case.rs"]
mod case;
#[path = "conformance_workflows/compare.rs"]
mod compare;
#[path = "conformance_workflows/events.rs"]
mod events;
#[path = "conformance_workflows/json.rs"]
mod json;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use case::Case;

/// Cases that do not describe today's GitHub, with the reason.
const SKIPPED: &[(&str, &str)] = &[(
    "errors-anchor-tag.yml",
    "GitHub supports anchors since September 2025; the case expects their refusal",
)];

/// Passed, failed, and skipped of a group.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

#[test]
fn workflows_are_read_as_github_reads_them() {
    let folder = folder();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut failures = Vec::new();
    for path in files(&folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let tally = tallies.entry(group(&name)).or_default();
        if let Some((_, reason)) = SKIPPED.iter().find(|(skipped, _)| *skipped == name) {
            println!("skipped {name}: {reason}");
            tally.skipped += 1;
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        match Case::parse(&name, &text).and_then(|case| compare::run(&case)) {
            Ok(()) => tally.passed += 1,
            Err(problem) => {
                tally.failed += 1;
                failures.push(format!("{name}: {problem}"));
            }
        }
    }
    for (group, tally) in &tallies {
        println!("{group}: {} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    }
    assert!(!tallies.is_empty(), "no cases in {}", folder.display());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn folder() -> PathBuf {
    let given = std::env::var_os("HEARTH_CONFORMANCE_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let folder = given.unwrap_or(beside).join("workflows");
    let message = format!("no {}: set HEARTH_CONFORMANCE_DIR to the conformance data", folder.display());
    assert!(folder.is_dir(), "{message}");
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .collect();
    files.sort();
    files
}

/// The first word of a name: `errors`, `job`, `reusable`.
fn group(name: &str) -> String {
    name.split(['-', '.']).next().unwrap_or_default().to_owned()
}
