//! Carries a run's plan out: what the plan commands, machines and jobs do, and what they did, the plan hears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Conclusion, EventSink, Job, JobEvent, JobId, JobResult};
use tokio::task::JoinSet;
use workflow::plan::{PlanCommand, RunPlan, RunsOn};

use super::interrupt::Interrupts;
use super::job::JobRunner;
use super::output::{JobTitle, Output};

/// How often buffered log lines reach the screen: fast enough for the eye.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(40);

/// The output, shared by the jobs. A slow reader slows the jobs down, so nothing piles up.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Mutex<Box<dyn Output>>>);

impl Screen {
    pub(crate) fn new(output: Box<dyn Output>) -> Screen {
        Screen(Arc::new(Mutex::new(output)))
    }

    /// The output. A panic of another writer leaves at worst half a line.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Box<dyn Output>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves only what stays, unless another writer is at it.
    pub(crate) fn pause_unless_busy(&self) {
        if let Ok(mut output) = self.0.try_lock() {
            output.pause();
        }
    }
}

/// Sends the events of one job to the screen.
pub(crate) struct JobScreen {
    /// Where they are shown.
    pub(crate) screen: Screen,
    /// The job.
    pub(crate) title: JobTitle,
}

impl EventSink for JobScreen {
    fn emit(&self, event: JobEvent) {
        self.screen.lock().job_event(&self.title, &event);
    }
}

/// What came of a run.
pub(crate) struct Outcome {
    /// Of all jobs together.
    pub(crate) conclusion: Conclusion,
    /// Whether a machine or Hearth itself failed.
    pub(crate) infrastructure_failed: bool,
}

/// Runs the plan to its end.
pub(crate) async fn drive(
    plan: RunPlan,
    jobs: Arc<JobRunner>,
    screen: Screen,
    interrupts: &mut Interrupts,
) -> Outcome {
    let mut driving = Driving {
        plan,
        jobs,
        screen,
        running: JoinSet::new(),
        titles: HashMap::new(),
        tasks: HashMap::new(),
        cancellations: HashMap::new(),
        infrastructure_failed: false,
        interrupted: 0,
    };
    driving.until_finished(interrupts).await
}

struct Driving {
    plan: RunPlan,
    jobs: Arc<JobRunner>,
    screen: Screen,
    running: JoinSet<(JobId, JobResult)>,
    titles: HashMap<JobId, JobTitle>,
    tasks: HashMap<tokio::task::Id, JobId>,
    cancellations: HashMap<JobId, runner::Cancellation>,
    infrastructure_failed: bool,
    interrupted: u32,
}

impl Driving {
    async fn until_finished(&mut self, interrupts: &mut Interrupts) -> Outcome {
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        flush.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if let Some(conclusion) = self.obey() {
                self.screen.lock().pause();
                return Outcome { conclusion, infrastructure_failed: self.infrastructure_failed };
            }
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.job_ended(ended),
                () = interrupts.next() => self.interrupt(),
                _ = flush.tick() => self.screen.lock().flush(),
            }
        }
    }

    /// Carries out what the plan commands until it commands nothing; the conclusion once all has ended.
    fn obey(&mut self) -> Option<Conclusion> {
        loop {
            let commands = self.plan.poll();
            self.jobs.supply.expect(self.plan.waiting());
            if commands.is_empty() {
                return None;
            }
            self.screen.lock().waiting(self.plan.waiting());
            for command in commands {
                match command {
                    PlanCommand::Start { job, runs_on } => self.start(*job, &runs_on),
                    PlanCommand::Cancel(id) => {
                        if let Some(cancellation) = self.cancellations.get(&id) {
                            cancellation.cancel();
                        }
                    }
                    PlanCommand::Decided { id, key, name, conclusion, reason, .. } => {
                        let title = JobTitle { id, key, name };
                        self.screen.lock().decided(&title, conclusion, reason.as_deref());
                    }
                    PlanCommand::Finished(conclusion) => return Some(conclusion),
                }
            }
        }
    }

    fn start(&mut self, job: Job, runs_on: &RunsOn) {
        let id = job.id;
        let title = JobTitle { id, key: job.key.clone(), name: job.name.clone() };
        self.titles.insert(id, title.clone());
        if let Some(reason) = self.jobs.refusal(runs_on) {
            self.screen.lock().decided(&title, Conclusion::Failure, Some(&reason));
            self.plan.job_finished(id, &ended_without_running(Conclusion::Failure, None));
            return;
        }
        self.screen.lock().job_queued(&title);
        let cancellation = runner::Cancellation::default();
        self.cancellations.insert(id, cancellation.clone());
        let sink = Arc::new(JobScreen { screen: self.screen.clone(), title: title.clone() });
        let (jobs, screen) = (Arc::clone(&self.jobs), self.screen.clone());
        let place = self.plan.place(id);
        let task = self
            .running
            .spawn(async move { (id, jobs.run(job, place, &title, sink, screen, cancellation).await) });
        self.tasks.insert(task.id(), id);
    }

    fn job_ended(&mut self, ended: Result<(tokio::task::Id, (JobId, JobResult)), tokio::task::JoinError>) {
        let (id, result) = match ended {
            Ok((task, (id, result))) => {
                self.tasks.remove(&task);
                (id, result)
            }
            Err(error) => {
                let Some(id) = self.tasks.remove(&error.id()) else { return };
                let reason = format!("Hearth failed in this job ({error}); please report it");
                let result = ended_without_running(Conclusion::Failure, Some(reason));
                if let Some(title) = self.titles.get(&id) {
                    let event = JobEvent::JobFinished { result: result.clone(), duration: Duration::ZERO };
                    self.screen.lock().job_event(title, &event);
                }
                (id, result)
            }
        };
        self.infrastructure_failed |= result.infrastructure_error.is_some();
        self.cancellations.remove(&id);
        self.plan.job_finished(id, &result);
    }

    fn interrupt(&mut self) {
        self.interrupted += 1;
        if self.interrupted == 1 {
            self.screen
                .lock()
                .note("cancelling; steps with always() or cancelled() still run (Ctrl-C again ends them)");
            self.plan.cancel();
        } else {
            self.screen.lock().note("ending all jobs");
            self.cancellations.values().for_each(runner::Cancellation::kill);
        }
    }
}

/// The result of a job that no machine has run.
pub(crate) fn ended_without_running(
    conclusion: Conclusion,
    infrastructure_error: Option<String>,
) -> JobResult {
    JobResult {
        conclusion,
        infrastructure_error,
        decided: None,
        outputs: Vec::new(),
        environment_url: None,
        steps: Vec::new(),
    }
}
