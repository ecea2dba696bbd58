//! Calls of reusable workflows that are in concurrency groups: a call holds its groups from its first job to
//! its end, and its jobs wait until it has them. In the groups it goes by its own id, which no job has.

use std::collections::BTreeSet;

use model::{JobId, RepositoryId, RunId};
use workflow::concurrency::{Concurrency, Entry, displaced_by_newer, too_many_wait};

use super::{Queue, Subject};

/// A call that a job is inside of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallClaim {
    /// The call's own id in its plan.
    pub call: JobId,
    /// Groups that it must hold before any of its jobs starts, in this order.
    pub groups: Vec<Concurrency>,
}

/// A call whose first job is there.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) run: RunId,
    repository: RepositoryId,
    groups: Vec<Concurrency>,
    /// How many of them it has asked for. It holds all but the last of these, and the last unless it waits.
    entered: usize,
    state: CallState,
    /// Its jobs that are there.
    jobs: BTreeSet<JobId>,
}

/// ```text
/// waits ─► holds ─► (gone)
///   └──┬─────┘        ▲
///      └─► cancelled ─┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
enum CallState {
    /// For the last group that it has asked for.
    Waits,
    /// All that it has asked for.
    Holds,
    /// Its jobs are cancelled, also those that come later.
    Cancelled(String),
}

impl Queue {
    /// A call has ended: its groups go to the next. The end of its run does the same.
    pub fn call_ended(&mut self, call: JobId) {
        if let Some(ended) = self.calls.remove(&call) {
            self.leave_groups_of(Subject::Job(call), ended.repository);
        }
    }

    pub(super) fn calls_ended(&mut self, run: RunId) {
        let calls: Vec<JobId> =
            self.calls.iter().filter(|(_, call)| call.run == run).map(|(id, _)| *id).collect();
        calls.into_iter().for_each(|call| self.call_ended(call));
    }

    /// Asks for the groups of all calls around a job, outermost first. `false`: it waits for one, or is cancelled.
    pub(super) fn enter_calls(&mut self, job: JobId, repository: RepositoryId) -> bool {
        let Some(asked) = self.asked.get(&job) else { return false };
        let (run, within) = (asked.run, asked.within.clone());
        if !within.is_empty() {
            self.jobs.await_group(Subject::Job(job));
        }
        for CallClaim { call, groups } in within {
            let known = self.calls.entry(call).or_insert_with(|| Call {
                run,
                repository,
                groups,
                entered: 0,
                state: CallState::Holds,
                jobs: BTreeSet::new(),
            });
            known.jobs.insert(job);
            self.advance_call(call);
            match self.calls.get(&call).map(|call| call.state.clone()) {
                Some(CallState::Holds) => {}
                Some(CallState::Cancelled(reason)) => {
                    self.cancel(job, reason);
                    return false;
                }
                Some(CallState::Waits) | None => return false,
            }
        }
        true
    }

    /// A call asks for its next groups until it has all or waits for one.
    fn advance_call(&mut self, id: JobId) {
        while let Some(call) = self.calls.get_mut(&id)
            && call.state == CallState::Holds
            && let Some(wish) = call.groups.get(call.entered).cloned()
        {
            call.entered += 1;
            let repository = call.repository;
            match self.groups.entry(repository).or_default().enter(Subject::Job(id), &wish) {
                Entry::Holds => {}
                Entry::Full => self.cancel_call(id, &too_many_wait(&wish.group)),
                Entry::Waits { displaced, cancel } => {
                    call.state = CallState::Waits;
                    self.displace(displaced.into_iter().chain(cancel), &displaced_by_newer(&wish.group));
                }
            }
        }
    }

    /// The group that a call waits for is its own now.
    pub(super) fn call_granted(&mut self, id: JobId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.state = CallState::Holds;
        self.advance_call(id);
        let holds = self.calls.get(&id).filter(|call| call.state == CallState::Holds);
        for job in holds.map(|call| call.jobs.clone()).unwrap_or_default() {
            if self.jobs.awaits_group(Subject::Job(job)) {
                self.admit(Subject::Job(job));
            }
        }
    }

    /// All jobs of a call shall stop. What has started keeps the call's groups until the call has ended.
    pub(super) fn cancel_call(&mut self, id: JobId, reason: &str) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.state = CallState::Cancelled(reason.to_owned());
        let (jobs, repository) = (call.jobs.clone(), call.repository);
        let has_started = jobs.iter().any(|job| self.jobs.is_started(Subject::Job(*job)));
        jobs.into_iter().for_each(|job| self.cancel(job, reason));
        if !has_started {
            self.leave_groups_of(Subject::Job(id), repository);
        }
    }

    pub(super) fn leave_calls(&mut self, job: JobId) {
        for CallClaim { call, .. } in
            self.asked.get(&job).map(|asked| asked.within.clone()).unwrap_or_default()
        {
            if let Some(call) = self.calls.get_mut(&call) {
                call.jobs.remove(&job);
            }
        }
    }

    /// The group that keeps a job from starting, and who in its line stands for the job.
    pub(crate) fn awaited_group(&self, subject: Subject) -> Option<(Subject, &str)> {
        if let Subject::Job(job) = subject {
            for CallClaim { call: id, .. } in &self.asked.get(&job)?.within {
                let Some(call) = self.calls.get(id).filter(|call| call.state == CallState::Waits) else {
                    continue;
                };
                let wish = call.entered.checked_sub(1).and_then(|last| call.groups.get(last))?;
                return Some((Subject::Job(*id), &wish.group));
            }
        }
        let member = self.line(subject).member(subject)?;
        Some((subject, &member.concurrency.as_ref()?.group))
    }

    /// Who people take for the holder of a group: for a call, its run.
    pub(crate) fn holder_shown(&self, holder: Subject) -> Subject {
        match holder {
            Subject::Job(job) => self.calls.get(&job).map_or(holder, |call| Subject::Run(call.run)),
            Subject::Run(_) => holder,
        }
    }
}
