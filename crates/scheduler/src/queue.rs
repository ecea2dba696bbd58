//! All that waits and all that runs, as far as deciding needs to know it.
//!
//! The caller keeps it by telling what has happened, after it has made that durable. Nothing here reads
//! a clock: what needs the time is told it. A transition that does not fit (a second end, a start of what
//! was cancelled meanwhile) changes nothing; [`Queue::started`] and [`Queue::retried`] say so.

mod calls;
pub mod hold;
pub(crate) mod lanes;
pub mod limits;
pub(crate) mod line;
pub mod profiles;
pub(crate) mod room;
pub(crate) mod share;
pub mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::{JobId, RepositoryId, RunId, Timestamp};
use workflow::concurrency::{Concurrency, Entry, Groups, displaced_by_newer, too_many_wait};
use workflow::plan::RunsOn;

pub use calls::CallClaim;
pub use hold::{Hold, Key};
pub use limits::{Closed, Limits};
pub use profiles::{Capacity, NoProfile, Placement, Profile, Profiles, Size};

use crate::retry::LONGEST_WAIT;
use calls::Call;
use hold::{LONGEST_TIME, TIME_TO_ANSWER, Timers};
use lanes::Lane;
use line::{Line, Member, Stage};
use room::Used;

/// A run or a job. Runs and jobs of a repository share its concurrency groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A run, in its latest attempt.
    Run(RunId),
    /// A job of a run that has started.
    Job(JobId),
}

/// A run that shall start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRun {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub repository: RepositoryId,
    /// More is sooner.
    pub priority: i32,
    /// Since when it waits.
    pub queued_at: Timestamp,
    /// Concurrency group of its workflow.
    pub concurrency: Option<Concurrency>,
    /// Since when somebody is asked to approve it, before it asks for its group. Without it, nobody needs to.
    pub asked_at: Option<Timestamp>,
}

/// A job that shall start: its plan has said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedJob {
    /// Its id.
    pub id: JobId,
    /// The run that it belongs to.
    pub run: RunId,
    /// Whose it is.
    pub repository: RepositoryId,
    /// Which machines may run it.
    pub runs_on: RunsOn,
    /// More is sooner.
    pub priority: i32,
    /// Since when it waits.
    pub queued_at: Timestamp,
    /// Its own concurrency group.
    pub concurrency: Option<Concurrency>,
    /// The calls of reusable workflows around it that are in groups, outermost first.
    pub within: Vec<CallClaim>,
    /// What keeps it out of its environment, before it asks for its group.
    pub hold: Option<Hold>,
    /// It has been tried before, and is tried again.
    pub retry: Option<Retry>,
}

/// When and why a job, or the start of a run, is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Not before then.
    pub not_before: Timestamp,
    /// Why the last try failed, in a sentence.
    pub after: String,
}

impl Retry {
    /// Whether it may be tried.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.not_before <= now || self.not_before > Retry::latest(now)
    }

    /// Nobody who asks now asks for a later time: what is due later was asked for before the clock was set back, and
    /// has waited long enough.
    pub(crate) fn latest(now: Timestamp) -> Timestamp {
        now.after(LONGEST_WAIT)
    }
}

/// The state that decisions are made from.
///
/// Each run and job goes this way:
///
/// ```text
///  queued ─► approval ─► group ─► ready ─► started ─► ended (gone)
///     │          │         │      │   ▲       │  │       ▲
///     │          │         │      │   └retried┘  │       │
///     │          └─────────┴──────┴──cancel──► stopping ─┤
///     └─► refused (jobs: no machine suits) ──────────────┘
/// ```
///
/// What it does not need is skipped: only some need approval, only some are in a group.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    pub(crate) limits: Limits,
    pub(crate) profiles: Profiles,
    pub(crate) runs: Line,
    pub(crate) jobs: Line,
    pub(crate) groups: BTreeMap<RepositoryId, Groups<Subject>>,
    /// What each job asks for, and where that is.
    pub(crate) asked: BTreeMap<JobId, Asked>,
    /// Calls that are in groups, by their own ids.
    pub(crate) calls: BTreeMap<JobId, Call>,
    jobs_of: BTreeMap<RunId, BTreeSet<JobId>>,
    /// What the machines of started jobs take, by name of the profile, and of all.
    pub(crate) used: BTreeMap<String, Used>,
    pub(crate) used_of_host: Used,
    /// Jobs that nothing but time keeps out of their environments, by when it does no more.
    timers: Timers,
    /// Runs and jobs that wait for people, by when these have had their time.
    questions: Timers,
}

/// What is restored.
enum Record {
    Run(QueuedRun),
    Job(QueuedJob),
}

impl Record {
    /// In which order it asks for its group.
    fn order(&self, started: bool) -> (bool, bool, Timestamp, Subject) {
        match self {
            Record::Run(run) => (!started, true, run.queued_at, Subject::Run(run.id)),
            Record::Job(job) => (!started, job.retry.is_none(), job.queued_at, Subject::Job(job.id)),
        }
    }
}

/// What a job asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) run: RunId,
    runs_on: RunsOn,
    within: Vec<CallClaim>,
    pub(crate) placement: Result<Placement, NoProfile>,
    pub(crate) hold: Option<Hold>,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits, profiles: Profiles) -> Queue {
        Queue { limits, profiles, ..Queue::default() }
    }

    /// The queue as it was, from records: each run and job that has not ended, with when it started if it has.
    /// Who had started has its group, and who is tried again; the others ask for theirs in the order in which they
    /// began to wait. Machines of started jobs are taken as still there: see [`Queue::retried`] for those that
    /// are not, and [`Queue::cancel`] for whoever was to stop.
    #[must_use]
    pub fn restore(
        limits: Limits,
        profiles: Profiles,
        runs: Vec<(QueuedRun, Option<Timestamp>)>,
        jobs: Vec<(QueuedJob, Option<Timestamp>)>,
    ) -> Queue {
        let runs = runs.into_iter().map(|(run, started)| (Record::Run(run), started));
        let jobs = jobs.into_iter().map(|(job, started)| (Record::Job(job), started));
        let mut records: Vec<(Record, Option<Timestamp>)> = runs.chain(jobs).collect();
        records.sort_by_key(|(record, started)| record.order(started.is_some()));
        let mut queue = Queue::new(limits, profiles);
        for (record, started) in records {
            let subject = match record {
                Record::Run(run) => {
                    let id = run.id;
                    queue.run_queued(run);
                    Subject::Run(id)
                }
                Record::Job(job) => {
                    let id = job.id;
                    queue.job_queued(job);
                    Subject::Job(id)
                }
            };
            if let Some(at) = started {
                queue.approved(subject, at);
                queue.started(subject, at);
            }
        }
        queue
    }

    /// A run is there. One that is known already changes nothing.
    pub fn run_queued(&mut self, run: QueuedRun) {
        let lane = Lane { pool: 0, repository: run.repository, priority: run.priority };
        let member = Member::new(lane, run.queued_at, run.concurrency, None);
        self.queued(Subject::Run(run.id), member, run.asked_at.is_some());
        if let Some(at) = run.asked_at {
            self.asked(run.id, at);
        }
    }

    /// Somebody is asked since then whether a run is approved.
    pub fn asked(&mut self, run: RunId, at: Timestamp) {
        let subject = Subject::Run(run);
        if self.runs.stage(subject) == Some(&Stage::Approval) {
            self.questions.set(subject, at.after(TIME_TO_ANSWER));
        }
    }

    /// A job is there. One that is known already changes nothing.
    pub fn job_queued(&mut self, job: QueuedJob) {
        if self.asked.contains_key(&job.id) {
            return;
        }
        let lane = Lane { pool: 0, repository: job.repository, priority: job.priority };
        let member = Member::new(lane, job.queued_at, job.concurrency, job.retry);
        let placement = self.profiles.place(&job.runs_on);
        let is_held = job.hold.is_some();
        let asked = Asked { run: job.run, runs_on: job.runs_on, within: job.within, placement, hold: None };
        self.asked.insert(job.id, asked);
        self.jobs_of.entry(job.run).or_default().insert(job.id);
        self.queued(Subject::Job(job.id), member, is_held);
        if let Some(hold) = job.hold {
            self.held(job.id, hold);
        }
    }

    /// Something else keeps a job out of its environment now.
    pub fn held(&mut self, job: JobId, hold: Hold) {
        self.leave_hold(job);
        let subject = Subject::Job(job);
        if self.jobs.stage(subject) != Some(&Stage::Approval) {
            return;
        }
        match hold.key {
            Key::Word { asked_at } => self.questions.set(subject, asked_at.after(TIME_TO_ANSWER)),
            Key::Time { until } => self.timers.set(subject, until),
        }
        if let Some(asked) = self.asked.get_mut(&job) {
            asked.hold = Some(hold);
        }
    }

    /// Somebody has approved it, or nothing keeps it out of its environment any more. A job queues from now on: its wait
    /// for people, or for time, makes it no older than others. A run stays as old as it is.
    pub fn approved(&mut self, subject: impl Into<Subject>, now: Timestamp) {
        let subject = subject.into();
        if self.line(subject).stage(subject) == Some(&Stage::Approval) {
            match subject {
                Subject::Run(_) => self.questions.remove(subject),
                Subject::Job(job) => {
                    self.leave_hold(job);
                    self.jobs.queued_anew(subject, now);
                }
            }
            self.admit(subject);
        }
    }

    /// It has started: the run's plan exists, the job's machine is being made. `false`: it must not, because
    /// it was cancelled meanwhile, or has started already.
    pub fn started(&mut self, subject: impl Into<Subject>, now: Timestamp) -> bool {
        let subject = subject.into();
        if !self.line_mut(subject).start(subject, now) {
            return false;
        }
        if let Some(placement) = self.placement(subject).cloned() {
            self.used.entry(placement.profile).or_default().add(placement.size);
            self.used_of_host.add(placement.size);
        }
        true
    }

    /// The machine of a started job has failed, or what the plan of a started run needs can't be had now; it waits to be
    /// tried again, and keeps its concurrency group. `false`: it must not, because it was cancelled; it has ended.
    pub fn retried(&mut self, subject: impl Into<Subject>, retry: Retry, now: Timestamp) -> bool {
        let subject = subject.into();
        let retried = self.line_mut(subject).retry(subject, retry, now);
        if retried {
            self.free(subject);
        }
        retried
    }

    /// It shall stop, or never start. [`decide`](crate::decide()) says so to the caller.
    pub fn cancel(&mut self, subject: impl Into<Subject>, reason: impl Into<String>) {
        let subject = subject.into();
        if self.line_mut(subject).cancel(subject, reason.into()) {
            // It never starts, so it needs no group.
            self.leave_groups(subject);
            match subject {
                Subject::Run(_) => self.questions.remove(subject),
                Subject::Job(job) => self.leave_hold(job),
            }
        }
    }

    /// The caller has told it to stop: it is not told again. It still has to end.
    pub fn told(&mut self, subject: impl Into<Subject>) {
        let subject = subject.into();
        self.line_mut(subject).told(subject);
    }

    /// It has ended, however. Its group goes to the next; jobs that a run leaves behind are cancelled.
    pub fn ended(&mut self, subject: impl Into<Subject>, now: Timestamp) {
        let subject = subject.into();
        if self.line(subject).is_started(subject) {
            self.free(subject);
        }
        self.leave_groups(subject);
        self.line_mut(subject).end(subject, now);
        match subject {
            Subject::Job(job) => {
                self.leave_calls(job);
                self.leave_hold(job);
                let run = self.asked.remove(&job).map(|asked| asked.run);
                if let Some(jobs) = run.and_then(|run| self.jobs_of.get_mut(&run)) {
                    jobs.remove(&job);
                }
                if let Some(run) = run.filter(|run| self.jobs_of.get(run).is_some_and(BTreeSet::is_empty)) {
                    self.jobs_of.remove(&run);
                }
            }
            Subject::Run(run) => {
                self.questions.remove(subject);
                self.calls_ended(run);
                for job in self.jobs_of.get(&run).cloned().unwrap_or_default() {
                    self.cancel(job, format!("its run {run} has ended"));
                }
            }
        }
    }

    /// The operator has changed the limits, or the disk is full, or the server is to stop.
    pub fn limits_changed(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// There are other machines now. Jobs that have not started are placed anew; those that no machine suited
    /// get another chance.
    pub fn profiles_changed(&mut self, profiles: Profiles) {
        self.profiles = profiles;
        for (job, asked) in &mut self.asked {
            if !self.jobs.is_started(Subject::Job(*job)) {
                asked.placement = self.profiles.place(&asked.runs_on);
            }
        }
        for subject in self.jobs.waiting() {
            match self.pool(subject) {
                Some(pool) if self.jobs.stage(subject) == Some(&Stage::Refused) => {
                    self.jobs.set_pool(subject, pool);
                    self.admit(subject);
                }
                Some(pool) => self.jobs.set_pool(subject, pool),
                None => {
                    self.leave_groups(subject);
                    self.jobs.refuse(subject);
                }
            }
        }
    }

    /// The limits as they are.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The profiles as they are.
    #[must_use]
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// How many jobs have started and not ended.
    #[must_use]
    pub fn running_jobs(&self) -> usize {
        self.jobs.running()
    }

    /// How many runs have started, have not ended, and do not only wait for people or their environments' time: that may
    /// be for days, and keeps nobody from running meanwhile.
    #[must_use]
    pub fn running_runs(&self) -> usize {
        self.runs.running()
            - self.jobs_of.iter().filter(|(run, jobs)| self.waits_for_people(**run, jobs)).count()
    }

    /// A run that has started, and whose jobs all stand before their environments.
    fn waits_for_people(&self, run: RunId, jobs: &BTreeSet<JobId>) -> bool {
        let waits = |job: &JobId| self.jobs.stage(Subject::Job(*job)) == Some(&Stage::Approval);
        !jobs.is_empty() && jobs.iter().all(waits) && self.runs.is_started(Subject::Run(run))
    }

    /// When time alone will change what [`decide`](crate::decide()) says: the next retry that is not due yet, the next job
    /// that time lets into its environment, or the next that people have not let go on in time.
    #[must_use]
    pub fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let retries = [&self.runs, &self.jobs].into_iter().filter_map(|line| line.wakes_at(now));
        retries.chain(self.timers.wakes_at(now)).chain(self.questions.wakes_at(now)).min()
    }

    /// Jobs that time lets into their environments by now.
    pub(crate) fn let_in(&self, now: Timestamp) -> impl Iterator<Item = JobId> {
        self.timers.due(now).filter_map(Subject::job)
    }

    /// Runs and jobs that people have not let go on in the time that they have for it.
    pub(crate) fn given_up(&self, now: Timestamp) -> impl Iterator<Item = Subject> {
        self.questions.due(now)
    }

    /// Those that wait for a time that was set before the clock was set back, or for people who were asked before that.
    pub(crate) fn astray(&self, now: Timestamp) -> impl Iterator<Item = Subject> {
        self.timers.astray(now, LONGEST_TIME).chain(self.questions.astray(now, TIME_TO_ANSWER))
    }

    pub(crate) fn line(&self, subject: Subject) -> &Line {
        match subject {
            Subject::Run(_) => &self.runs,
            Subject::Job(_) => &self.jobs,
        }
    }

    fn line_mut(&mut self, subject: Subject) -> &mut Line {
        match subject {
            Subject::Run(_) => &mut self.runs,
            Subject::Job(_) => &mut self.jobs,
        }
    }

    pub(crate) fn placement(&self, subject: Subject) -> Option<&Placement> {
        match subject {
            Subject::Run(_) => None,
            Subject::Job(job) => self.asked.get(&job)?.placement.as_ref().ok(),
        }
    }

    /// What keeps it out of its environment.
    pub(crate) fn hold(&self, subject: Subject) -> Option<&Hold> {
        match subject {
            Subject::Run(_) => None,
            Subject::Job(job) => self.asked.get(&job)?.hold.as_ref(),
        }
    }

    fn leave_hold(&mut self, job: JobId) {
        if let Some(asked) = self.asked.get_mut(&job) {
            asked.hold = None;
        }
        self.timers.remove(Subject::Job(job));
        self.questions.remove(Subject::Job(job));
    }

    /// What it competes for.
    fn pool(&self, subject: Subject) -> Option<usize> {
        if let Subject::Run(_) = subject {
            return Some(0);
        }
        let name = &self.placement(subject)?.profile;
        self.profiles.as_slice().iter().position(|profile| profile.name == *name)
    }

    fn queued(&mut self, subject: Subject, member: Member, needs_approval: bool) {
        if self.line_mut(subject).insert(subject, member) && !needs_approval {
            self.admit(subject);
        }
    }

    /// It needs no approval any more: finds its machines, and asks for its group.
    fn admit(&mut self, subject: Subject) {
        let Some(pool) = self.pool(subject) else { return self.line_mut(subject).refuse(subject) };
        self.line_mut(subject).set_pool(subject, pool);
        let Some(member) = self.line(subject).member(subject) else { return };
        let (repository, wish) = (member.lane.repository, member.concurrency.clone());
        if let Subject::Job(job) = subject
            && !self.enter_calls(job, repository)
        {
            return;
        }
        let Some(wish) = wish else { return self.line_mut(subject).ready(subject) };
        match self.groups.entry(repository).or_default().enter(subject, &wish) {
            Entry::Holds => self.line_mut(subject).ready(subject),
            Entry::Full => self.cancel(subject, too_many_wait(&wish.group)),
            Entry::Waits { displaced, cancel } => {
                self.line_mut(subject).await_group(subject);
                self.displace(displaced.into_iter().chain(cancel), &displaced_by_newer(&wish.group));
            }
        }
    }

    /// These have lost their place in a group, or shall give it up.
    fn displace(&mut self, others: impl Iterator<Item = Subject>, reason: &str) {
        for other in others {
            match other {
                Subject::Job(call) if self.calls.contains_key(&call) => self.cancel_call(call, reason),
                _ => self.cancel(other, reason),
            }
        }
    }

    fn leave_groups(&mut self, subject: Subject) {
        if let Some(repository) = self.line(subject).member(subject).map(|member| member.lane.repository) {
            self.leave_groups_of(subject, repository);
        }
    }

    fn leave_groups_of(&mut self, subject: Subject, repository: RepositoryId) {
        let Some(groups) = self.groups.get_mut(&repository) else { return };
        let next = groups.leave(subject);
        if groups.is_empty() {
            self.groups.remove(&repository);
        }
        for next in next {
            match next {
                Subject::Job(call) if self.calls.contains_key(&call) => self.call_granted(call),
                _ => self.line_mut(next).ready(next),
            }
        }
    }

    /// The machine of a started job is gone.
    fn free(&mut self, subject: Subject) {
        let Some(placement) = self.placement(subject).cloned() else { return };
        self.used_of_host.remove(placement.size);
        if let Some(used) = self.used.get_mut(&placement.profile) {
            used.remove(placement.size);
            if used.machines == 0 {
                self.used.remove(&placement.profile);
            }
        }
    }
}

impl Subject {
    fn job(self) -> Option<JobId> {
        match self {
            Subject::Run(_) => None,
            Subject::Job(job) => Some(job),
        }
    }
}

impl From<RunId> for Subject {
    fn from(run: RunId) -> Subject {
        Subject::Run(run)
    }
}

impl From<JobId> for Subject {
    fn from(job: JobId) -> Subject {
        Subject::Job(job)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Run(run) => write!(f, "run {run}"),
            Subject::Job(job) => write!(f, "job {job}"),
        }
    }
}
