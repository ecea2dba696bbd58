//! End-to-end scenarios: a folder with a repository and what must come of it, run through the real binary.
//!
//! A scenario is `scenarios/<name>/`: the files of a small repository (`workflow.yml` becomes its
//! `.github/workflows/ci.yml`), under `remotes/<owner>/<repo>/` those of repositories that it uses
//! actions or workflows of, and `expect.toml` ([`scenario`] has its format). [`check`] builds the
//! repositories, runs `hearth run` with JSON events, and compares logs, conclusions of jobs and
//! steps, artifacts, and side effects on the host with the expectation.

pub mod compare;
pub mod invocation;
mod list;
pub mod report;
pub mod repository;
pub mod scenario;
pub mod served;

use std::path::{Path, PathBuf};

use repository::Place;
use scenario::{Machine, Scenario};

/// The folder of all scenarios.
pub fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Runs one scenario on machines of one kind.
///
/// # Panics
/// When anything is not as `expect.toml` says, with every difference and the whole output.
pub fn check(name: &str, machine: Machine) {
    let folder = scenarios().join(name);
    let scenario = Scenario::read(&folder).unwrap_or_else(|error| panic!("{error}"));
    if let Some(reason) = scenario.not_on(machine) {
        println!("not on {machine}: {reason}");
        return;
    }
    let place = Place::build(&folder, &scenario).unwrap_or_else(|error| panic!("{error}"));
    if machine == Machine::Qemu {
        let Some(lender) = std::env::var_os("HEARTH_VM_DATA") else {
            println!(
                "SKIPPED: HEARTH_VM_DATA names no data folder with an image; use cargo xtask test --only vm-scenarios"
            );
            return;
        };
        place.borrow_machines(Path::new(&lender)).unwrap_or_else(|error| panic!("{error}"));
    }
    for (number, run) in scenario.runs.iter().enumerate() {
        let outcome = invocation::carry_out(&place, run, machine).unwrap_or_else(|error| panic!("{error}"));
        let mut faults = compare::faults(run, machine, &outcome);
        faults.extend(place.script("after", run.after.as_deref()).err());
        assert!(
            faults.is_empty(),
            "scenario {name} ({}), run {}, on {machine}:\n- {}\n\n{outcome}",
            scenario.about,
            number + 1,
            faults.join("\n- "),
        );
    }
}
