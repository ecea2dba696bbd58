//! `run` steps.

use guest::client::{ExecSpec, GuestError};
use model::ProcessStep;

use super::context::{first_line, set_origin};
use super::{Frame, StepRun, WorkEnd};
use crate::environment::Variables;
use crate::job::{JobRun, WorkError};
use crate::shell::Shell;

impl JobRun<'_> {
    /// Writes the script and runs it with its shell.
    pub(super) async fn run_script(
        &mut self,
        step: &ProcessStep,
        frame: &mut Frame,
        run: &mut StepRun,
    ) -> Result<WorkEnd, WorkError> {
        set_origin(&mut run.github, None);
        self.name_command_files(run);
        let script = self.evaluator.text(Some(&step.script), &mut run.scope).await?.unwrap_or_default();
        let (shell, folder) = self.shell_and_folder(step, frame, run).await?;
        let shell = Shell::parse(shell.as_deref()).map_err(|error| WorkError::Step(error.to_string()))?;
        let variables = self.process_variables(&run.env, run);
        let path = variables.get("PATH").cloned().unwrap_or_default();
        let program = self.programs.find(&self.guest, &shell.programs, &path).await?;
        self.show_head(&script, &shell, program.as_deref(), run);
        let program = program.ok_or_else(|| {
            let name = shell.programs.join(" or ");
            WorkError::Step(format!(
                "{name}: command not found. Install it in an earlier step, or choose another `shell` (PATH is {path})"
            ))
        })?;
        let file = format!("{}{}", run.unique, shell.extension);
        self.write_step_files(run, Some((&file, &shell.wrap(&script)))).await?;
        let mut argv = vec![program];
        argv.extend(shell.arguments_for(&format!("{}/{file}", self.place.temp)));
        let spec = ExecSpec {
            argv,
            cwd: self.place.in_workspace(&folder.unwrap_or_default()),
            env: variables.into_iter().collect(),
            ..ExecSpec::default()
        };
        let (end, requests) = self.run_process(spec, run).await?;
        let applied = self.apply(requests, frame, None, run).await?;
        Ok(match self.script_end(end, run) {
            WorkEnd::Success if !applied => WorkEnd::Failure,
            end => end,
        })
    }

    /// `shell` and `working-directory`: the step's, or the job's for steps of the job itself.
    async fn shell_and_folder(
        &self,
        step: &ProcessStep,
        frame: &Frame,
        run: &mut StepRun,
    ) -> Result<(Option<String>, Option<String>), WorkError> {
        let defaults = (frame.depth == 0).then_some(&self.job.defaults);
        let mut shell = self.evaluator.text(step.shell.as_ref(), &mut run.scope).await?;
        if shell.as_deref().unwrap_or_default().is_empty() {
            let default = defaults.and_then(|defaults| defaults.shell.as_ref());
            shell = self.evaluator.text(default, &mut run.scope).await?;
        }
        let folder = match &step.working_directory {
            Some(folder) => Some(folder),
            None => defaults.and_then(|defaults| defaults.working_directory.as_ref()),
        };
        Ok((shell, self.evaluator.text(folder, &mut run.scope).await?))
    }

    /// The group at the head of the step's log.
    fn show_head(&self, script: &str, shell: &Shell, program: Option<&str>, run: &StepRun) {
        let (log, at) = (&self.log, run.at);
        log.start_group(at, &format!("Run {}", first_line(script)));
        for line in script.replace("\r\n", "\n").trim_end_matches('\n').split('\n') {
            log.note(at, &format!("\x1b[36;1m{line}\x1b[0m"));
        }
        let program = program.unwrap_or(&shell.programs[0]);
        log.note(at, &format!("shell: {program} {}", shell.arguments));
        self.show_env(run);
        log.end_group(at);
    }

    /// The environment that a step adds, as its log shows it.
    pub(crate) fn show_env(&self, run: &StepRun) {
        if run.env.is_empty() {
            return;
        }
        self.log.note(run.at, "env:");
        for (name, value) in &run.env {
            self.log.note(run.at, &format!("  {name}: {value}"));
        }
    }

    /// Makes up names for the step's command files and puts them into `github`.
    pub(crate) fn name_command_files(&self, run: &mut StepRun) {
        run.unique = self.names.next();
        for (file, path) in self.place.command_files(&run.unique) {
            run.github.insert(file.context_key().to_owned(), path.into());
        }
        let github = self.github_value(&run.github);
        run.scope.set("github", github);
    }

    /// The environment of a process: what the machine has, `layer`, and GitHub's variables on top.
    pub(crate) fn process_variables(&self, layer: &Variables, run: &StepRun) -> Variables {
        let mut variables = self.fixed.machine_variables.clone();
        variables.extend(layer.iter().map(|(name, value)| (name.clone(), value.clone())));
        crate::environment::add_github(&mut variables, &run.github);
        crate::environment::add_runner(&mut variables, &self.fixed.runner);
        crate::environment::prepend_path(&mut variables, &self.progress.paths);
        variables
    }

    /// Writes the step's empty command files, and its script, in one go.
    pub(crate) async fn write_step_files(
        &self,
        run: &StepRun,
        script: Option<(&str, &str)>,
    ) -> Result<(), GuestError> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, text: &str, mode| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(mode);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes()).expect("writing to memory");
        };
        let root = format!("{}/", self.place.temp);
        for (_, path) in self.place.command_files(&run.unique) {
            add(path.strip_prefix(&root).unwrap_or(&path), "", 0o644);
        }
        if let Some((name, text)) = script {
            add(name, text, 0o755);
        }
        let archive = tar.into_inner().expect("writing to memory");
        self.guest.archive_in(&self.place.temp, std::io::Cursor::new(archive)).await
    }
}
