//! `run` steps.

use bytes::Bytes;
use guest::client::{ExecSpec, NewFile};
use model::ProcessStep;

use super::context::{first_line, set_origin};
use super::{Frame, StepRun, WorkEnd};
use crate::environment::Variables;
use crate::job::{JobRun, WorkError};
use crate::shell::Shell;

/// A longer script is written by itself: the message that starts a process is bounded to 4 MiB, and its
/// environment may take 2 MiB of that.
const INLINE_SCRIPT_BYTES: usize = 1024 * 1024;

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
        let path = self.search_path();
        let program = self.programs.find(&self.guest, &shell.programs, &path).await?;
        self.show_head(&script, &shell, program.as_deref(), run);
        let program = program.ok_or_else(|| {
            let name = shell.programs.join(" or ");
            WorkError::Step(format!(
                "{name}: command not found. Install it in an earlier step, or choose another `shell` (PATH is {path})"
            ))
        })?;
        let file = self.place.script(&format!("{}{}", run.unique, shell.extension));
        let mut argv = vec![program];
        argv.extend(shell.arguments_for(&file));
        let folder = self.place.in_workspace(&folder.unwrap_or_default());
        let mut spec = self.exec_spec(argv, folder, variables, run);
        self.watch.script = Some(file.clone());
        let script = NewFile { path: file, mode: 0o755, data: shell.wrap(&script).into() };
        if script.data.len() <= INLINE_SCRIPT_BYTES {
            spec.files.push(script);
        } else {
            self.guest.write_file(&script.path, script.mode, script.data).await?;
        }
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

    /// Where shells are looked for: like GitHub's runner, not where a `PATH` that the workflow itself sets leads.
    fn search_path(&self) -> String {
        let mut variables = self.fixed.machine_variables.clone();
        crate::environment::prepend_path(&mut variables, &self.progress.paths);
        variables.shift_remove("PATH").unwrap_or_default()
    }

    /// What starts a process of this step: its command files are made with it, and looked at when it is over.
    pub(crate) fn exec_spec(
        &self,
        argv: Vec<String>,
        cwd: String,
        env: Variables,
        run: &StepRun,
    ) -> ExecSpec {
        let paths = self.place.command_files(&run.unique).map(|(_, path)| path);
        let empty = |path: &String| NewFile { path: path.clone(), mode: 0o644, data: Bytes::new() };
        ExecSpec {
            argv,
            cwd,
            env: env.into_iter().collect(),
            files: paths.iter().map(empty).collect(),
            report: paths.into(),
            ..ExecSpec::default()
        }
    }
}
