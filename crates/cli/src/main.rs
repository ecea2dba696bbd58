//! `hearth`, the one binary: reads the command line and puts the parts together.

mod args;
mod check;
mod config;
mod data;
mod diagnostics;
mod doctor;
mod exit;
mod run;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    // The parts of a machine are this same program under a hidden first argument.
    // They come before everything else: no thread may exist yet.
    if let Some(code) = run::machines::become_part_of_a_machine() {
        return code;
    }
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hearth: {error:#}");
            ExitCode::from(exit::USAGE)
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Check(args) => check::check(&args),
        Command::Run(args) => runtime()?.block_on(run::run(*args)),
        Command::Doctor(args) => runtime()?.block_on(doctor::doctor(&args)),
    }
}

/// Two workers are enough to carry bytes: the work is done in the machines.
const WORKERS: usize = 2;

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?)
}
