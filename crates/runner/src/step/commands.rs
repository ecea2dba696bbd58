//! Runs a step's process and carries out what it asked for.

use guest::client::{ExecSpec, GuestError, RefusalKind};
use indexmap::IndexSet;

use super::{Frame, Stage, StepRun, WorkEnd};
use crate::checkpoint::Surroundings;
use crate::command::{CommandPolicy, CommandProcessor};
use crate::command_file::{
    COMMAND_FILE_BYTES, CommandFile, check_env_name, parse_pairs, parse_paths, parse_summary,
};
use crate::environment::Variables;
use crate::job::{JobRun, MachineFailure, WorkError};
use crate::output::{Requests, StepOutput};
use crate::process::{self, ProcessEnd, StopReason};

/// Said of a process that failed while the machine had no memory left.
const OUT_OF_MEMORY: &str = "The machine ran out of memory, and its kernel killed a process. Give the machine more, or let the step use less.";

impl JobRun<'_> {
    /// Runs a process with its output going to the log.
    pub(crate) async fn run_process(
        &mut self,
        spec: ExecSpec,
        run: &StepRun,
    ) -> Result<(ProcessEnd, Requests), WorkError> {
        let allowed = |name: &str| run.env.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let policy = CommandPolicy {
            allow_unsecure_commands: allowed("ACTIONS_ALLOW_UNSECURE_COMMANDS"),
            allow_unsecure_stop_tokens: allowed("ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS"),
            workspace: self.place.workspace.clone(),
        };
        let log = self.log.clone();
        let mut output = StepOutput::new(
            &log,
            run.at,
            &self.guest,
            &self.place.workspace,
            CommandProcessor::new(policy, self.debug),
            &mut self.progress.matchers,
        );
        let (program, folder) = (spec.argv.first().cloned().unwrap_or_default(), spec.cwd.clone());
        if self.watch.wanted {
            self.watch.process = Some(Surroundings {
                argv: spec.argv.clone(),
                folder: spec.cwd.clone(),
                env: spec.env.clone(),
                withheld: Vec::new(),
            });
        }
        let end = process::run(&self.guest, spec, &run.stop, &mut output).await;
        output.finish().await.map_err(MachineFailure::from)?;
        let mut requests = output.requests;
        match end {
            Ok(ended) => {
                requests.sizes = ended.sizes;
                if ended.out_of_memory {
                    self.log.error(run.at, OUT_OF_MEMORY.to_owned());
                }
                Ok((ended.end, requests))
            }
            Err(GuestError::Refused { reason, kind, .. }) if kind != RefusalKind::DiskFull => {
                Err(WorkError::Step(format!(
                    "An error occurred trying to start process '{program}' with working directory '{folder}'. {reason}"
                )))
            }
            Err(error) => Err(WorkError::Machine(error.into())),
        }
    }

    /// What the end of a `run` step's process means.
    pub(crate) fn script_end(&self, end: ProcessEnd, run: &StepRun) -> WorkEnd {
        match end {
            ProcessEnd::Exited(0) => WorkEnd::Success,
            ProcessEnd::Exited(code) => {
                self.log.error(run.at, format!("Process completed with exit code {code}."));
                WorkEnd::Failure
            }
            ProcessEnd::Stopped(reason) => self.stopped(reason, run),
        }
    }

    /// What it means that work was stopped.
    pub(crate) fn stopped(&self, reason: StopReason, run: &StepRun) -> WorkEnd {
        match reason {
            StopReason::TimedOut => WorkEnd::TimedOut,
            StopReason::Cancelled | StopReason::Killed => {
                const CANCELLED: &str = "The operation was canceled.";
                // A background step that another one cancels has done what was wanted of it.
                match self.progress.deferred {
                    Some(_) => self.log.note(run.at, CANCELLED),
                    None => self.log.error(run.at, CANCELLED),
                }
                WorkEnd::Cancelled
            }
        }
    }

    /// Carries out what commands and command files ask for. False: one of them failed.
    pub(crate) async fn apply(
        &mut self,
        requests: Requests,
        frame: &mut Frame,
        state: Option<&mut Variables>,
        run: &StepRun,
    ) -> Result<bool, MachineFailure> {
        let mut requests = requests;
        self.read_command_files(run, &mut requests).await?;
        let paths = std::mem::take(&mut requests.paths);
        match add_paths(&self.progress.paths, paths.clone()) {
            Ok(all) => {
                self.progress.paths = all;
                self.progress.deferred.iter_mut().for_each(|deferred| deferred.paths.extend(paths.clone()));
            }
            Err(reason) => self.file_failed(CommandFile::Path, &reason, run, &mut requests),
        }
        for (name, value) in requests.env {
            self.log.debug(run.at, &format!("{name}='{value}'"));
            if let Some(deferred) = &mut self.progress.deferred {
                deferred.env.insert(name.clone(), value.clone());
            }
            self.progress.env.insert(name, value);
        }
        for (name, value) in &requests.outputs {
            self.set_output(frame, run, name, value);
        }
        if let Some(state) = state {
            state.extend(requests.state);
        }
        Ok(!requests.failed)
    }

    /// Sets an output of a step, and tells of it where it is a step of the job. What pre and post set is lost, as on
    /// GitHub.
    pub(crate) fn set_output(&self, frame: &mut Frame, run: &StepRun, name: &str, value: &str) {
        if run.stage != Stage::Main {
            return;
        }
        frame.records.set_output(&run.id, name, value);
        if frame.depth == 0 {
            self.log.output(run.at, name, value);
        }
    }

    async fn read_command_files(&self, run: &StepRun, requests: &mut Requests) -> Result<(), MachineFailure> {
        let sizes = std::mem::take(&mut requests.sizes);
        let files = self.place.command_files(&run.unique).into_iter().zip(sizes);
        for ((file, path), size) in files.filter(|(_, size)| *size > 0) {
            let limit = if file == CommandFile::Summary {
                model::limits::SUMMARY_BYTES as u64
            } else {
                COMMAND_FILE_BYTES
            };
            let read =
                if size > limit { Ok(None) } else { self.guest.read_file(&path, limit).await.map(Some) };
            match read {
                Ok(Some(bytes)) => self.read_command_file(file, &bytes, size, run, requests),
                Ok(None) if file == CommandFile::Summary => {
                    self.read_command_file(file, b"", size, run, requests)
                }
                Ok(None) => self.file_failed(
                    file,
                    &format!("The file holds {size} bytes; at most {limit} are read."),
                    run,
                    requests,
                ),
                Err(lost @ GuestError::Lost { .. }) => return Err(lost.into()),
                Err(error) => self.file_failed(file, &error.to_string(), run, requests),
            }
        }
        Ok(())
    }

    fn read_command_file(
        &self,
        file: CommandFile,
        bytes: &[u8],
        size: u64,
        run: &StepRun,
        requests: &mut Requests,
    ) {
        match file {
            CommandFile::Path => requests.paths.extend(parse_paths(bytes)),
            CommandFile::Summary => match parse_summary(bytes, size) {
                Ok(Some(markdown)) => self.log.summary(run.at, &markdown),
                Ok(None) => {}
                Err(message) => self.log.error(run.at, message),
            },
            CommandFile::Env | CommandFile::State | CommandFile::Output => {
                let (pairs, error) = parse_pairs(bytes);
                for (name, value) in pairs {
                    match file {
                        CommandFile::State => drop(requests.state.insert(name, value)),
                        CommandFile::Output => drop(requests.outputs.insert(name, value)),
                        _ => match check_env_name(&name) {
                            Ok(()) => drop(requests.env.insert(name, value)),
                            Err(message) => self.log.error(run.at, message),
                        },
                    }
                }
                if let Some(message) = error {
                    self.file_failed(file, &message, run, requests);
                }
            }
        }
    }

    fn file_failed(&self, file: CommandFile, reason: &str, run: &StepRun, requests: &mut Requests) {
        let key = file.context_key();
        self.log.error(run.at, format!("Unable to process file command '{key}' successfully."));
        self.log.error(run.at, reason);
        requests.failed = true;
    }
}

/// Bytes that the folders of `GITHUB_PATH` may have together: Linux starts no process with a longer variable.
const PATH_BYTES: usize = 128 * 1024;

/// The folders with those of one more step behind them; one that is named again moves to the end.
pub(super) fn add_paths(known: &[String], added: Vec<String>) -> Result<Vec<String>, String> {
    let mut paths: IndexSet<String> = added.into_iter().rev().collect();
    paths.extend(known.iter().rev().cloned());
    let size: usize = paths.iter().map(|path| path.len() + 1).sum();
    if size > PATH_BYTES {
        return Err(format!("The folders for PATH have {size} bytes together; {PATH_BYTES} are possible."));
    }
    Ok(paths.into_iter().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_folder_that_is_added_again_moves_to_the_end() {
        let added = add_paths(&paths(&["/a", "/b", "/c"]), paths(&["/d", "/b", "/d", "/e", "/b"]));
        assert_eq!(added.unwrap(), ["/a", "/c", "/d", "/e", "/b"]);
    }

    #[test]
    fn more_folders_than_a_variable_can_hold_are_refused_at_once() {
        let many = (0..100_000).map(|number| number.to_string()).collect();
        assert!(add_paths(&[], many).unwrap_err().contains("131072 are possible"));
    }
}
