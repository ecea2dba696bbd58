//! JavaScript actions.

use guest::client::{ExecEvent, ExecSpec, ExitStatus};

use crate::environment::{Variables, input_name};
use crate::job::{JobRun, WorkError};
use crate::process::ProcessEnd;
use crate::step::{Frame, StepRun, WorkEnd};

/// Bytes of `node --version` that are read.
const VERSION_BYTES: usize = 256;

impl JobRun<'_> {
    /// Runs a file of an action with Node.js.
    pub(super) async fn run_node(
        &mut self,
        file: &str,
        wanted: u32,
        frame: &mut Frame,
        state: &mut Variables,
        run: &StepRun,
    ) -> Result<WorkEnd, WorkError> {
        let node = self.node(wanted, run).await?;
        let mut layer = run.env.clone();
        layer.extend(state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
        layer.extend(run.inputs.iter().map(|(name, value)| (input_name(name), value.clone())));
        let mut variables = self.process_variables(&layer, run);
        variables.extend(self.fixed.service_variables.clone());
        variables.shift_remove("NODE_ICU_DATA");
        let argv = vec![node, file.to_owned()];
        let spec = self.exec_spec(argv, self.place.workspace.clone(), variables, run);
        let (end, requests) = self.run_process(spec, run).await?;
        let applied = self.apply(requests, frame, Some(state), run).await?;
        Ok(match end {
            ProcessEnd::Exited(0) if applied => WorkEnd::Success,
            ProcessEnd::Exited(_) => WorkEnd::Failure,
            ProcessEnd::Stopped(reason) => self.stopped(reason, run),
        })
    }

    /// The program of a Node.js for actions that want this major version: that one, or whichever there is.
    async fn node(&mut self, wanted: u32, run: &StepRun) -> Result<String, WorkError> {
        if let Some(node) = self.nodes.get(&wanted) {
            return Ok(node.clone());
        }
        let names = [format!("node{wanted}"), "node".to_owned(), "nodejs".to_owned()];
        let machine_path = self.fixed.machine_variables.get("PATH").cloned().unwrap_or_default();
        let job_path = self.process_variables(&run.env, run).get("PATH").cloned().unwrap_or_default();
        let mut program = self.programs.find(&self.guest, &names, &machine_path).await?;
        if program.is_none() {
            program = self.programs.find(&self.guest, &names, &job_path).await?;
        }
        let program = program.ok_or_else(|| {
            WorkError::Step(format!(
                "This action needs Node.js {wanted}, and the machine has none (looked for {} in {machine_path}). \
                 Install Node.js where Hearth runs, or set it up in an earlier step.",
                names.join(", ")
            ))
        })?;
        let major = self.node_version(&program, &machine_path).await?;
        if major < wanted {
            let message = format!(
                "This action asks for Node.js {wanted}; {program} is version {major} and may be too old."
            );
            self.log.warning(run.at, message);
        } else if major > wanted {
            self.log.note(
                run.at,
                &format!("This action asks for Node.js {wanted}; {program} is version {major}."),
            );
        }
        self.nodes.insert(wanted, program.clone());
        Ok(program)
    }

    async fn node_version(&self, program: &str, path: &str) -> Result<u32, WorkError> {
        let spec = ExecSpec {
            argv: vec![program.to_owned(), "--version".to_owned()],
            cwd: "/".to_owned(),
            env: vec![("PATH".to_owned(), path.to_owned())],
            timeout: Some(std::time::Duration::from_secs(30)),
            ..ExecSpec::default()
        };
        let mut exec = self.guest.exec(spec).await?;
        let mut printed = Vec::new();
        while let Some(event) = exec.next().await? {
            match event {
                ExecEvent::Stdout(chunk) if printed.len() < VERSION_BYTES => {
                    printed.extend_from_slice(&chunk)
                }
                ExecEvent::Exited(ExitStatus::Code(0)) => break,
                ExecEvent::Exited(status) => {
                    return Err(WorkError::Step(format!("{program} --version ended with {status:?}")));
                }
                _ => {}
            }
        }
        parse_major(&String::from_utf8_lossy(&printed))
            .ok_or_else(|| WorkError::Step(format!("{program} --version does not say a version")))
    }
}

/// `v20.11.1` is 20.
fn parse_major(text: &str) -> Option<u32> {
    text.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(parse_major("v20.11.1\n"), Some(20));
        assert_eq!(parse_major("20.1"), None);
        assert_eq!(parse_major(""), None);
    }
}
