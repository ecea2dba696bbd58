//! The agent alone, for machines and tests that have no `hearth` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::agent::run_if_asked().or_else(guest::agent::init::run_if_first).unwrap_or_else(|| {
        eprintln!("hearth-agent: started by Hearth's drivers, not by people");
        ExitCode::from(2)
    })
}
