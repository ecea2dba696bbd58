//! The run whose machines are kept, so that it can go on as a whole: `<data>/runs/<run>/debug/run.json` says what
//! was to be done, `results.jsonl` beside it, a line for each beginning and end of a job, what came of it.
//!
//! Secrets are named, not told. Whoever works on a run holds the file `lock`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use machine::network::NetworkPolicy;
use model::{Conclusion, JobId, JobResult, RunId, Secrets, Template, Trust};
use runner::results::CacheScope;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use workflow::plan::{CalledWorkflows, JobPath, RunContext};
use workflow::syntax::Workflow;

use crate::args::NetworkName;
use crate::data::DataFolder;
use crate::run::workflows::WorkflowFile;

/// Counts up when records of before can't be read.
const FORMAT: u32 = 2;

/// What is known of a run that can go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunRecord {
    pub(crate) format: u32,
    pub(crate) run: RunId,
    /// The latest attempt.
    pub(crate) attempt: u32,
    /// How that ended; `None` while it goes on, or if it was cut off.
    pub(crate) conclusion: Option<Conclusion>,
    pub(crate) facts: RunFacts,
    /// The workflow.
    pub(crate) file: Text,
    /// What it calls, by key.
    pub(crate) called: BTreeMap<String, Text>,
    /// Commits of the called workflows of other repositories.
    pub(crate) commits: BTreeMap<String, String>,
    /// `github`, without the token.
    pub(crate) github: Json,
    pub(crate) vars: Json,
    pub(crate) inputs: Json,
    pub(crate) trust: Trust,
    pub(crate) only: Vec<String>,
    pub(crate) matrix: Vec<(String, String)>,
    pub(crate) first_job: JobId,
    /// Names of the run's secrets.
    pub(crate) secrets: Vec<String>,
    /// `--env`.
    pub(crate) env: Option<Template>,
    /// What its machines are like.
    pub(crate) machines: Machines,
    /// `--artifacts`.
    pub(crate) artifacts: Option<PathBuf>,
    /// `--real-checkout`.
    pub(crate) real_checkout: bool,
}

/// What a run is called, and whose caches it uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunFacts {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// Its file in the repository.
    pub(crate) workflow_path: String,
    /// The repository's folder.
    pub(crate) root: PathBuf,
    /// The event and the commit.
    pub(crate) what: String,
    /// `owner/name`.
    pub(crate) repository: String,
    /// The ref that the run is of.
    pub(crate) own_ref: String,
    /// Refs whose caches it reads.
    pub(crate) read_refs: Vec<String>,
}

/// What the machines of a run are like.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machines {
    /// The driver's name.
    pub(crate) driver: String,
    pub(crate) image: Option<String>,
    pub(crate) memory_mib: Option<u64>,
    pub(crate) network: NetworkName,
    pub(crate) policy: NetworkPolicy,
    pub(crate) expose: Vec<PathBuf>,
    /// `--accept-label`.
    pub(crate) labels: Vec<String>,
}

/// A workflow file as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    /// What the user knows it as.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One line of the results.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    attempt: u32,
    job: JobId,
    path: JobPath,
    /// `None`: it begins, and what came of it before does not count any more.
    result: Option<JobResult>,
}

impl RunFacts {
    /// Whose caches the jobs use.
    pub(crate) fn caches(&self) -> CacheScope {
        CacheScope {
            repository: self.repository.clone(),
            own_ref: self.own_ref.clone(),
            read_refs: self.read_refs.clone(),
        }
    }
}

impl Text {
    fn read(&self) -> Result<Arc<Workflow>> {
        let file = WorkflowFile::parse(self.path.clone(), self.text.clone());
        match file.workflow.clone().filter(|_| !file.is_broken()) {
            Some(workflow) => Ok(workflow),
            None => {
                bail!("this version of Hearth can't read {} as it was; run the workflow again", self.path)
            }
        }
    }
}

impl RunRecord {
    /// A number for the format that this version writes.
    pub(crate) const FORMAT: u32 = FORMAT;

    /// The record of a run.
    pub(crate) fn read(data: &DataFolder, run: RunId) -> Result<RunRecord> {
        let path = folder(data, run).join("run.json");
        let text = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        let wrong = || {
            let path = path.display();
            format!("{path} is not what this version of Hearth writes; `hearth debug --rm {run}` removes it")
        };
        let record: RunRecord = serde_json::from_slice(&text).with_context(wrong)?;
        if record.format != FORMAT || record.run != run {
            bail!(wrong());
        }
        Ok(record)
    }

    fn write(&self, data: &DataFolder) -> Result<()> {
        write_whole(&folder(data, self.run), "run.json", self)
    }

    /// The workflow, and those that it calls.
    pub(crate) fn workflows(&self) -> Result<(Arc<Workflow>, CalledWorkflows)> {
        let called = self.called.iter().map(|(key, text)| Ok((key.clone(), text.read()?)));
        Ok((self.file.read()?, called.collect::<Result<_>>()?))
    }

    /// What is known of the run, with its secrets given again.
    pub(crate) fn context(&self, secrets: &Secrets, parallel: usize) -> RunContext {
        let mut github = self.github.clone();
        if let Some(entries) = github.as_object_mut() {
            let token = secrets.get("GITHUB_TOKEN").map_or("", |secret| &secret.0);
            entries.insert("token".to_owned(), token.into());
            entries.insert("run_attempt".to_owned(), self.attempt.to_string().into());
        }
        RunContext {
            run: self.run,
            attempt: self.attempt,
            github,
            vars: self.vars.clone(),
            inputs: self.inputs.clone(),
            secrets: secrets.clone(),
            trust: self.trust,
            permissions: Default::default(),
            parallel,
            only: self.only.clone(),
            matrix: self.matrix.clone(),
            commits: self.commits.clone(),
            first_job: self.first_job,
        }
    }
}

/// Writes down what comes of a run.
pub(crate) struct RunLog {
    data: DataFolder,
    record: RunRecord,
    /// Held for as long as the run goes on.
    _lock: File,
}

impl RunLog {
    /// Begins an attempt.
    pub(crate) fn begin(data: &DataFolder, record: RunRecord) -> Result<RunLog> {
        let lock = lock(data, record.run)?;
        let record = RunRecord { conclusion: None, ..record };
        record.write(data)?;
        Ok(RunLog { data: data.clone(), record, _lock: lock })
    }

    /// Notes that a job begins: what came of it in an earlier attempt does not count any more.
    pub(crate) fn job_begins(&self, job: JobId, path: &JobPath) -> Result<()> {
        self.line(job, path, None)
    }

    /// Notes how a job ended. One whose machine failed has not.
    pub(crate) fn job_ended(&self, job: JobId, path: &JobPath, result: &JobResult) -> Result<()> {
        match result.infrastructure_error {
            Some(_) => Ok(()),
            None => self.line(job, path, Some(result.clone())),
        }
    }

    fn line(&self, job: JobId, path: &JobPath, result: Option<JobResult>) -> Result<()> {
        let file = results(&self.data, self.record.run);
        let line = Line { attempt: self.record.attempt, job, path: path.clone(), result };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut options = File::options();
        let open = options.append(true).create(true).mode(0o600).open(&file);
        open.and_then(|mut file| file.write_all(&text))
            .with_context(|| format!("can't write {}", file.display()))
    }

    /// Ends the attempt. Where no machine is kept, nothing stays.
    pub(crate) fn end(self, conclusion: Conclusion) -> Result<()> {
        let RunLog { data, record, _lock: lock } = self;
        RunRecord { conclusion: Some(conclusion), ..record.clone() }.write(&data)?;
        drop(lock);
        clean(&data, record.run)
    }
}

/// How the jobs of a run ended, each when it ran last.
pub(crate) fn results_of(data: &DataFolder, run: RunId) -> Result<BTreeMap<JobPath, JobResult>> {
    let path = results(data, run);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("can't read {}", path.display()))?,
    };
    let mut found = BTreeMap::new();
    // A line without an end was cut off with the run.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line: Line = serde_json::from_str(line)
            .with_context(|| format!("{} is not what this version of Hearth writes", path.display()))?;
        match line.result {
            Some(result) => drop(found.insert(line.path, result)),
            None => drop(found.remove(&line.path)),
        }
    }
    Ok(found)
}

/// Folder of what is kept of a run.
pub(super) fn folder(data: &DataFolder, run: RunId) -> PathBuf {
    data.run(run).join("debug")
}

fn results(data: &DataFolder, run: RunId) -> PathBuf {
    folder(data, run).join("results.jsonl")
}

/// Writes a file for its owner only, or replaces it, whole.
pub(super) fn write_whole(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    let path = folder.join(name);
    let write = || -> Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

fn lock(data: &DataFolder, run: RunId) -> Result<File> {
    let folder = folder(data, run);
    let open = || -> std::io::Result<File> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        File::options().write(true).create(true).truncate(false).mode(0o600).open(folder.join("lock"))
    };
    let file = open().with_context(|| format!("can't open {}", folder.join("lock").display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => bail!("run {run} goes on in another hearth; wait for its end"),
    }
}

/// Removes the record of a run that has no kept machine and does not go on.
pub(crate) fn clean(data: &DataFolder, run: RunId) -> Result<()> {
    let folder = folder(data, run);
    if !folder.exists() || !super::Found::of_run(data, run)?.is_empty() {
        return Ok(());
    }
    let Ok(_lock) = lock(data, run) else { return Ok(()) };
    fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))
}
