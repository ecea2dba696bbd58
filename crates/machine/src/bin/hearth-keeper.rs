//! The sandbox's keeper and the agent alone, for tests that have no `hearth` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    machine::sandbox::run_if_asked().or_else(guest::agent::run_if_asked).unwrap_or_else(|| {
        eprintln!("hearth-keeper: started by Hearth's drivers, not by people");
        ExitCode::from(2)
    })
}
