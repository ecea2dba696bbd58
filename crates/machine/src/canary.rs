//! Whether a machine is of any use: it has to run a program.

use std::time::Duration;

use guest::client::{ExecEvent, ExecSpec, ExitStatus};

use crate::{Machine, MachineError};

/// Longest time for `true` in a machine: under emulation, on a busy host, a process takes a second.
const DEADLINE: Duration = Duration::from_secs(30);

/// Gives the machine back if it runs a program, and ends it otherwise.
///
/// # Errors
/// What it did instead.
pub(crate) async fn checked(machine: Machine, driver: &'static str) -> Result<Machine, MachineError> {
    match run(&machine).await {
        Ok(()) => Ok(machine),
        Err(reason) => {
            let error = MachineError {
                machine: machine.id.clone(),
                driver,
                operation: "running its canary",
                reason,
                source: None,
            };
            // The canary's failure tells more than that of what ends it.
            let _ = machine.destroy().await;
            Err(error)
        }
    }
}

async fn run(machine: &Machine) -> Result<(), String> {
    let spec = ExecSpec {
        argv: vec!["true".to_owned()],
        env: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())],
        ..ExecSpec::default()
    };
    let run = async {
        let mut exec = machine.guest.exec(spec).await.map_err(|error| error.to_string())?;
        loop {
            match exec.next().await.map_err(|error| error.to_string())? {
                Some(ExecEvent::Exited(ExitStatus::Code(0))) => return Ok(()),
                Some(ExecEvent::Exited(status)) => return Err(format!("`true` ended with {status:?}")),
                Some(_) => {}
                None => return Err("`true` did not end".to_owned()),
            }
        }
    };
    let done = tokio::time::timeout(DEADLINE, run).await;
    done.unwrap_or_else(|_| Err(format!("`true` did not end within {DEADLINE:?}")))
}
