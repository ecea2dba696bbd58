//! `hearth`, the one binary: reads the command line and puts the parts together.

/// Prints a line. A reader that has gone away (`| head`) is no error, let alone a panic.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

mod age;
mod args;
mod backup;
mod config;
mod data;
mod debug;
mod diagnostics;
mod doctor;
mod exit;
mod expr;
mod image;
mod json;
mod kept;
mod lint;
mod remote;
mod run;
mod serve;
mod table;
mod terminal;
mod told;
mod vm;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command, ServeWhat};
use told::told;

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
            eprintln!("hearth: {}", told(&error));
            ExitCode::from(exit::of_error(&error))
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Run(args) => runtime()?.block_on(run::run(*args, run::Task::Run)),
        Command::Plan(args) => runtime()?.block_on(run::run(*args, run::Task::Plan)),
        Command::Lint(args) => lint::lint(&args),
        Command::Expr(args) => expr::expr(&args),
        Command::Serve(args) => {
            let runtime = runtime()?;
            match args.what {
                Some(ServeWhat::Machines(args)) => runtime.block_on(serve::machines(args)),
                None => runtime.block_on(serve::serve(args)),
            }
        }
        Command::Debug(args) => runtime()?.block_on(debug::debug(*args)),
        Command::Remote(args) => runtime()?.block_on(remote::remote(*args)),
        Command::Config { what } => config::config(what),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Vm(args) => runtime()?.block_on(vm::vm(*args)),
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "hearth", &mut script);
            say!("{}", String::from_utf8_lossy(&script).trim_end());
            Ok(exit::SUCCESS)
        }
        Command::Image { command } => image::image(command),
        Command::Doctor(args) => runtime()?.block_on(doctor::doctor(&args)),
    }
}

/// Two workers are enough to carry bytes: the work is done in the machines.
const WORKERS: usize = 2;

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?)
}
