//! A server of pages with made-up records, and nothing behind it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use machine::pool::KindStatus;
use model::{
    Annotation, AnnotationLevel, Conclusion, JobId, JobResult, LogLine, RepositoryId, RunId, StepPhase,
    StepRef, StepState, Stream, Timestamp,
};
use scheduler::decide::{Wait, WaitReason};
use scheduler::queue::{Capacity, Profile, Size, Subject};
use serde_json::json;
use server::address::Proxies;
use server::auth::people::People;
use server::auth::{Auth, AuthConfig, Role, token};
use server::control::{Again, Control, ControlError, Dispatch, Review};
use server::pages::premises::{Disk, Premises};
use server::pages::{Pages, Parts};
use store::log::LogFolder;
use store::record::{Job, JobClock, NewArtifact, NewRun, Run, Step};
use store::seal::SealKey;
use store::{Change, SqliteStore, Store, sample};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A text that nobody should be able to run.
pub(crate) const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

/// Everything that pages stand on.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) logs: LogFolder,
    pub(crate) control: Arc<Fake>,
    pub(crate) stop: CancellationToken,
    pub(crate) now: Timestamp,
    next_job: Mutex<u64>,
}

/// Writes down what it is asked, and does nothing.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) wishes: Mutex<Vec<String>>,
    pub(crate) waits: Mutex<Vec<Wait>>,
}

impl Fake {
    fn note(&self, wish: String) {
        self.wishes.lock().expect("a lock").push(wish);
    }
}

#[async_trait]
impl Control for Fake {
    async fn cancel(&self, subject: Subject, reason: String) -> Result<(), ControlError> {
        self.note(format!("cancel {subject}: {reason}"));
        Ok(())
    }

    async fn again(&self, run: RunId, again: Again, actor: String) -> Result<u32, ControlError> {
        self.note(format!("again {run} {again:?} by {actor}"));
        Ok(2)
    }

    async fn approve(&self, run: RunId, actor: String) -> Result<(), ControlError> {
        self.note(format!("approve {run} by {actor}"));
        Ok(())
    }

    async fn review(&self, job: JobId, review: Review) -> Result<(), ControlError> {
        self.note(format!("{:?} {job} by {}", review.decision, review.actor));
        Ok(())
    }

    async fn dispatch(&self, _wish: Dispatch) -> Result<Vec<Run>, ControlError> {
        Ok(Vec::new())
    }

    async fn waits(&self) -> Result<Vec<Wait>, ControlError> {
        Ok(self.waits.lock().expect("a lock").clone())
    }

    async fn remove_artifact(&self, run: RunId, number: u64) -> Result<(), ControlError> {
        self.note(format!("remove artifact {number} of {run}"));
        Ok(())
    }

    async fn remove_caches(&self, files: Vec<String>) -> Result<(), ControlError> {
        self.note(format!("remove {files:?}"));
        Ok(())
    }

    fn nudge(&self) {
        self.note("nudge".to_owned());
    }
}

struct House;

impl Premises for House {
    fn profiles(&self) -> Vec<Profile> {
        let profile = |name: &str, labels: &[&str], vcpus, memory_mib, machines| Profile {
            name: name.to_owned(),
            group: None,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            size: Size { vcpus, memory_mib },
            largest: None,
            capacity: Capacity { machines: Some(machines), vcpus: None, memory_mib: None },
        };
        vec![
            profile("sandbox", &["ubuntu-latest", "linux"], 2, 4096, 8),
            profile("large", &["ubuntu-latest-8-cores", "linux", "large"], 8, 16 * 1024, 2),
        ]
    }

    fn pool(&self) -> Vec<KindStatus> {
        vec![KindStatus {
            name: "large".to_owned(),
            image: Some("debian-13".to_owned()),
            ready: 2,
            starting: 1,
            wanted: 3,
            leases: 1204,
            misses: 3,
            failures: 1,
            deaths: 0,
            last_failure: Some("its agent did not answer within 30 s".to_owned()),
        }]
    }

    fn disk(&self) -> Option<Disk> {
        None
    }

    fn address(&self) -> Option<String> {
        Some("https://ci.example.org".to_owned())
    }
}

impl World {
    /// Nothing but a repository `octo/hello`.
    pub(crate) async fn new() -> World {
        let folder = TempDir::new().expect("a folder");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path()).expect("the store opens"));
        World {
            logs: LogFolder::new(&folder.path().join("logs")),
            store,
            folder,
            control: Arc::default(),
            stop: CancellationToken::new(),
            now: Timestamp::now(),
            next_job: Mutex::new(1000),
        }
    }

    /// The pages, for whoever has a token or may look without one.
    pub(crate) fn pages(&self, anonymous_read: bool) -> Pages {
        self.pages_with(anonymous_read, None)
    }

    /// The pages, also for people whom the forge knows.
    pub(crate) fn pages_with(&self, anonymous_read: bool, people: Option<People>) -> Pages {
        let config = AuthConfig { anonymous_read, secure_cookies: false };
        let auth = Auth::new(Arc::clone(&self.store), config);
        let auth = match people {
            Some(people) => auth.with_people(people),
            None => auth,
        };
        Pages::new(Parts {
            store: Arc::clone(&self.store),
            logs: self.logs.clone(),
            control: Arc::clone(&self.control) as Arc<dyn Control>,
            auth: Arc::new(auth),
            seal: Arc::new(SealKey::load_or_make(&self.folder.path().join("key")).expect("a key")),
            proxies: Proxies::default(),
            premises: Arc::new(House),
            stop: self.stop.clone(),
        })
    }

    pub(crate) async fn token(&self, name: &str, role: Role) -> String {
        let (secret, record) = token::make(name, role, None, self.now).expect("a name");
        self.store.apply(vec![Change::TokenMade(record)]).await.expect("made");
        secret
    }

    /// So many seconds before now.
    pub(crate) fn ago(&self, secs: u64) -> Timestamp {
        Timestamp(self.now.0 - secs * 1000)
    }

    pub(crate) async fn repository(&self, name: &str) -> RepositoryId {
        let facts = sample::repository(name);
        self.store.repository_seen(facts, self.ago(9_000_000)).await.expect("seen")
    }

    /// A run that is queued since so many seconds.
    pub(crate) async fn run(
        &self,
        repository: RepositoryId,
        secs: u64,
        change: impl FnOnce(&mut NewRun),
    ) -> Run {
        let sha = "4f1c0de9".repeat(5);
        let mut what = NewRun { sha: sha.clone(), head_sha: sha, ..sample::run(repository) };
        change(&mut what);
        self.store.create_run(what, self.ago(secs)).await.expect("created")
    }

    pub(crate) async fn start(&self, run: RunId, text: &str, secs: u64) {
        let plan = json!({"file": {"path": "ci.yml", "text": text}});
        self.apply(vec![Change::RunStarted { run, plan, at: self.ago(secs) }]).await;
    }

    pub(crate) async fn end(&self, run: RunId, conclusion: Conclusion, secs: u64) {
        self.apply(vec![Change::RunEnded { run, conclusion, reason: None, at: self.ago(secs) }]).await;
    }

    pub(crate) async fn apply(&self, changes: Vec<Change>) {
        self.store.apply(changes).await.expect("applied");
    }

    /// A job of an attempt, queued since so many seconds.
    pub(crate) async fn job(&self, run: RunId, attempt: u32, path: &str, name: &str, secs: u64) -> JobId {
        let id = {
            let mut next = self.next_job.lock().expect("a lock");
            *next += 1;
            JobId(*next)
        };
        let key = path.split(['[', '/']).next().unwrap_or(path).to_owned();
        let job = Job {
            attempt,
            key,
            path: path.to_owned(),
            name: name.to_owned(),
            clock: JobClock { queued_at: self.ago(secs), ..JobClock::default() },
            ..sample::job(id, run)
        };
        self.apply(vec![Change::JobCreated(Box::new(job))]).await;
        id
    }

    /// A second attempt of a run, which leaves this job as it was.
    pub(crate) async fn leave_as_it_was(&self, run: RunId, ran: JobId) -> JobId {
        let job = self.store.job(ran).await.expect("read").expect("there");
        let again = json!("failed");
        let (id, at) = (JobId(ran.0 + 1000), self.now);
        let left = Job {
            id,
            attempt: 2,
            taken_from: Some(ran),
            clock: JobClock { queued_at: at, ended_at: Some(at), ..JobClock::default() },
            ..job
        };
        self.apply(vec![
            Change::AttemptQueued { run, attempt: 2, actor: "ada".to_owned(), again, at },
            Change::RunStarted { run, plan: json!({}), at },
            Change::JobCreated(Box::new(left)),
        ])
        .await;
        id
    }

    /// Gives a job its machine: asked for at `secs`, there and speaking soon after.
    pub(crate) async fn begin(&self, job: JobId, secs: u64) {
        let at = |ms: u64| self.ago(secs).after(Duration::from_millis(ms));
        self.apply(vec![
            Change::JobLeasing { job, at: at(0) },
            Change::JobStarted { job, machine: format!("sandbox-{}", job.0), at: at(140) },
            Change::JobSpoke { job, at: at(390) },
        ])
        .await;
    }

    pub(crate) async fn end_job(&self, job: JobId, conclusion: Conclusion, secs: u64) {
        let result = JobResult {
            conclusion,
            infrastructure_error: None,
            decided: None,
            outputs: Vec::new(),
            environment_url: None,
            steps: Vec::new(),
        };
        self.apply(vec![Change::JobEnded { job, result, reason: None, at: self.ago(secs) }]).await;
    }

    /// A file that a job has left.
    pub(crate) async fn artifact(&self, run: RunId, job: JobId, number: u64, name: &str) {
        let artifact = NewArtifact {
            run,
            number,
            job,
            name: name.to_owned(),
            file_name: format!("{name}.zip"),
            file: format!("runs/{run}/{number}"),
            size: 482_133,
            digest: "sha256:00".to_owned(),
            created_at: self.now,
            expires_at: self.now,
        };
        self.apply(vec![Change::ArtifactKept(artifact)]).await;
    }

    /// A step with its lines; it ends if it has a conclusion.
    pub(crate) async fn step(
        &self,
        job: JobId,
        index: usize,
        name: &str,
        (from, to): (u64, u64),
        conclusion: Option<Conclusion>,
        lines: &[(Stream, &str)],
    ) {
        let step = StepRef { index, phase: StepPhase::Main };
        let first_line = self.logs.read(job).count().await.expect("counted");
        let record = Step {
            job,
            step,
            name: name.to_owned(),
            state: StepState::Running,
            outcome: None,
            conclusion: None,
            started_at: self.ago(from),
            ended_at: None,
            first_line,
            summary: None,
        };
        self.apply(vec![Change::StepStarted(Box::new(record))]).await;
        self.log(job, step, self.ago(from), lines, first_line).await;
        if let Some(conclusion) = conclusion {
            self.apply(vec![Change::StepEnded {
                job,
                step,
                outcome: conclusion,
                conclusion,
                at: self.ago(to),
            }])
            .await;
        }
    }

    async fn log(&self, job: JobId, step: StepRef, at: Timestamp, lines: &[(Stream, &str)], first: u64) {
        let lines: Vec<LogLine> = lines
            .iter()
            .zip(first..)
            .map(|((stream, text), sequence)| LogLine {
                step,
                sequence,
                stream: *stream,
                at: at.after(Duration::from_millis((sequence - first) * 37)).into(),
                text: (*text).to_owned(),
            })
            .collect();
        let mut writer = self.logs.append(job).expect("a writer");
        writer.write(&lines).expect("written");
        writer.flush().expect("flushed");
    }

    pub(crate) async fn annotate(
        &self,
        job: JobId,
        level: AnnotationLevel,
        file: &str,
        line: u32,
        message: &str,
    ) {
        let annotation = Annotation {
            level,
            message: message.to_owned(),
            title: None,
            file: Some(file.to_owned()),
            line: Some(line),
            end_line: None,
            column: None,
            end_column: None,
            code: None,
        };
        self.apply(vec![Change::Annotated { job, annotation }]).await;
    }

    /// What waits, and why.
    pub(crate) fn wait(&self, subject: Subject, reason: WaitReason, place: Option<usize>) {
        self.control.waits.lock().expect("a lock").push(Wait { subject, reason, place });
    }
}
