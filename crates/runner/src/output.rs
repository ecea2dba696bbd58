//! What a process prints, line by line: commands are carried out, problems are found, the rest is shown.

use std::borrow::Cow;
use std::collections::HashMap;

use guest::client::{FileKind, FileStat, Guest, GuestError};
use model::{Annotation, AnnotationLevel, StepRef, Stream};

use crate::command::{CommandEffect, CommandProcessor, plain_annotation, relative_to};
use crate::environment::Variables;
use crate::lines::{Line, LineBuffer};
use crate::log::JobLog;
use crate::matcher::{Found, MATCHER_FILE_BYTES, Matchers, Outcome, strip_colours};
use crate::process::OutputReader;

/// What a step has asked for by commands, to be applied when it ends.
#[derive(Debug, Default)]
pub struct Requests {
    /// Outputs.
    pub outputs: Variables,
    /// State for the action's post.
    pub state: Variables,
    /// Variables for later steps.
    pub env: Variables,
    /// Folders for `PATH` of later steps.
    pub paths: Vec<String>,
    /// A command failed: so does the step.
    pub failed: bool,
    /// How much is in each command file.
    pub sizes: Vec<u64>,
}

/// Reads the output of one step.
pub struct StepOutput<'a> {
    log: &'a JobLog,
    step: StepRef,
    guest: &'a Guest,
    workspace: &'a str,
    processor: CommandProcessor,
    /// The job's matchers, kept for later steps.
    matchers: &'a mut Matchers,
    stdout: StreamState,
    stderr: StreamState,
    roots: HashMap<String, Option<String>>,
    /// What commands have asked for.
    pub requests: Requests,
}

struct StreamState {
    lines: LineBuffer,
    matchers: Matchers,
}

/// A line that the machine must be asked about before the next one is looked at.
enum Question {
    AddMatchers(String),
    RemoveMatchers(String),
    Problem(Box<Found>, String),
}

impl<'a> StepOutput<'a> {
    /// Output of `step`; files are looked up in `workspace`.
    pub fn new(
        log: &'a JobLog,
        step: StepRef,
        guest: &'a Guest,
        workspace: &'a str,
        processor: CommandProcessor,
        matchers: &'a mut Matchers,
    ) -> StepOutput<'a> {
        let stream = || StreamState {
            lines: LineBuffer::new(log.masker.longest()),
            matchers: {
                let mut own = matchers.clone();
                own.reset();
                own
            },
        };
        let (stdout, stderr) = (stream(), stream());
        StepOutput {
            log,
            step,
            guest,
            workspace,
            processor,
            matchers,
            stdout,
            stderr,
            roots: HashMap::new(),
            requests: Requests::default(),
        }
    }

    /// The last lines, where they have no end.
    pub async fn finish(&mut self) -> Result<(), GuestError> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut rest = Vec::new();
            self.stream(stream).lines.finish(|line| rest.push((line.text.into_owned(), line.dropped)));
            self.work_off(stream, rest).await?;
        }
        Ok(())
    }

    fn stream(&mut self, stream: Stream) -> &mut StreamState {
        match stream {
            Stream::Stderr => &mut self.stderr,
            _ => &mut self.stdout,
        }
    }

    /// Looks at lines one by one, asking the machine where a line needs it.
    async fn work_off(&mut self, stream: Stream, lines: Vec<(String, u64)>) -> Result<(), GuestError> {
        for (text, dropped) in lines {
            let mut questions = Vec::new();
            self.line(stream, &Line { text: text.into(), dropped }, &mut questions);
            for question in questions {
                self.ask(stream, question).await?;
            }
        }
        Ok(())
    }

    fn line(&mut self, stream: Stream, line: &Line<'_>, questions: &mut Vec<Question>) {
        let line = &self.without_cut_secret(line);
        if let Some(effects) = self.processor.process(&line.text) {
            for effect in effects {
                self.apply(stream, effect, questions);
            }
            return;
        }
        match self.stream(stream).matchers.find(&line.text) {
            Some(Outcome::Found(found)) if found.message.as_deref().is_some_and(|m| !m.trim().is_empty()) => {
                questions.push(Question::Problem(found, line.text.to_string()));
            }
            Some(Outcome::Removed(owner)) => {
                self.remove_matcher(&owner);
                self.log.warning(
                    self.step,
                    format!("Removing issue matcher '{owner}'. It takes too long for a line."),
                );
                self.log.line(self.step, stream, &line.text, line.dropped);
            }
            _ => self.log.line(self.step, stream, &line.text, line.dropped),
        }
    }

    /// A line that was cut may end within a secret, of which no mask knows the part: what could be one goes, too.
    fn without_cut_secret<'l>(&self, line: &'l Line<'_>) -> Line<'l> {
        if line.dropped == 0 {
            return Line { text: Cow::Borrowed(&line.text), dropped: 0 };
        }
        // Masks are shorter than what they hide, so the end comes nearer: it is looked for behind them.
        let mut text = self.log.masker.mask(&line.text).into_owned();
        let end = text.floor_char_boundary(text.len().saturating_sub(self.log.masker.longest()));
        let dropped = line.dropped + (text.len() - end) as u64;
        text.truncate(end);
        Line { text: text.into(), dropped }
    }

    fn apply(&mut self, stream: Stream, effect: CommandEffect, questions: &mut Vec<Question>) {
        let (log, step) = (self.log, self.step);
        match effect {
            CommandEffect::Show(text) => log.line(step, stream, &text, 0),
            CommandEffect::Annotate(annotation) => log.annotate(step, stream, annotation, None),
            CommandEffect::Debug(message) => log.debug(step, &message),
            CommandEffect::StartGroup(title) => log.start_group(step, &title),
            CommandEffect::EndGroup => log.end_group(step),
            CommandEffect::Mask(secret) => log.masker.add(&secret),
            CommandEffect::SetOutput(name, value) => {
                self.requests.outputs.insert(name, value);
            }
            CommandEffect::SaveState(name, value) => {
                self.requests.state.insert(name, value);
            }
            CommandEffect::SetEnv(name, value) => {
                self.requests.env.insert(name, value);
            }
            CommandEffect::AddPath(path) => self.requests.paths.push(path),
            CommandEffect::RemoveOwner(owner) => self.remove_matcher(&owner),
            CommandEffect::AddMatchers(file) => questions.push(Question::AddMatchers(file)),
            CommandEffect::RemoveMatchers(file) => questions.push(Question::RemoveMatchers(file)),
            CommandEffect::Fail => self.requests.failed = true,
        }
    }

    fn remove_matcher(&mut self, owner: &str) {
        self.matchers.remove(owner);
        self.stdout.matchers.remove(owner);
        self.stderr.matchers.remove(owner);
    }

    async fn ask(&mut self, stream: Stream, question: Question) -> Result<(), GuestError> {
        let (file, add) = match question {
            Question::Problem(found, line) => return self.problem(stream, *found, &line).await,
            Question::AddMatchers(file) => (file, true),
            Question::RemoveMatchers(file) => (file, false),
        };
        let path = absolute(&file, self.workspace);
        let json = match self.guest.read_file(&path, MATCHER_FILE_BYTES).await {
            Ok(json) => json,
            Err(lost @ GuestError::Lost { .. }) => return Err(lost),
            Err(error) => {
                self.matcher_failed(&file, add, &error.to_string());
                return Ok(());
            }
        };
        let all = [&mut *self.matchers, &mut self.stdout.matchers, &mut self.stderr.matchers];
        let done = all.into_iter().try_for_each(|matchers| match add {
            true => matchers.add(&json).map(drop),
            false => matchers.remove_file(&json),
        });
        if let Err(reason) = done {
            self.matcher_failed(&file, add, &reason);
        }
        Ok(())
    }

    fn matcher_failed(&mut self, file: &str, add: bool, reason: &str) {
        let command = if add { "add-matcher" } else { "remove-matcher" };
        self.log.error(self.step, format!("Unable to process command '::{command}::{file}' successfully."));
        self.log.error(self.step, reason);
        self.requests.failed = true;
    }

    async fn problem(&mut self, stream: Stream, found: Found, line: &str) -> Result<(), GuestError> {
        let Some(level) = found.level() else {
            let severity = found.severity.unwrap_or_default();
            self.log.debug(
                self.step,
                &format!("Skipped logging an issue for the matched line because the severity '{severity}' is not supported."),
            );
            self.log.line(self.step, stream, line, 0);
            return Ok(());
        };
        let file = match found.file.as_deref().map(str::trim).filter(|file| !file.is_empty()) {
            Some(file) => self.repository_path(file, found.from_path.as_deref()).await?,
            None => None,
        };
        let annotation = annotation(level, found, file);
        self.log.annotate(self.step, stream, annotation, Some(&strip_colours(line)));
        Ok(())
    }

    /// The path relative to the repository that a file is in; `None` where it is in none or not there.
    async fn repository_path(
        &mut self,
        file: &str,
        from_path: Option<&str>,
    ) -> Result<Option<String>, GuestError> {
        let mut path = file.to_owned();
        if let Some((folder, _)) =
            from_path.filter(|_| !file.starts_with('/')).and_then(|f| f.rsplit_once('/'))
        {
            path = format!("{folder}/{file}");
        }
        let path = normal(&absolute(&path, self.workspace));
        let there = self.look_at(&path).await?.is_some_and(|stat| stat.kind == FileKind::File);
        if !there {
            self.log.debug(self.step, &format!("Dropping file value '{path}'. Path does not exist"));
            return Ok(None);
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let Some(root) = self.repository_root(folder).await? else {
            self.log.debug(
                self.step,
                &format!("Dropping file value '{path}'. Path is not under the workflow repo."),
            );
            return Ok(None);
        };
        Ok(Some(relative_to(&path, &root)))
    }

    /// What is at a path that a program has printed: nothing where no file can have it, or none that may be seen.
    async fn look_at(&self, path: &str) -> Result<Option<FileStat>, GuestError> {
        match self.guest.stat(path).await {
            Err(GuestError::Refused { .. }) => Ok(None),
            looked => looked,
        }
    }

    /// The nearest folder with a `.git` in the workspace, or the workspace itself.
    async fn repository_root(&mut self, folder: String) -> Result<Option<String>, GuestError> {
        if let Some(known) = self.roots.get(&folder) {
            return Ok(known.clone());
        }
        let mut root = None;
        let mut at = folder.as_str();
        while at.len() > self.workspace.len() && at.starts_with(self.workspace) {
            if self.look_at(&format!("{at}/.git")).await?.is_some() {
                root = Some(at.to_owned());
                break;
            }
            at = at.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        if root.is_none() && at == self.workspace {
            root = Some(self.workspace.to_owned());
        }
        self.roots.insert(folder, root.clone());
        Ok(root)
    }
}

impl OutputReader for StepOutput<'_> {
    async fn read(&mut self, stream: Stream, chunk: &[u8]) -> Result<(), GuestError> {
        let margin = self.log.masker.longest();
        let mut lines = std::mem::replace(&mut self.stream(stream).lines, LineBuffer::new(0));
        lines.set_margin(margin);
        let mut questions = Vec::new();
        let mut waiting = Vec::new();
        lines.push(chunk, |line| {
            if questions.is_empty() {
                self.line(stream, &line, &mut questions);
            } else {
                waiting.push((line.text.into_owned(), line.dropped));
            }
        });
        self.stream(stream).lines = lines;
        for question in questions {
            self.ask(stream, question).await?;
        }
        self.work_off(stream, waiting).await
    }
}

fn annotation(level: AnnotationLevel, found: Found, file: Option<String>) -> Annotation {
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
    Annotation {
        file,
        line: number(found.line),
        end_line: number(found.end_line),
        column: number(found.column),
        end_column: number(found.end_column),
        code: found.code.map(|code| code.trim().to_owned()).filter(|code| !code.is_empty()),
        ..plain_annotation(level, found.message.unwrap_or_default())
    }
}

fn absolute(path: &str, root: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{root}/{path}") }
}

/// Without `.`, `..`, and doubled separators.
pub(crate) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
