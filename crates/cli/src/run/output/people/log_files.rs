//! The whole logs of a run, a file for each job, for those who want to read more than the display shows.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use model::{Conclusion, JobEvent, JobId, StepRef};

use super::super::JobTitle;
use super::style::{Palette, elapsed, word};
use super::text::{contacted, one_line, printable};

/// Runs whose logs are kept: a few days of work, and a folder that is read in no time.
const KEPT_RUNS: usize = 20;

/// Bytes of all logs of one run. With [`KEPT_RUNS`] they stay below 10 GiB, which no disk misses.
const RUN_BYTES: u64 = 512 * 1024 * 1024;

/// Characters of a job's name that its file's name has: far below what file systems take.
const NAME_CHARS: usize = 80;

/// The log files of one run.
pub(super) struct LogFiles {
    folder: PathBuf,
    jobs: HashMap<JobId, LogFile>,
    left: u64,
    /// Why no more is written, if so.
    broken: Option<String>,
}

struct LogFile {
    path: PathBuf,
    /// None when the job has ended.
    out: Option<BufWriter<File>>,
    /// The steps that run, by name: where there are several, each line says whose it is.
    steps: Vec<(StepRef, String)>,
}

impl LogFile {
    /// `build · ` where several steps run.
    fn speaker(&self, at: StepRef) -> String {
        let name = self.steps.iter().find(|(step, _)| *step == at && self.steps.len() > 1);
        name.map_or(String::new(), |(_, name)| format!("{name} · "))
    }

    fn note_steps(&mut self, event: &JobEvent) {
        match event {
            JobEvent::StepStarted { step, name, .. } => self.steps.push((*step, one_line(name))),
            JobEvent::StepFinished { step, .. } => self.steps.retain(|(known, _)| known != step),
            _ => {}
        }
    }
}

impl LogFiles {
    /// Log files in this folder, which is made when something is written. Its parent has a folder for each run,
    /// named so that later runs sort behind earlier ones; those of old runs are removed.
    pub(super) fn new(folder: &Path) -> LogFiles {
        LogFiles { folder: folder.to_owned(), jobs: HashMap::new(), left: RUN_BYTES, broken: None }
    }

    /// The folder, if there is something in it.
    pub(super) fn folder(&self) -> Option<&Path> {
        (!self.jobs.is_empty()).then_some(&*self.folder)
    }

    /// The file of a job, if there is one.
    pub(super) fn of(&self, job: JobId) -> Option<PathBuf> {
        self.jobs.get(&job).map(|file| file.path.clone())
    }

    /// Writes what a job tells. Gives a reason, once, when that can't be done any more.
    pub(super) fn job_event(&mut self, job: &JobTitle, event: &JobEvent) -> Option<String> {
        if self.broken.is_some() {
            return None;
        }
        let written = match event {
            JobEvent::Log(line) => self.line(job, Some(line.step), &printable(&line.text, false)),
            event => match describe(event) {
                Some(text) => self.line(job, speaking_step(event), &text),
                None => Ok(()),
            },
        };
        if let Some(file) = self.jobs.get_mut(&job.id) {
            file.note_steps(event);
        }
        let written = written.and_then(|()| match event {
            JobEvent::JobFinished { .. } => self.close(job.id),
            _ => Ok(()),
        });
        let error = written.err()?;
        self.broken = Some(format!("the logs in {} are not whole: {error}", self.folder.display()));
        self.broken.clone()
    }

    /// Brings what is buffered to the files.
    pub(super) fn finish(&mut self) {
        let open: Vec<JobId> = self.jobs.keys().copied().collect();
        open.into_iter().for_each(|job| drop(self.close(job)));
    }

    fn line(&mut self, job: &JobTitle, at: Option<StepRef>, text: &str) -> std::io::Result<()> {
        let speaker = match (at, self.jobs.get(&job.id)) {
            (Some(at), Some(file)) => file.speaker(at),
            _ => String::new(),
        };
        let bytes = (speaker.len() + text.len()) as u64 + 1;
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            std::io::Error::other(format!("more than {} MiB in one run", RUN_BYTES / 1024 / 1024))
        })?;
        if !self.jobs.contains_key(&job.id) {
            self.open(job)?;
        }
        match self.jobs.get_mut(&job.id).and_then(|file| file.out.as_mut()) {
            Some(out) => writeln!(out, "{speaker}{text}"),
            None => Ok(()),
        }
    }

    fn open(&mut self, job: &JobTitle) -> std::io::Result<()> {
        if self.jobs.is_empty() {
            if let Some(all) = self.folder.parent() {
                remove_old(all, KEPT_RUNS - 1);
            }
            std::fs::create_dir_all(&self.folder)?;
        }
        let path = self.folder.join(file_name(job));
        let out = Some(BufWriter::new(File::create(&path)?));
        self.jobs.insert(job.id, LogFile { path, out, steps: Vec::new() });
        Ok(())
    }

    fn close(&mut self, job: JobId) -> std::io::Result<()> {
        match self.jobs.get_mut(&job).and_then(|file| file.out.take()) {
            Some(mut out) => out.flush(),
            None => Ok(()),
        }
    }
}

/// Removes all folders but the latest. One that can't be removed is left: the next run tries again.
fn remove_old(all: &Path, kept: usize) {
    let Ok(entries) = std::fs::read_dir(all) else { return };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let old = folders.len().saturating_sub(kept);
    folders[..old].iter().for_each(|folder| drop(std::fs::remove_dir_all(folder)));
}

/// `3-test-linux.log`: ids keep two jobs of one name apart.
fn file_name(job: &JobTitle) -> String {
    let mut name = String::new();
    for char in job.name.chars().take(NAME_CHARS) {
        match char {
            char if char.is_alphanumeric() || "_.".contains(char) => name.push(char),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    format!("{}-{}.log", job.id, name.trim_end_matches('-'))
}

/// The step that an event other than a line of the log speaks of, where its text does not name it.
fn speaking_step(event: &JobEvent) -> Option<StepRef> {
    match event {
        JobEvent::GroupStarted { step, .. }
        | JobEvent::Debug { step, .. }
        | JobEvent::StepFinished { step, .. } => Some(*step),
        _ => None,
    }
}

/// An event other than a line of the log, as the file shows it.
fn describe(event: &JobEvent) -> Option<String> {
    let mark = |conclusion: Conclusion| Palette { colour: false }.mark(conclusion);
    Some(match event {
        JobEvent::StepStarted { name, .. } => format!("▸ {}", one_line(name)),
        JobEvent::GroupStarted { title, .. } => format!("▾ {}", one_line(title)),
        JobEvent::Debug { message, .. } => format!("debug: {}", printable(message, false)),
        JobEvent::StepFinished { conclusion, duration, .. } => {
            format!("{} step {}  {}", mark(*conclusion), word(*conclusion), elapsed(*duration))
        }
        JobEvent::Contacted { contact, times } => contacted(contact, *times),
        JobEvent::JobFinished { result, duration } => {
            let reason = result.infrastructure_error.as_ref().map(|error| format!(": {error}"));
            let reason = reason.unwrap_or_default();
            let (mark, word) = (mark(result.conclusion), word(result.conclusion));
            format!("{mark} job {word}{reason}  {}", elapsed(*duration))
        }
        JobEvent::JobStarted { .. }
        | JobEvent::Log(_)
        | JobEvent::GroupEnded { .. }
        | JobEvent::Annotation { .. }
        | JobEvent::Output { .. }
        | JobEvent::Summary { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use model::{LogLine, StepPhase, Stream};

    use super::*;

    const STEP: StepRef = StepRef { index: 0, phase: StepPhase::Main };

    fn title(id: u64, name: &str) -> JobTitle {
        JobTitle { id: JobId(id), key: name.to_owned(), name: name.to_owned() }
    }

    fn log(text: &str) -> JobEvent {
        let at = SystemTime::UNIX_EPOCH;
        JobEvent::Log(LogLine { step: STEP, sequence: 0, stream: Stream::Stdout, at, text: text.to_owned() })
    }

    #[test]
    fn a_job_has_a_file_with_everything_that_its_steps_said() {
        let data = tempfile::tempdir().unwrap();
        let mut files = LogFiles::new(&data.path().join("logs/7"));
        assert_eq!(files.folder(), None);
        let job = title(3, "Prüfen (a/b, ../c)");
        files.job_event(
            &job,
            &JobEvent::StepStarted { step: STEP, name: "Say".into(), at: SystemTime::now() },
        );
        files.job_event(&job, &log("\x1b[31mrot\x1b[0m"));
        let (outcome, conclusion) = (Conclusion::Failure, Conclusion::Failure);
        let duration = Duration::from_secs(2);
        files.job_event(&job, &JobEvent::StepFinished { step: STEP, outcome, conclusion, duration });
        files.finish();
        let path = files.of(JobId(3)).unwrap();
        assert_eq!(path, data.path().join("logs/7/3-Prüfen-a-b-..-c.log"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "▸ Say\nrot\n✗ step failed  2.0s\n");
    }

    #[test]
    fn where_steps_run_at_once_each_line_says_whose_it_is() {
        let data = tempfile::tempdir().unwrap();
        let mut files = LogFiles::new(&data.path().join("logs/7"));
        let job = title(1, "a");
        let beside = StepRef { index: 1, ..STEP };
        for (step, name) in [(STEP, "Serve"), (beside, "Test")] {
            let name = name.to_owned();
            files.job_event(&job, &JobEvent::StepStarted { step, name, at: SystemTime::now() });
            files.job_event(&job, &log("said"));
        }
        files.finish();
        let text = std::fs::read_to_string(files.of(JobId(1)).unwrap()).unwrap();
        assert_eq!(text, "▸ Serve\nsaid\n▸ Test\nServe · said\n");
    }

    #[test]
    fn logs_of_old_runs_make_room() {
        let data = tempfile::tempdir().unwrap();
        let run = |number: usize| data.path().join(format!("logs/{number:04}"));
        for number in 0..=KEPT_RUNS {
            LogFiles::new(&run(number)).job_event(&title(1, "a"), &log("x"));
        }
        assert!(!run(0).exists());
        assert!(run(1).exists() && run(KEPT_RUNS).exists());
    }

    #[test]
    fn logs_that_can_not_be_written_are_told_once_and_end_nothing() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("logs"), "a file in the way").unwrap();
        let mut files = LogFiles::new(&data.path().join("logs/7"));
        let reason = files.job_event(&title(1, "a"), &log("x")).unwrap();
        assert!(reason.contains("logs/7"), "{reason}");
        assert_eq!(files.job_event(&title(1, "a"), &log("y")), None);
    }
}
