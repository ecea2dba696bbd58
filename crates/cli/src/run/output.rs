//! How a run is shown: one trait, one form each for people and for programs.

mod json;
mod people;

use std::path::Path;

use model::{Conclusion, JobEvent, JobId};

use crate::args::Format;

pub(crate) use json::Json;
pub(crate) use people::People;

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

/// What the end of a run has to tell.
pub(crate) struct RunEnd<'a> {
    /// How it ended.
    pub(crate) conclusion: Conclusion,
    /// Where artifacts are, if there are any.
    pub(crate) artifacts: Option<&'a Path>,
}

/// Shows a run. Calls come from one task, in order.
pub(crate) trait Output: Send {
    /// A workflow starts.
    fn run_started(&mut self, workflow: &str, run_name: &str, what: &str, driver: &str);
    /// A job is being given a machine.
    fn job_queued(&mut self, job: &JobTitle);
    /// Something to know about the machine of a job.
    fn machine_note(&mut self, job: &JobTitle, note: &str);
    /// A job tells something.
    fn job_event(&mut self, job: &JobTitle, event: &JobEvent);
    /// A job was decided without running.
    fn decided(&mut self, job: &JobTitle, conclusion: Conclusion, reason: Option<&str>);
    /// The run is over.
    fn run_finished(&mut self, end: &RunEnd<'_>);
    /// A remark to the user.
    fn note(&mut self, text: &str);
    /// Brings buffered lines to the reader.
    fn flush(&mut self);
}

/// The output for a format; `root` is the repository, whose lines annotations speak of. `--debug` shows debug messages.
pub(crate) fn for_format(format: Format, debug: bool, root: &Path) -> Box<dyn Output> {
    match format {
        Format::Json => Box::new(Json::new()),
        Format::Plain => Box::new(People::new(false, debug, root)),
        Format::Pretty => Box::new(People::new(true, debug, root)),
        Format::Auto => Box::new(People::new(colour_wanted(), debug, root)),
    }
}

/// Whether standard output wants colours: a terminal, and neither `NO_COLOR` nor a dumb one.
pub(crate) fn colour_wanted() -> bool {
    use std::io::IsTerminal;
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}
