//! How drivers start the agent.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// The program that becomes the agent: usually this very binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProgram {
    /// What to execute.
    pub program: PathBuf,
    /// Its first arguments; a driver adds the descriptor of the stream ([`AgentProgram::arguments`]).
    pub args: Vec<OsString>,
}

impl AgentProgram {
    /// This binary, even when its file was replaced or removed since it was started.
    ///
    /// Its `main` must begin with [`guest::agent::run_if_asked`].
    #[must_use]
    pub fn current_exe() -> Self {
        Self::at("/proc/self/exe")
    }

    /// A binary whose `main` begins with [`guest::agent::run_if_asked`].
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: vec![guest::agent::AGENT_ARGUMENT.into()] }
    }

    /// All arguments for an agent whose stream is this descriptor.
    #[must_use]
    pub fn arguments(&self, fd: RawFd) -> Vec<OsString> {
        let mut args = self.args.clone();
        args.push("--fd".into());
        args.push(fd.to_string().into());
        args
    }
}
