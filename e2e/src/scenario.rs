//! The format of `expect.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

/// A kind of machine that scenarios run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// Linux namespaces.
    Sandbox,
    /// No isolation.
    Host,
    /// Virtual machines in QEMU.
    Qemu,
}

/// How many times longer than elsewhere a scenario may take in virtual machines: where the processor is
/// emulated, programs run ten times slower, and most of a scenario's time is their start.
const QEMU_PATIENCE: u64 = 10;

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Machine::Sandbox => "sandbox",
            Machine::Host => "host",
            Machine::Qemu => "qemu",
        })
    }
}

/// What must come of a scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The rule that it shows, in one sentence.
    pub about: String,
    /// Kinds of machines on which it says nothing, and why.
    #[serde(default)]
    pub not_on: BTreeMap<Machine, String>,
    /// Files to add to the repository: path in it -> path below `e2e/`.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Runs, one after the other, of the same repository and data folder.
    #[serde(rename = "run")]
    pub runs: Vec<Run>,
}

/// One `hearth run`, and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Event; the binary's default where absent.
    pub event: Option<String>,
    /// File of the scenario with the event's payload.
    pub payload: Option<String>,
    /// Inputs of `workflow_dispatch`.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// Secrets.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The `vars` context.
    #[serde(default)]
    pub vars: BTreeMap<String, String>,
    /// Further arguments, as they are.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// A bash script, run on the host in the repository before.
    pub before: Option<String>,
    /// A bash script, run on the host in the repository afterwards, that must succeed.
    pub after: Option<String>,
    /// Send SIGINT when this line is logged.
    pub interrupt_at: Option<String>,
    /// Exit code.
    pub exit: i32,
    /// Longest time that it may take, in seconds.
    #[serde(default = "default_seconds")]
    pub within_seconds: u64,
    /// Texts that diagnostics, or messages outside of jobs, must hold.
    #[serde(default)]
    pub says: Vec<String>,
    /// Texts that must appear nowhere in what the binary prints.
    #[serde(default)]
    pub never: Vec<String>,
    /// Lines that jobs log, in this order in time, whichever job logs them.
    #[serde(default)]
    pub order: Vec<String>,
    /// Every job that must be reported; one that is not listed is a fault.
    #[serde(default, rename = "job")]
    pub jobs: Vec<Job>,
    /// Files in artifacts (`<artifact>/<path>`), with their text.
    #[serde(default)]
    pub artifacts: BTreeMap<String, String>,
}

/// What must come of one job.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its name as people see it.
    pub name: String,
    /// `success`, `failure`, `cancelled`, `skipped`.
    pub conclusion: String,
    /// Lines of output, whole, in this order, others between them; `~text` for a part of a line.
    #[serde(default)]
    pub log: Vec<String>,
    /// Texts that no line of output holds.
    #[serde(default)]
    pub no_log: Vec<String>,
    /// Texts that Hearth itself says in the job, in any order.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Step's name -> conclusion, or `outcome -> conclusion` where they differ.
    #[serde(default)]
    pub steps: BTreeMap<String, String>,
    /// Names of steps, in the order in which they start.
    #[serde(default)]
    pub step_order: Vec<String>,
    /// Outputs of the job.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// `level file:line:column message` of each annotation; absent parts are left out.
    #[serde(default)]
    pub annotations: Vec<String>,
    /// Texts in the summaries of its steps.
    #[serde(default)]
    pub summary: Vec<String>,
    /// Titles of groups, in order.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Text of the error that decided a job that never ran, or that the machine failed with.
    pub error: Option<String>,
}

/// Longest that a scenario's run takes unless it says otherwise: a run takes a few seconds, on a loaded machine ten times that.
fn default_seconds() -> u64 {
    60
}

impl Scenario {
    /// Reads the expectation of the scenario in `folder`.
    ///
    /// # Errors
    /// When `expect.toml` can't be read or has another shape.
    pub fn read(folder: &Path) -> Result<Scenario, String> {
        let path = folder.join("expect.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Why this scenario says nothing on machines of this kind.
    pub fn not_on(&self, machine: Machine) -> Option<&str> {
        self.not_on.get(&machine).map(String::as_str)
    }
}

impl Run {
    /// Longest time that it may take on machines of this kind.
    pub fn within(&self, machine: Machine) -> Duration {
        let times = if machine == Machine::Qemu { QEMU_PATIENCE } else { 1 };
        Duration::from_secs(self.within_seconds * times)
    }
}
