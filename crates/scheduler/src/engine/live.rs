//! A run that is being carried out: its plan, and what came of it so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Conclusion, JobId, JobResult, JobState, RunId, RunState, Timestamp};
use runner::Cancellation;
use store::Change;
use store::record::{Job as Record, JobClock, Repository, Run};
use workflow::plan::{JobPath, PlanCommand, RunPlan, RunsOn};

use crate::environment::{Environment, Gate, gate, gate_by_now, moment};
use crate::facts::RunFacts;
use crate::queue::{CallClaim, Hold, Key, QueuedJob, Retry};
use crate::recipe::Earlier;

use super::asked;

/// A run whose plan exists.
pub(super) struct Live {
    pub(super) run: Arc<Run>,
    pub(super) facts: Arc<RunFacts>,
    pub(super) repository: Repository,
    plan: RunPlan,
    /// The jobs of earlier attempts that count.
    earlier: BTreeMap<JobPath, Earlier>,
    /// The rules of its repository's environments, as far as they are known.
    pub(super) environments: Option<Vec<Environment>>,
    /// Jobs that were let in by somebody in an earlier life: what the log says of it.
    pub(super) approved: BTreeMap<JobId, String>,
    /// Jobs about which people were asked in an earlier life, though not from the beginning: since when.
    pub(super) asked: BTreeMap<JobId, Timestamp>,
    pub(super) jobs: BTreeMap<JobId, LiveJob>,
    /// Calls that are in concurrency groups and have not ended.
    calls: BTreeSet<JobId>,
    /// Why it waits, as far as it is written down as waiting.
    held: Option<String>,
}

/// A job that the plan has let go, until it has ended.
pub(super) struct LiveJob {
    /// What to run; secrets are in it.
    pub(super) job: model::Job,
    runs_on: RunsOn,
    /// How often it was given a machine.
    pub(super) tries: u32,
    /// In how many of these the server stopped.
    interruptions: u32,
    /// How often it was put off since its last try, because the store could not be read.
    pub(super) put_off: u32,
    /// Why it is tried again, if it is.
    pub(super) again_because: Option<String>,
    /// While it has a machine, or is getting one.
    pub(super) cancellation: Option<Cancellation>,
    /// It was ended so that the next life runs it.
    pub(super) is_handed_back: bool,
    /// When it was queued, or began to stand before its environment.
    pub(super) queued_at: Timestamp,
    /// What keeps it out of its environment.
    pub(super) hold: Option<Hold>,
    /// Who has.
    pub(super) let_in_by: Option<String>,
    /// Somebody was asked to let it in only later than at `queued_at`: since when is kept beside its record.
    pub(super) is_asked_later: bool,
}

impl LiveJob {
    /// Tries before this one whose machines failed.
    pub(super) fn failed_before(&self) -> u32 {
        self.tries.saturating_sub(1).saturating_sub(self.interruptions)
    }

    /// It is to be tried again because the server stopped.
    pub(super) fn interrupted(&mut self, reason: String) {
        self.interruptions += 1;
        self.again_because = Some(reason);
    }

    /// It is to be run as if it had not begun.
    pub(super) fn handed_back(&mut self, reason: String) {
        self.cancellation = None;
        self.tries = self.tries.saturating_sub(1);
        self.again_because = Some(reason);
    }
}

/// What follows from what a plan says.
#[derive(Default)]
pub(super) struct Consequences {
    /// To be written.
    pub(super) changes: Vec<Change>,
    /// To be queued once that is written.
    pub(super) queue: Vec<QueuedJob>,
    /// To be cancelled.
    pub(super) cancel: Vec<JobId>,
    /// Jobs that their environments never let in, and why.
    pub(super) kept_out: Vec<(JobId, String)>,
    /// Calls that have ended, whose groups others may have.
    pub(super) calls: Vec<JobId>,
    /// The run has ended.
    pub(super) ended: Option<Conclusion>,
}

impl Live {
    pub(super) fn new(
        run: Arc<Run>,
        facts: Arc<RunFacts>,
        repository: Repository,
        plan: RunPlan,
        earlier: BTreeMap<JobPath, Earlier>,
    ) -> Live {
        let (environments, approved, asked, jobs, calls) = Default::default();
        let held = (run.what.state == RunState::Waiting).then(|| run.what.reason.clone().unwrap_or_default());
        Live { run, facts, repository, plan, earlier, environments, approved, asked, jobs, calls, held }
    }

    /// What is to be written because it waits from now on, for another reason, or no more: it does while all of its jobs
    /// that are left must be let into environments.
    pub(super) fn held_or_resumed(&mut self) -> Option<Change> {
        let (held, run) = (self.why_held(), self.id());
        if held == std::mem::replace(&mut self.held, held.clone()) {
            return None;
        }
        Some(match held {
            Some(reason) => Change::RunHeld { run, reason },
            None => Change::RunResumed { run },
        })
    }

    fn why_held(&self) -> Option<String> {
        let mut jobs = self.jobs.values();
        let first = jobs.next()?;
        if !self.jobs.values().all(|job| job.hold.is_some()) {
            return None;
        }
        Some(match (&first.hold, jobs.count()) {
            (Some(hold), 0) => format!("{} {}", first.job.name, why(hold)),
            (_, others) => format!("{} jobs wait before their environments", others + 1),
        })
    }

    /// Whether it waits for its jobs to be let in.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Something else, or nothing, keeps a job out of its environment. Gives what did.
    pub(super) fn hold(&mut self, job: JobId, hold: Option<Hold>) -> Option<Hold> {
        let job = self.jobs.get_mut(&job)?;
        std::mem::replace(&mut job.hold, hold)
    }

    /// A job waits on before its environment, for this. Gives what it waits for.
    pub(super) fn hold_on(&mut self, job: JobId, key: Key) -> Option<Hold> {
        let job = self.jobs.get_mut(&job)?;
        job.is_asked_later |= matches!(key, Key::Word { .. });
        let hold = job.hold.as_mut()?;
        hold.key = key;
        Some(hold.clone())
    }

    /// How a job that waits for its time stands by what the rules say now. Where they can't be read, somebody must let it
    /// in.
    pub(super) fn stands(&self, job: JobId, now: Timestamp) -> Gate {
        let Some(job) = self.jobs.get(&job) else { return Gate::Open };
        let Some(all) = &self.environments else { return Gate::Approval };
        let (name, is_approved) = (job.job.environment.as_deref(), job.let_in_by.is_some());
        gate_by_now(all, name, &self.run.what.reference, job.queued_at, is_approved, now)
    }

    /// A job has ended; its record is the caller's.
    pub(super) fn job_ended(&mut self, job: JobId, result: &JobResult) {
        self.jobs.remove(&job);
        self.plan.job_finished(job, result);
    }

    /// The run is cancelled.
    pub(super) fn cancel(&mut self) {
        self.plan.cancel();
    }

    /// Asks the plan what follows until it says no more. Jobs with records in `known` exist already.
    pub(super) fn follow(&mut self, now: Timestamp, known: &BTreeMap<JobId, Record>) -> Consequences {
        let mut follows = Consequences::default();
        loop {
            let commands = self.plan.poll();
            if commands.is_empty() {
                follows.calls.extend(self.calls.extract_if(.., |call| self.plan.call_has_ended(*call)));
                return follows;
            }
            for command in commands {
                self.obey(command, now, known, &mut follows);
            }
        }
    }

    fn obey(
        &mut self,
        command: PlanCommand,
        now: Timestamp,
        known: &BTreeMap<JobId, Record>,
        follows: &mut Consequences,
    ) {
        match command {
            PlanCommand::Start { job, runs_on } => {
                let id = job.id;
                let record = known.get(&id);
                let gate = self.gate(&job, record, now);
                let kept = self.asked.remove(&id);
                let hold = hold(&gate, &job, asked_at(record, kept, now));
                let mut is_asked_later = kept.is_some();
                match (record, &hold) {
                    (None, _) => {
                        let new = self.record(id, &job.key, &job.name, labels(&runs_on), now);
                        let new = before_gate(new, &gate, hold.as_ref(), &job);
                        follows.changes.push(Change::JobCreated(Box::new(new)));
                    }
                    // The rules were taken away, or are others now.
                    (Some(record), None) if record.state == JobState::Waiting && gate == Gate::Open => {
                        follows.changes.push(Change::JobQueued { job: id, at: now });
                    }
                    (Some(record), Some(hold)) if record.waits_until != hold.until() => {
                        let (until, reason) = (hold.until(), why(hold));
                        follows.changes.push(Change::JobDelayed { job: id, until, reason });
                        if let Key::Word { asked_at } = hold.key {
                            follows.changes.push(asked::keep(id, asked_at));
                            is_asked_later = true;
                        }
                    }
                    _ => {}
                }
                let queued_at = record.map_or(now, |record| record.clock.queued_at);
                let tries = record.map_or(0, |record| record.tries);
                let again_because = record.and_then(|record| record.infrastructure_error.clone());
                let interruptions = record.map_or(0, |record| record.interruptions);
                let live = LiveJob {
                    job: *job,
                    runs_on,
                    tries,
                    interruptions,
                    put_off: 0,
                    again_because,
                    cancellation: None,
                    is_handed_back: false,
                    queued_at,
                    hold,
                    let_in_by: self.approved.remove(&id),
                    is_asked_later,
                };
                let queued = self.queued(id, &live, None);
                self.calls.extend(queued.within.iter().map(|claim| claim.call));
                match gate {
                    Gate::Closed(reason) => follows.kept_out.push((id, reason)),
                    Gate::Open | Gate::Approval | Gate::Wait(_) => follows.queue.push(queued),
                }
                self.jobs.insert(id, live);
            }
            PlanCommand::Cancel(job) => follows.cancel.push(job),
            PlanCommand::Decided { id, key, name, conclusion, reason, reused }
                if !known.contains_key(&id) =>
            {
                // What it gave to those that need it is its own from now on: a further attempt asks only this one.
                let earlier = self.earlier_of(id).filter(|_| reused);
                let record = Record {
                    state: JobState::Ended,
                    conclusion: Some(conclusion),
                    reason,
                    taken_from: earlier.and_then(|earlier| earlier.ran_as),
                    outputs: earlier.map(|earlier| earlier.result.outputs.clone()).unwrap_or_default(),
                    environment_url: earlier.and_then(|earlier| earlier.result.environment_url.clone()),
                    clock: JobClock { queued_at: now, ended_at: Some(now), ..JobClock::default() },
                    ..self.record(id, &key, &name, Vec::new(), now)
                };
                follows.changes.push(Change::JobCreated(Box::new(record)));
            }
            PlanCommand::Decided { .. } => {}
            PlanCommand::Finished(conclusion) => {
                follows.changes.push(Change::RunEnded { run: self.id(), conclusion, reason: None, at: now });
                follows.ended = Some(conclusion);
            }
        }
    }

    /// How a job of this run asks for a machine.
    pub(super) fn queued(&self, id: JobId, job: &LiveJob, retry: Option<Retry>) -> QueuedJob {
        let within = self.plan.calls_around(id).into_iter();
        let within = within.map(|(call, groups)| CallClaim { call, groups: groups.to_vec() }).collect();
        QueuedJob {
            id,
            run: self.id(),
            repository: self.run.what.repository,
            runs_on: job.runs_on.clone(),
            priority: self.run.what.priority,
            queued_at: job.queued_at,
            concurrency: self.plan.group_of_job(id).cloned(),
            within,
            hold: job.hold.clone(),
            retry,
        }
    }

    /// How a job stands before its environment. One that was let in once stays in; of one that waits for its time, the
    /// rules are looked at again when it has come.
    fn gate(&self, job: &model::Job, record: Option<&Record>, now: Timestamp) -> Gate {
        if record.is_some_and(|record| record.state != JobState::Waiting) {
            return Gate::Open;
        }
        let since = record.map_or(now, |record| record.clock.queued_at);
        let gate = match &self.environments {
            Some(all) => gate(all, job.environment.as_deref(), &self.run.what.reference, since),
            None if job.environment.is_some() => Gate::Approval,
            None => Gate::Open,
        };
        match (gate, record.and_then(|record| record.waits_until)) {
            (Gate::Approval, Some(until)) if self.approved.contains_key(&job.id) => Gate::Wait(until),
            (Gate::Wait(_), Some(until)) => Gate::Wait(until),
            (gate, _) => gate,
        }
    }

    /// How a job ended in an earlier attempt, if that counts.
    fn earlier_of(&self, id: JobId) -> Option<&Earlier> {
        self.earlier.get(&self.plan.path_of(id)?)
    }

    fn record(&self, id: JobId, key: &str, name: &str, labels: Vec<String>, now: Timestamp) -> Record {
        let path = self.plan.path_of(id).map_or_else(|| key.to_owned(), |path| path.to_string());
        Record {
            attempt: self.run.attempt,
            path,
            rank: self.plan.rank(id).unwrap_or_default(),
            name: name.to_owned(),
            labels,
            ..Record::queued(id, self.id(), key, now)
        }
    }

    pub(super) fn id(&self) -> RunId {
        self.run.id
    }
}

/// The record of a job that stands there.
fn before_gate(record: Record, gate: &Gate, hold: Option<&Hold>, job: &model::Job) -> Record {
    let environment = job.environment.clone();
    let (state, reason, waits_until) = match (gate, hold) {
        (Gate::Closed(reason), _) => (JobState::Waiting, Some(reason.clone()), None),
        (_, Some(hold)) => (JobState::Waiting, Some(why(hold)), hold.until()),
        (_, None) => (JobState::Queued, None, None),
    };
    Record { environment, state, reason, waits_until, ..record }
}

/// Since when people are asked about a job that they must let in, `kept` being what is kept of it beside its record: from
/// now on, where time was to let it in until now.
fn asked_at(record: Option<&Record>, kept: Option<Timestamp>, now: Timestamp) -> Timestamp {
    match record {
        Some(record) if record.waits_until.is_none() => kept.unwrap_or(record.clock.queued_at),
        _ => now,
    }
}

/// What keeps a job out of its environment, if it may come in at all.
fn hold(gate: &Gate, job: &model::Job, asked_at: Timestamp) -> Option<Hold> {
    let key = match gate {
        Gate::Open | Gate::Closed(_) => return None,
        Gate::Approval => Key::Word { asked_at },
        Gate::Wait(until) => Key::Time { until: *until },
    };
    Some(Hold { environment: job.environment.clone()?, key })
}

/// Why a job waits, as a clause that goes on from its name.
pub(super) fn why(hold: &Hold) -> String {
    let environment = &hold.environment;
    match hold.until() {
        Some(until) => format!("waits until {} before it uses {environment}", moment(until)),
        None => format!("waits to be let into {environment}"),
    }
}

/// `runs-on` as people read it.
fn labels(runs_on: &RunsOn) -> Vec<String> {
    let group = runs_on.group.iter().map(|group| format!("group:{group}"));
    group.chain(runs_on.labels.iter().cloned()).collect()
}

/// The result of a job that no machine has run.
pub(super) fn without_machine(conclusion: Conclusion, infrastructure_error: Option<String>) -> JobResult {
    JobResult {
        conclusion,
        infrastructure_error,
        decided: None,
        outputs: Vec::new(),
        environment_url: None,
        steps: Vec::new(),
    }
}
