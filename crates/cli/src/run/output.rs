//! How a run is shown: one trait, one form each for people and for programs.

mod json;
mod people;

use std::path::Path;

use model::{Conclusion, JobEvent, JobId};

use crate::args::{Format, RunArgs};

use json::Json;
use people::People;
pub(crate) use people::style::{Ink, Palette, seconds};
pub(crate) use people::terminal::{Size, Surroundings};
pub(crate) use people::text::{fit, one_line, pad, printable, width};

/// A job as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct JobTitle {
    /// Its id.
    pub(crate) id: JobId,
    /// Its key in the workflow file.
    pub(crate) key: String,
    /// Its name, with matrix and caller.
    pub(crate) name: String,
}

/// What the beginning of a run has to tell.
pub(crate) struct RunStart<'a> {
    /// Which run it is.
    pub(crate) run: model::RunId,
    /// Path of the workflow's file in the repository.
    pub(crate) path: &'a str,
    /// The workflow's name.
    pub(crate) workflow: &'a str,
    /// `run-name`; empty where there is none.
    pub(crate) name: &'a str,
    /// The event and the commit.
    pub(crate) what: &'a str,
    /// Name of the driver.
    pub(crate) driver: &'a str,
    /// Folder in which whole logs may be kept; its parent has one for each run.
    pub(crate) logs: &'a Path,
}

/// What the end of a run has to tell.
pub(crate) struct RunEnd<'a> {
    /// How it ended.
    pub(crate) conclusion: Conclusion,
    /// Where artifacts are, if there are any.
    pub(crate) artifacts: Option<&'a Path>,
}

/// Shows a run. Calls come from one task at a time, in order.
pub(crate) trait Output: Send {
    /// A workflow starts.
    fn run_started(&mut self, start: &RunStart<'_>);
    /// A job is being given a machine.
    fn job_queued(&mut self, job: &JobTitle);
    /// Something to know about the machine of a job.
    fn machine_note(&mut self, job: &JobTitle, note: &str);
    /// A job tells something.
    fn job_event(&mut self, job: &JobTitle, event: &JobEvent);
    /// A job was decided without running.
    fn decided(&mut self, job: &JobTitle, conclusion: Conclusion, reason: Option<&str>);
    /// So many jobs are known that have not started.
    fn waiting(&mut self, jobs: usize);
    /// The run is over.
    fn run_finished(&mut self, end: &RunEnd<'_>);
    /// A remark to the user.
    fn note(&mut self, text: &str);
    /// Brings buffered lines to the reader, and what is live up to date. Called many times a second.
    fn flush(&mut self);
    /// Leaves only what stays, because somebody else may write; the next `flush` goes on.
    fn pause(&mut self);
}

/// Whether a part of the output is drawn anew while the run goes on.
pub(crate) fn is_live(asked: Format) -> bool {
    let surroundings = Surroundings::of_stdout();
    surroundings.format(asked) == Format::Pretty && surroundings.moves_cursor()
}

/// The output that the arguments ask for; `root` is the repository, whose lines annotations speak of.
pub(crate) fn of_args(args: &RunArgs, root: &Path) -> Box<dyn Output> {
    let surroundings = Surroundings::of_stdout();
    match surroundings.format(args.format) {
        Format::Json => Box::new(Json::new()),
        Format::Plain | Format::Auto => Box::new(People::plain(args.debug, root)),
        Format::Pretty => {
            let (colour, live) = (surroundings.colour(args.format), surroundings.moves_cursor());
            Box::new(People::pretty(colour, live, args.verbose, args.debug, root))
        }
    }
}
