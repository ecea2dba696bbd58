//! `hearth run`: the workflows of a folder, here and now.

pub(crate) mod called;
mod changed;
mod contacts;
mod drive;
mod event;
mod facts;
pub(crate) mod given;
pub(crate) mod interrupt;
mod job;
mod list;
pub(crate) mod machines;
mod number;
pub(crate) mod output;
mod reach;
mod resume;
mod session;
mod supply;
mod suspension;
pub(crate) mod workflows;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use workflow::diagnostic::Diagnostic;

use crate::args::{Format, RunArgs};
use crate::config::Config;
use crate::{diagnostics, exit, lint};

use drive::Screen;
use session::Session;
use suspension::Suspension;
use workflows::{Sources, WorkflowFile};

/// What is done with the workflows that the arguments choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// They are run.
    Run,
    /// What they would do is shown.
    Plan,
    /// Jobs of an earlier run go on.
    Resume,
}

/// Runs, or plans, what the arguments ask for. Returns the exit code.
pub(crate) async fn run(args: RunArgs, task: Task) -> Result<u8> {
    let config = Config::load(args.places.config.as_deref())?;
    if let (Task::Run, Some(run)) = (task, args.resume) {
        return Box::pin(resume::resume(args, config, run)).await;
    }
    let root = args
        .directory
        .canonicalize()
        .with_context(|| format!("can't open the folder {}", args.directory.display()))?;
    let files = wanted_files(&root, &args)?;
    if !show_problems(&files, args.format) {
        return Ok(exit::INVALID_WORKFLOW);
    }
    if task == Task::Plan {
        let session =
            Session::open(root, args, config, task, Arc::new(|warning| eprintln!("hearth: {warning}")))
                .await?;
        let chosen = session.choose(files).await?;
        return list::list(&session, &chosen).await;
    }
    let screen = Screen::new(output::of_args(&args, &root));
    pause_on_panic(&screen);
    let _suspension = pause_on_suspension(&screen, &args)?;
    let warnings = screen.clone();
    let session =
        Session::open(root, args, config, task, Arc::new(move |warning| warnings.lock().note(&warning)))
            .await?;
    let chosen = session.choose(files).await?;
    session.run_all(&chosen, &screen).await
}

/// What a panic says (it ends one job, not the run) must not be drawn over.
fn pause_on_panic(screen: &Screen) {
    let (screen, report) = (screen.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        screen.pause_unless_busy();
        report(panic);
    }));
}

/// A shell must not write beside what is drawn anew.
fn pause_on_suspension(screen: &Screen, args: &RunArgs) -> Result<Option<Suspension>> {
    let suspension = output::is_live(args.format).then(|| Suspension::mind(screen)).transpose();
    suspension.context("can't listen for Ctrl-Z")
}

fn wanted_files(root: &Path, args: &RunArgs) -> Result<Vec<WorkflowFile>> {
    if !args.workflows.is_empty() {
        return workflows::select(root, &args.workflows);
    }
    let files = workflows::discover(root)?;
    if files.is_empty() {
        bail!("there are no workflow files in {}", root.join(workflows::FOLDER).display());
    }
    Ok(files)
}

/// Shows every problem of the files on standard error; false if one of them can't be run.
fn show_problems(files: &[WorkflowFile], format: Format) -> bool {
    let mut sources = Sources::default();
    files.iter().for_each(|file| sources.add(file));
    let all: Vec<Diagnostic> = files.iter().flat_map(|file| file.diagnostics.iter().cloned()).collect();
    show_diagnostics(&all, &sources, format);
    !files.iter().any(WorkflowFile::is_broken)
}

/// Shows diagnostics in the form that the user chose.
fn show_diagnostics(all: &[Diagnostic], sources: &Sources, format: Format) {
    if format == Format::Json {
        all.iter().for_each(|diagnostic| say!("{}", lint::event(diagnostic)));
        return;
    }
    let colour = output::Surroundings::of_stdout().colour(format);
    eprint!("{}", diagnostics::render(all, &|path| sources.text(path), colour));
}
