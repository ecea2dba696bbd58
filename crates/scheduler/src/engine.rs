//! Carries decisions out: what the queue decides, machines, plans, and the store do; and what they did, the queue
//! hears.
//!
//! One task owns the queue and all plans, so that nothing of them needs a lock. Whatever takes time (git, machines,
//! jobs) runs beside it and sends a message when it is done. A state change is written before anything that rests on
//! it happens, so that a crash at any moment forgets nothing: [`recover`] makes plans anew and tells them what they
//! were told.

mod admit;
mod again;
mod asked;
mod cancel;
mod hand_back;
mod live;
mod naming;
mod prepare;
mod recover;
mod review;
mod start;
mod work;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::{Conclusion, JobId, JobResult, RunId, RunState, Timestamp};
use store::change::Requeue;
use store::log::LogFolder;
use store::record::Run;
use store::{Change, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::decide::{Command, Wait, decide, waits};
use crate::queue::{Limits, Queue, QueuedJob, Subject};
use crate::recipe::Again;
use crate::retry::{self, Verdict};
use crate::worker::Worker;

pub use crate::environment::Decision;
pub use again::RunAgain;
pub use prepare::{Preparer, SecretError, SecretSource};
pub use review::Review;

use admit::Late;
use hand_back::leaves_log_open;
use live::{Consequences, Live, without_machine};
use prepare::{PrepareError, Prepared};
use start::PutOff;

/// Messages that may wait for the engine. Senders wait beyond it; each run and job sends a handful in its life.
const INBOX: usize = 1024;

/// How long whoever only looks waits for the engine: in vain while the store takes no change.
const LOOK: Duration = Duration::from_secs(3);

/// Wait before a write or a read is tried again on which the engine waits.
const AGAIN: Duration = Duration::from_secs(1);

/// How long is slept at most while somebody waits for a time of day: the clock may be set meanwhile, or the host
/// sleep, and neither of them wakes who waits for so many seconds.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What the engine works with.
pub struct Parts {
    /// What must not be forgotten.
    pub store: Arc<dyn Store>,
    /// Logs of jobs.
    pub logs: Arc<LogFolder>,
    /// Makes plans.
    pub preparer: Arc<Preparer>,
    /// Carries jobs out.
    pub worker: Arc<dyn Worker>,
    /// How failures of machines are answered.
    pub retry: retry::Policy,
}

/// Somebody's wish, or news.
enum Message {
    Admit(Vec<Run>),
    Prepared { run: RunId, attempt: u32, outcome: Box<Result<Prepared, PrepareError>> },
    Worked { job: JobId, result: JobResult },
    PutOff { job: JobId, reason: String },
    Cancel { subject: Subject, reason: String, answer: oneshot::Sender<Result<(), EngineError>> },
    Again { wish: RunAgain, answer: oneshot::Sender<Result<Vec<u32>, EngineError>> },
    Approve { run: RunId, actor: String, answer: oneshot::Sender<Result<(), EngineError>> },
    Review { job: JobId, review: Review, answer: oneshot::Sender<Result<(), EngineError>> },
    Limits(Box<dyn FnOnce(&mut Limits) + Send>),
    Waits(oneshot::Sender<Vec<Wait>>),
    Idle(oneshot::Sender<()>),
    Quiet(oneshot::Sender<()>),
    HandBack(oneshot::Sender<()>),
}

/// Why a wish is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(Subject),
    /// It is not in a state for that.
    #[error("{subject} {problem}")]
    Unfit {
        /// What.
        subject: Subject,
        /// Why not.
        problem: String,
    },
    /// Not by whoever asks.
    #[error("{0}")]
    Forbidden(String),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is being stopped.
    #[error("the server is being stopped")]
    Stopped,
    /// It has not answered in time: it waits for the store, which takes no change.
    #[error(
        "the scheduler has not answered for {0:?}: the server's log says what it waits for (a full disk?); ask again"
    )]
    Busy(Duration),
}

/// Speaks to the engine. Clones speak to the same one.
#[derive(Clone)]
pub struct Engine {
    inbox: mpsc::Sender<Message>,
}

impl Engine {
    /// Starts the engine: goes on with everything that an earlier life left, then takes messages until `stop`.
    /// Running jobs that were not [handed back](Engine::hand_back) are then ended as interrupted, to be run again by
    /// the next life.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn start(
        parts: Parts,
        queue: Queue,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Engine, StoreError> {
        let (sender, inbox) = mpsc::channel(INBOX);
        let mut core = Core {
            queue,
            live: HashMap::new(),
            preparing: HashMap::new(),
            waiting: HashMap::new(),
            put_off: HashMap::new(),
            late: Late::default(),
            kept_out: Vec::new(),
            retry: parts.retry,
            idle: Vec::new(),
            quiet: Vec::new(),
            sender: sender.clone(),
            stop,
            tasks: tasks.clone(),
            parts,
        };
        core.recover().await?;
        tasks.spawn(core.run(inbox));
        Ok(Engine { inbox: sender })
    }

    /// These runs were made.
    pub async fn admit(&self, runs: Vec<Run>) {
        // A stopped engine finds them in the store when it starts again.
        let _ = self.inbox.send(Message::Admit(runs)).await;
    }

    /// Cancels a run or a job.
    ///
    /// # Errors
    /// It has ended, or is not there.
    pub async fn cancel(&self, subject: Subject, reason: String) -> Result<(), EngineError> {
        self.ask(|answer| Message::Cancel { subject, reason, answer }).await?
    }

    /// Runs an ended run again, as a new attempt. Gives its number.
    ///
    /// # Errors
    /// It has not ended, or is not there.
    pub async fn again(&self, run: RunId, again: Again, actor: String) -> Result<u32, EngineError> {
        let attempts = self.all_again(RunAgain { runs: vec![(run, again)], actor, delivery: None }).await?;
        Ok(attempts.into_iter().next().unwrap_or_default())
    }

    /// Runs ended runs again, as new attempts. Gives their numbers.
    ///
    /// # Errors
    /// One of them has not ended, or is not there; then none runs. Or the delivery was done with before.
    pub async fn all_again(&self, wish: RunAgain) -> Result<Vec<u32>, EngineError> {
        self.ask(|answer| Message::Again { wish, answer }).await?
    }

    /// Lets a waiting run go on.
    ///
    /// # Errors
    /// It does not wait, or is not there.
    pub async fn approve(&self, run: RunId, actor: String) -> Result<(), EngineError> {
        self.ask(|answer| Message::Approve { run, actor, answer }).await?
    }

    /// Lets a job that waits for it into its environment, or ends it.
    ///
    /// # Errors
    /// It does not wait, is not there, or the environment is not this person's to decide about.
    pub async fn review(&self, job: JobId, review: Review) -> Result<(), EngineError> {
        self.ask(|answer| Message::Review { job, review, answer }).await?
    }

    /// Changes what may run at once.
    pub async fn limit(&self, change: impl FnOnce(&mut Limits) + Send + 'static) {
        let _ = self.inbox.send(Message::Limits(Box::new(change))).await;
    }

    /// Why each waiting run and job waits.
    ///
    /// # Errors
    /// The server is being stopped, or the engine is too busy to say.
    pub async fn waits(&self) -> Result<Vec<Wait>, EngineError> {
        let asked = tokio::time::timeout(LOOK, self.ask(Message::Waits)).await;
        asked.unwrap_or(Err(EngineError::Busy(LOOK)))
    }

    /// Waits until nothing runs and nothing that could run waits.
    pub async fn idle(&self) {
        let _ = self.ask(Message::Idle).await;
    }

    /// Ends what runs, and queues it again as if it had not begun. Waits until no job has a machine.
    ///
    /// The queue must be [closed](Limits::closed): it would start again at once otherwise.
    pub async fn hand_back(&self) {
        let _ = self.ask(Message::HandBack).await;
    }

    /// Waits until no job has a machine.
    pub async fn quiet(&self) {
        let _ = self.ask(Message::Quiet).await;
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.inbox.send(message(answer)).await.map_err(|_| EngineError::Stopped)?;
        answered.await.map_err(|_| EngineError::Stopped)
    }
}

/// The engine's own state.
struct Core {
    parts: Parts,
    queue: Queue,
    /// Runs whose plans exist.
    live: HashMap<RunId, Live>,
    /// Runs whose plans are being made; those that were cancelled meanwhile with the reason.
    preparing: HashMap<RunId, Option<String>>,
    /// Runs that have not started, or have in an earlier life and can't be read yet.
    waiting: HashMap<RunId, Run>,
    /// How often runs that have not started were put off.
    put_off: HashMap<RunId, PutOff>,
    /// Runs that have no name yet.
    late: Late,
    /// Jobs that their environments never let in, or that the worker never runs, and why.
    kept_out: Vec<(JobId, String)>,
    /// How failures of machines are answered.
    retry: retry::Policy,
    idle: Vec<oneshot::Sender<()>>,
    quiet: Vec<oneshot::Sender<()>>,
    sender: mpsc::Sender<Message>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Core {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        loop {
            self.admit_late().await;
            let decided_at = self.pump().await;
            self.tell_idle();
            // By the time of the decision: what has become due since then is due at once.
            let wake = self.queue.wakes_at(decided_at).into_iter().chain(self.late.wakes_at()).min();
            let wake = wake.map(|at| at.since(Timestamp::now()));
            let wake = async {
                match wake {
                    Some(wait) => tokio::time::sleep(wait.min(LOOK_AGAIN)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = wake => {}
                message = inbox.recv() => match message {
                    Some(message) => self.hear(message).await,
                    None => break,
                },
            }
        }
        for job in self.live.values().flat_map(|live| live.jobs.values()) {
            job.cancellation.iter().for_each(runner::Cancellation::kill);
        }
    }

    async fn hear(&mut self, message: Message) {
        match message {
            Message::Admit(runs) => {
                for run in runs {
                    self.admit(run).await;
                }
            }
            Message::Prepared { run, attempt, outcome } => self.prepared(run, attempt, *outcome).await,
            Message::Worked { job, result } => self.worked(job, result).await,
            Message::PutOff { job, reason } => self.put_job_off(job, reason).await,
            // Whoever asked may be gone; what was asked is done all the same.
            Message::Cancel { subject, reason, answer } => {
                drop(answer.send(self.cancel(subject, reason).await))
            }
            Message::Again { wish, answer } => drop(answer.send(self.again(wish).await)),
            Message::Approve { run, actor, answer } => drop(answer.send(self.approve(run, &actor).await)),
            Message::Review { job, review, answer } => drop(answer.send(self.review(job, review).await)),
            Message::Limits(change) => {
                let mut limits = self.queue.limits().clone();
                change(&mut limits);
                self.queue.limits_changed(limits);
            }
            Message::Waits(answer) => {
                let now = Timestamp::now();
                let mut all = waits(&self.queue, now);
                all.extend(self.late.waits(now));
                drop(answer.send(all));
            }
            Message::Idle(answer) => self.idle.push(answer),
            Message::Quiet(answer) => self.quiet.push(answer),
            Message::HandBack(answer) => {
                self.hand_back();
                self.quiet.push(answer);
            }
        }
    }

    /// Carries out what the queue decides until it decides nothing. Gives when that was.
    async fn pump(&mut self) -> Timestamp {
        loop {
            while let Some((job, reason)) = self.kept_out.pop() {
                self.end_job(job, without_machine(Conclusion::Failure, None), Some(reason)).await;
            }
            let now = Timestamp::now();
            let commands = decide(&self.queue, now);
            if commands.is_empty() {
                return now;
            }
            for command in commands {
                match command {
                    Command::StartRun(run) => self.start_run(run).await,
                    Command::StartJob { job, placement } => self.start_job(job, placement).await,
                    Command::LetIn(job) | Command::WaitAnew(Subject::Job(job)) => {
                        self.time_has_come(job).await
                    }
                    Command::WaitAnew(Subject::Run(run)) => self.ask_anew(run).await,
                    Command::CancelRun { run, reason } => self.cancel_run(run, reason).await,
                    Command::CancelJob { job, reason } => self.cancel_job(job, reason).await,
                    Command::Refuse { job, reason } => {
                        let result = without_machine(Conclusion::Failure, None);
                        self.end_job(job, result, Some(reason)).await;
                    }
                }
            }
        }
    }

    /// Carries out what a plan says.
    async fn follow(&mut self, run: RunId, known: &BTreeMap<JobId, store::record::Job>) {
        self.look_at_environments(run).await;
        let Some(live) = self.live.get_mut(&run) else { return };
        let follows = live.follow(Timestamp::now(), known);
        self.carry_out(run, Vec::new(), follows).await;
    }

    /// Writes what has happened and what follows from it, in one transaction, and goes on from there.
    async fn carry_out(&mut self, run: RunId, mut changes: Vec<Change>, follows: Consequences) {
        changes.extend(follows.changes);
        if follows.ended.is_none() {
            changes.extend(self.live.get_mut(&run).and_then(Live::held_or_resumed));
        }
        self.write(changes).await;
        for call in follows.calls {
            self.queue.call_ended(call);
        }
        for job in follows.queue {
            match self.refusal(&job) {
                Some(reason) => self.kept_out.push((job.id, reason)),
                None => self.queue.job_queued(job),
            }
        }
        self.kept_out.extend(follows.kept_out);
        for job in follows.cancel {
            self.queue.cancel(job, "its run needs it no more");
        }
        if let Some(conclusion) = follows.ended {
            info!(run = %run, %conclusion, "run ended");
            self.queue.ended(run, Timestamp::now());
            self.live.remove(&run);
        }
    }

    /// Why the worker will never run a job where it belongs: it is not to wait, hold anything, or be tried again.
    fn refusal(&self, queued: &QueuedJob) -> Option<String> {
        let live = self.live.get(&queued.run)?;
        let machine = self.queue.profiles().place(&queued.runs_on).ok()?;
        self.parts.worker.refuses(&live.jobs.get(&queued.id)?.job, &machine)
    }

    /// A worker is done with a job.
    async fn worked(&mut self, id: JobId, mut result: JobResult) {
        if self.taken_back(id, &mut result).await {
            return;
        }
        let run = crate::recipe::run_of(id);
        let Some(job) = self.live.get_mut(&run).and_then(|live| live.jobs.get_mut(&id)) else { return };
        job.put_off = 0;
        let cancellation = job.cancellation.take();
        let was_cancelled = cancellation.as_ref().is_some_and(runner::Cancellation::is_cancelled);
        if cancellation.is_some_and(|cancellation| leaves_log_open(&cancellation, &result)) {
            self.finish_log(id);
        }
        let Some(job) = self.live.get_mut(&run).and_then(|live| live.jobs.get_mut(&id)) else { return };
        let now = Timestamp::now();
        let verdict = match was_cancelled {
            true => Verdict::Ended,
            false => retry::after_result(self.retry, id, &result, job.failed_before(), now),
        };
        let reason = match verdict {
            Verdict::Again(retry) => {
                let reason = retry.after.clone();
                if self.queue.retried(id, retry, now) {
                    // Why stands right before it in the log.
                    job.again_because = Some("that was not for its steps to prevent".to_owned());
                    warn!(job = %id, %run, reason, "the job's machine has failed; the job is tried again");
                    let requeue = Requeue::Machine;
                    self.write(vec![Change::JobRequeued { job: id, reason, requeue, at: now }]).await;
                    return;
                }
                Some(reason)
            }
            Verdict::GivenUp { reason } => Some(reason),
            Verdict::Ended => result.infrastructure_error.clone(),
        };
        self.end_job(id, result, reason).await;
    }

    /// Writes a job's end, tells its plan, and goes on.
    async fn end_job(&mut self, id: JobId, result: JobResult, reason: Option<String>) {
        let run = crate::recipe::run_of(id);
        let now = Timestamp::now();
        self.queue.ended(id, now);
        self.look_at_environments(run).await;
        let Some(live) = self.live.get_mut(&run) else { return };
        let ended = live.jobs.get(&id);
        let was_tried = ended.is_some_and(|job| job.tries > 0);
        // Its last try has left it open for the next one, which never comes.
        let is_log_open = ended.is_some_and(|job| job.again_because.is_some());
        let forgotten =
            ended.into_iter().flat_map(|job| [review::forget_approval(id, job), asked::forget(id, job)]);
        let forgotten: Vec<Change> = forgotten.flatten().collect();
        let (conclusion, why) = (result.conclusion, reason.as_deref().unwrap_or_default());
        match &result.infrastructure_error {
            Some(_) => error!(job = %id, %run, %conclusion, reason = why, "job ended for want of a machine"),
            None => info!(job = %id, %run, %conclusion, reason = why, "job ended"),
        }
        live.job_ended(id, &result);
        let follows = live.follow(now, &BTreeMap::new());
        if is_log_open || was_tried && result.infrastructure_error.is_some() {
            self.finish_log(id);
        }
        let mut changes = vec![Change::JobEnded { job: id, result, reason, at: now }];
        changes.extend(forgotten);
        self.carry_out(run, changes, follows).await;
    }

    /// Says in the log of a job that is not tried again that nothing follows.
    fn finish_log(&self, job: JobId) {
        let logs = Arc::clone(&self.parts.logs);
        self.tasks.spawn_blocking(move || {
            if let Err(error) = logs.append(job).and_then(store::log::LogWriter::finish) {
                warn!(%job, %error, "the log of a job has no end");
            }
        });
    }

    async fn end_run(&mut self, run: RunId, conclusion: Conclusion, reason: Option<String>) {
        let now = Timestamp::now();
        info!(%run, %conclusion, reason = reason.as_deref().unwrap_or_default(), "run ended");
        let mut changes = vec![Change::RunEnded { run, conclusion, reason, at: now }];
        let waited = self.waiting.remove(&run).filter(|run| run.what.state == RunState::Waiting);
        changes.extend(waited.map(|run| asked::forget_run(run.id)));
        self.write(changes).await;
        self.queue.ended(run, now);
        self.put_off.remove(&run);
        self.live.remove(&run);
    }

    async fn approve(&mut self, id: RunId, actor: &str) -> Result<(), EngineError> {
        let awaits = |run: &&mut Run| run.what.state == RunState::Waiting && run.started_at.is_none();
        let Some(run) = self.waiting.get_mut(&id).filter(awaits) else {
            let problem = match self.live.get(&id).is_some_and(Live::is_held) {
                true => "does not wait for approval itself: jobs of it do",
                false if self.late.contains(id) => "can't be read now and is not taken up yet: try again",
                false => "does not wait for approval",
            };
            return Err(EngineError::Unfit { subject: id.into(), problem: problem.to_owned() });
        };
        let approved = prepare::approved_key(run);
        let changes = vec![
            Change::RunQueued { run: id },
            asked::forget_run(id),
            Change::Setting { key: approved, value: serde_json::Value::Bool(true) },
        ];
        self.parts.store.apply(changes).await?;
        info!(run = %id, actor, "run approved");
        run.what.state = RunState::Queued;
        self.queue.approved(id, Timestamp::now());
        Ok(())
    }

    /// Writes changes, however long the disk has no room for them. `false`: they contradict what is there, which
    /// is a fault of ours, and nothing was written.
    async fn write(&self, changes: Vec<Change>) -> bool {
        if changes.is_empty() {
            return true;
        }
        loop {
            match self.parts.store.apply(changes.clone()).await {
                Ok(()) => return true,
                Err(error @ (StoreError::Illegal { .. } | StoreError::Missing(_))) => {
                    // Not what they say: that is the jobs' own.
                    error!(%error, changes = changes.len(), "a change contradicts the store; please report it");
                    return false;
                }
                Err(error) => error!(%error, "the store does not take a change; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = self.stop.cancelled() => return false,
            }
        }
    }

    fn tell_idle(&mut self) {
        let is_quiet = self.queue.running_jobs() == 0;
        let is_idle = is_quiet
            && self.live.is_empty()
            && self.preparing.is_empty()
            && self.waiting.is_empty()
            && self.late.is_empty();
        let idle = if is_idle { std::mem::take(&mut self.idle) } else { Vec::new() };
        let quiet = if is_quiet { std::mem::take(&mut self.quiet) } else { Vec::new() };
        for asked in idle.into_iter().chain(quiet) {
            // Whoever asked may have stopped waiting.
            let _ = asked.send(());
        }
    }
}
