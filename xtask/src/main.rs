//! Tasks of the project: its tests, its layers, its benchmarks, and what a fresh machine needs for them.
//!
//! `cargo xtask --help` lists them. Each task is one module; [`stage`] strings them into `cargo xtask test`.

mod bench;
mod browser;
mod codegen;
mod command;
mod deny;
mod docs;
mod firecracker;
mod layers;
mod metadata;
mod packaging;
mod picture;
mod setup;
mod stage;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Tasks of the Hearth project", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests need and runs them all
    Test {
        /// Only this stage; may be given several times
        #[arg(long, value_name = "STAGE")]
        only: Vec<stage::Stage>,
    },
    /// Installs what the tests need (packages of the system, npm clients)
    Setup,
    /// Fails on a dependency between crates that does not point down
    Layers,
    /// Checks licences, sources, and versions of the dependencies against deny.toml
    Deny,
    /// Measures Hearth, act, and a bare bash loop on the same workflows
    Bench {
        /// Only these
        only: Vec<bench::Bench>,
        /// How often each contestant runs
        #[arg(long, default_value_t = 11, value_name = "N")]
        rounds: usize,
    },
    /// Runs a command and prints its seconds, and the KiB of its largest process
    #[command(name = bench::MEASURE, hide = true)]
    Measure {
        /// Program and arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Generates the code of the guest protocol
    Codegen {
        /// Only fail when the committed code is not what would be generated
        #[arg(long)]
        check: bool,
    },
    /// Draws a run of the example for the README, or the pages of a server for the guide
    Picture {
        /// Of what
        #[arg(value_enum, default_value = "run")]
        subject: picture::Subject,
    },
    /// Runs the Firecracker driver's tests with a real Firecracker, in a host that QEMU emulates
    TestFirecracker {
        /// The `firecracker` binary, static, with the `jailer` of the same release beside it
        #[arg(long, value_name = "PATH")]
        binary: std::path::PathBuf,
        /// Data folder with an image named `default`; without it, one is built
        #[arg(long, value_name = "DIR")]
        data: Option<std::path::PathBuf>,
        /// Only tests whose names contain this
        only: Option<String>,
    },
    /// Checks the links, and the commands, of every Markdown file
    Docs,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test { only } => return stage::run(&only),
        Task::Setup => setup::run(),
        Task::Layers => layers::run(),
        Task::Deny => deny::run(),
        Task::Bench { only, rounds } => bench::run(&only, rounds),
        Task::Measure { words } => bench::measure(&words),
        Task::Codegen { check } => codegen::run(check),
        Task::Docs => docs::run(),
        Task::TestFirecracker { binary, data, only } => {
            firecracker::run(&firecracker::What { binary, data, only })
        }
        Task::Picture { subject } => picture::run(subject),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
