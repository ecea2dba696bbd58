//! The agent alone, for machines and tests that have no `hearth` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let asked = guest::agent::run_if_asked().or_else(guest::agent::init::run_if_first);
    asked.or_else(guest::agent::init::run_if_beside).unwrap_or_else(|| {
        eprintln!("hearth-agent: started by Hearth's drivers, not by people");
        ExitCode::from(2)
    })
}
