//! `cargo xtask test`: every stage in order, each with its time, and a count at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::command::{self, cargo, check, program, runs, shown};
use crate::{codegen, deny, docs, layers, packaging, setup, workspace};

/// For each target: long enough to try thousands of inputs, short enough for every commit.
const FUZZ_SECONDS: &str = "10";

/// One part of the test suite, in the order in which all of them run: the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// What a fresh machine lacks
    Setup,
    /// Formatting
    Fmt,
    /// Shell scripts
    Shell,
    /// The unit, the installer, and the alert rules
    Packaging,
    /// Dependencies between crates point down
    Layers,
    /// Licences, sources, and versions of dependencies
    Deny,
    /// What is generated is what is committed
    Codegen,
    /// Lints
    Clippy,
    /// Links, README, and the API's documentation
    Docs,
    /// Tests of each crate
    Unit,
    /// What GitHub expects of workflows, and Firecracker of its clients
    Conformance,
    /// Broken input for every reader, some seconds each
    Fuzz,
    /// Workflows end to end, on the sandbox and on the host
    Scenario,
    /// A real image, built and booted
    Vm,
    /// README's first command, as a newcomer types it
    Readme,
    /// Every workflow end to end on virtual machines; of which CI runs some, so only when named
    VmScenarios,
}

/// How many tests, or checks, ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs the given stages, or all. A stage that fails does not keep the next from running.
pub(crate) fn run(only: &[Stage]) -> ExitCode {
    let mut total = Counts::default();
    let mut failed = Vec::new();
    let mut release = None;
    let started = Instant::now();
    for stage in Stage::value_variants().iter().filter(|stage| stage.is_wanted(only)) {
        println!("\n=== {stage:?}");
        let began = Instant::now();
        let mut counts = Counts::default();
        if *stage == Stage::Vm && Stage::Readme.is_wanted(only) {
            release = build_ahead().ok();
        }
        let ended = stage.carry_out(&mut counts, &mut release);
        if let Err(error) = &ended {
            eprintln!("xtask: {error:#}");
            failed.push(format!("{stage:?}"));
            counts.failed = counts.failed.max(1);
        } else if counts == Counts::default() {
            counts.passed = 1;
        }
        total.add(counts);
        let word = if ended.is_ok() { "ok" } else { "FAILED" };
        println!("=== {stage:?}: {word} in {:.1} s", began.elapsed().as_secs_f64());
    }
    println!("\nAll stages took {:.0} s.", started.elapsed().as_secs_f64());
    if !failed.is_empty() {
        println!("Failed: {}", failed.join(", "));
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Stage {
    /// Whether it runs when these are named, or none.
    fn is_wanted(self, only: &[Stage]) -> bool {
        if only.is_empty() { self != Stage::VmScenarios } else { only.contains(&self) }
    }

    fn carry_out(self, counts: &mut Counts, release: &mut Option<Child>) -> Result<()> {
        match self {
            Stage::Setup => setup::run(),
            Stage::Fmt => check(&mut cargo(["fmt", "--all", "--check"])),
            Stage::Shell => shell_scripts(),
            Stage::Packaging => packaging::run(),
            Stage::Layers => layers::run(),
            Stage::Deny => deny::run(),
            Stage::Codegen => codegen::run(true),
            Stage::Clippy => {
                check(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
            }
            Stage::Docs => documentation(),
            Stage::Unit => unit(counts),
            Stage::Conformance => conformance(counts),
            Stage::Fuzz => {
                check(Command::new(workspace::built("hearth-fuzz")?).args(["--seconds", FUZZ_SECONDS]))
            }
            Stage::Scenario => scenarios(counts),
            Stage::Vm => virtual_machines(counts),
            Stage::Readme => readme(release.take()),
            Stage::VmScenarios => vm_scenarios(counts),
        }
    }
}

fn shell_scripts() -> Result<()> {
    check(&mut program("shellcheck", [".ci/run", "packaging/install.sh"]))
}

fn documentation() -> Result<()> {
    docs::run()?;
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    // Private items are documented too, so a link to one leads somewhere.
    check(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
}

/// What [`unit()`] leaves to other stages.
const OF_OTHER_STAGES: &str = "binary(/^(conformance|vm)/) or (package(hearth-e2e) and kind(test))";

/// Tests of every crate but the scenarios, which need the binary, and the conformance cases, which have a stage.
fn unit(counts: &mut Counts) -> Result<()> {
    if !runs("cargo-nextest") {
        println!("cargo-nextest is not installed: using cargo test");
        counted(&mut workspace::tests(&["--exclude", "hearth-e2e"]), counts)?;
        return counted(&mut cargo(["test", "-p", "hearth-e2e", "--lib"]), counts);
    }
    counted(&mut workspace::tests(&["-E", &format!("not ({OF_OTHER_STAGES})")]), counts)?;
    counted(&mut cargo(["test", "--workspace", "--doc", "--no-fail-fast"]), counts)
}

/// Data that others publish and the project does not hold: where it lies, and the tests that need it.
struct Published {
    /// Names its folder.
    variable: &'static str,
    /// Where it is looked for otherwise, seen from the root of the repository.
    beside: &'static str,
    tests: &'static [&'static str],
}

const PUBLISHED: [Published; 2] = [
    Published {
        variable: "HEARTH_CONFORMANCE_DIR",
        beside: "../shared/conformance",
        tests: &["--test", "conformance_expressions", "--test", "conformance_workflows"],
    },
    Published {
        variable: "HEARTH_FACTS_DIR",
        beside: "../shared/facts",
        tests: &["--test", "conformance_firecracker"],
    },
];

/// The harnesses print what they count: their output is let through.
fn conformance(counts: &mut Counts) -> Result<()> {
    let mut failed = None;
    for published in PUBLISHED {
        failed = against(&published, counts).err().or(failed);
    }
    failed.map_or(Ok(()), Err)
}

/// In CI the data must be there; elsewhere its absence is told.
fn against(data: &Published, counts: &mut Counts) -> Result<()> {
    let beside = command::root().join(data.beside);
    let given = std::env::var_os(data.variable).is_some() || std::env::var_os("CI").is_some();
    if !given && !beside.is_dir() {
        println!("SKIPPED: no data in {}; name its folder in {}", beside.display(), data.variable);
        return Ok(());
    }
    let mut tests = cargo(["test", "--workspace", "--no-fail-fast"]);
    counted(tests.args(data.tests).args(["--", "--nocapture"]), counts)
}

fn scenarios(counts: &mut Counts) -> Result<()> {
    workspace::built("hearth")?;
    let of = ["--test", "scenarios", "--test", "server", "--test", "webhooks", "--test", "github_api"];
    let mut tests = workspace::tests(&of);
    if runs("cargo-nextest") {
        // One more than processors: nearly all the time one of them waits for a minute to be over (`timeouts`).
        let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
        tests.args(["--test-threads", &threads.to_string()]);
    }
    counted(&mut tests, counts)
}

/// The release of Debian that the stock image is made of. One of another was built by an older Hearth.
const STOCK_SUITE: &str = "trixie";

/// Builds the stock image as a user would. One that is there already, and whole, is used again; a cold
/// checkout has none. Returns the data folder that it is in.
pub(crate) fn stock_image() -> Result<PathBuf> {
    let data = command::root().join("target/vm");
    let built = workspace::built("hearth")?;
    let hearth = |words: &[&str]| {
        let mut command = Command::new(&built);
        command.arg("image").args(words).arg("--data").arg(&data);
        command
    };
    let mut inspect = hearth(&["inspect", "--verify", "default"]);
    let found = inspect.stderr(Stdio::null()).output()?;
    let manifest: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap_or_default();
    if !found.status.success() || manifest["suite"] != STOCK_SUITE {
        check(&mut hearth(&["build"]))?;
        check(hearth(&["inspect", "--verify", "default"]).stdout(Stdio::null()))?;
    }
    Ok(data)
}

/// Boots the stock image.
fn virtual_machines(counts: &mut Counts) -> Result<()> {
    let data = stock_image()?;
    let mut tests = workspace::tests(&["--test", "vm*"]);
    if runs("cargo-nextest") {
        // One after the other: each boots machines that keep a processor busy by themselves.
        tests.args(["--test-threads", "1"]);
    }
    counted(tests.env("HEARTH_VM_DATA", &data), counts)
}

/// All scenarios on the stock image, two at a time: most of one is the work of a single processor.
fn vm_scenarios(counts: &mut Counts) -> Result<()> {
    let data = stock_image()?;
    for (name, reason) in scenarios_not_on("qemu")? {
        println!("NOT RUN: {name}: {reason}");
    }
    let all: &[&str] = if runs("cargo-nextest") {
        &["--run-ignored", "all", "--test-threads", "2"]
    } else {
        &["--", "--include-ignored", "--test-threads", "2"]
    };
    let mut tests = workspace::tests(&["--test", "vm_scenarios"]);
    counted(tests.args(all).env("HEARTH_VM_DATA", &data), counts)
}

/// Scenarios that say nothing on machines of this kind, and why.
fn scenarios_not_on(machine: &str) -> Result<Vec<(String, String)>> {
    let folder = command::root().join("e2e/scenarios");
    let mut left_out = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path().join("expect.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let expected: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
        if let Some(reason) = expected.get("not_on").and_then(|all| all.get(machine)?.as_str()) {
            left_out.push((entry.file_name().to_string_lossy().into_owned(), reason.to_owned()));
        }
    }
    left_out.sort();
    Ok(left_out)
}

/// Begins the build of README's first command, which takes minutes, while an emulated machine, which [`Stage::Vm`]
/// waits for most of its time, keeps little more than one processor busy. It gets what the tests leave.
fn build_ahead() -> Result<Child> {
    let words = docs::first_command()?;
    let options = words[2..].iter().take_while(|word| *word != "--");
    let mut build = program("nice", ["-n", "19", "cargo", "build"]);
    // Silent beside the tests: of a build that fails, the stage's own command says why.
    build.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    build.spawn().with_context(|| format!("can't run {}", shown(&build)))
}

/// README's first command must succeed as it stands there.
fn readme(ahead: Option<Child>) -> Result<()> {
    if let Some(mut build) = ahead {
        build.wait()?;
    }
    let words = docs::first_command()?;
    let mut command = program(&words[0], &words[1..]);
    check(&mut command)
}

/// Runs a test runner, lets its output through, and adds up the tests that it reports.
fn counted(command: &mut Command, counts: &mut Counts) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("can't run {}", shown(command)))?;
    let stdout = child.stdout.take().context("no pipe from the test runner")?;
    let stderr = child.stderr.take().context("no pipe from the test runner")?;
    let total = Mutex::new(counts);
    std::thread::scope(|scope| {
        scope.spawn(|| pass_through(stdout, &mut std::io::stdout(), &total));
        pass_through(stderr, &mut std::io::stderr(), &total);
    });
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "{}: {status}", shown(command));
    Ok(())
}

fn pass_through(from: impl Read, to: &mut impl Write, counts: &Mutex<&mut Counts>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if let Some(found) = summary(&String::from_utf8_lossy(&line)) {
            counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).add(found);
        }
        // A reader that went away does not change what the tests said.
        let _ = to.write_all(&line);
        line.clear();
    }
}

/// What the closing line of nextest or of libtest counts. One that is further in is what nextest shows of a test that
/// failed, which its own closing line counts.
fn summary(line: &str) -> Option<Counts> {
    let text = match line.trim_start().strip_prefix("Summary [") {
        Some(nextest) => nextest.split_once("run:")?.1,
        None => line.strip_prefix("test result: ")?,
    };
    let mut counts = Counts::default();
    for part in text.split([',', ';', '.']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(word)) = (words.next(), words.next()) else { continue };
        match (number.parse::<u64>(), word) {
            (Ok(number), "passed") => counts.passed += number,
            (Ok(number), "failed" | "timed") => counts.failed += number,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::{Counts, summary};

    #[test]
    fn the_closing_lines_of_both_test_runners_are_understood() {
        for (line, expected) in [
            ("     Summary [   0.1s] 4 tests run: 4 passed, 0 skipped\n", Some((4, 0))),
            (
                "     Summary [  12.3s] 45 tests run: 41 passed (1 slow), 3 failed, 1 timed out, 3 skipped",
                Some((41, 4)),
            ),
            ("test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out", Some((3, 1))),
            ("test result: ok. 0 passed; 0 failed; 0 ignored; finished in 0.00s", Some((0, 0))),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored; finished in 0.12s", None),
            ("test a_name ... ok", None),
            ("a log that says 3 failed", None),
        ] {
            let counted = expected.map(|(passed, failed)| Counts { passed, failed });
            assert_eq!(summary(line), counted, "{line}");
        }
    }
}
