//! Any changes, legal and not, against what the states allow.

use std::collections::BTreeMap;

use model::{Conclusion, JobId, JobState, RunId, RunState, StepPhase};
use serde_json::json;
use store::change::Requeue;
use store::query::RunFilter;
use store::record::Scope;
use store::{Change, Store, StoreError};

use crate::sample::{NOON, facts, job, job_ended, later, new_run, run_ended, step, step_ref, to_its_machine};
use crate::world::World;

/// Worlds that are tried, and changes in each: some seconds together.
const SEEDS: u64 = 6;
const CHANGES: usize = 250;

/// Marsaglia's xorshift: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What should be there.
#[derive(Default)]
struct Expected {
    /// Where each stands, and whether it has begun.
    runs: BTreeMap<RunId, (RunState, bool)>,
    jobs: BTreeMap<JobId, JobState>,
}

impl Expected {
    /// Some change of a run or a job that may be there, and whether it is legal.
    fn any(&self, random: &mut Random) -> (Change, bool) {
        let run = RunId(1 + random.below(6));
        let now = self.runs.get(&run).copied();
        let may = |next| now.is_some_and(|(now, _)| now.may_become(next));
        let has_begun = now.is_some_and(|(now, has_begun)| has_begun && now != RunState::Ended);
        match random.below(8) {
            0 => (Change::RunQueued { run }, may(RunState::Queued) && !has_begun),
            1 => {
                let is_legal = may(RunState::Running) && now == Some((RunState::Queued, false));
                (Change::RunStarted { run, plan: json!({}), at: later(1) }, is_legal)
            }
            6 => (Change::RunHeld { run, reason: "people".to_owned() }, has_begun),
            7 => (Change::RunResumed { run }, may(RunState::Running) && has_begun),
            2 if random.below(4) == 0 => (run_ended(run, Conclusion::Success), may(RunState::Ended)),
            2 => {
                let id = random.below(20);
                let is_free = !self.jobs.contains_key(&JobId(id));
                let state = [JobState::Waiting, JobState::Queued][random.below(2) as usize];
                let is_legal = is_free && has_begun;
                (Change::JobCreated(Box::new(job(id, run, state))), is_legal)
            }
            _ => self.any_of_job(random),
        }
    }

    fn any_of_job(&self, random: &mut Random) -> (Change, bool) {
        let job = JobId(random.below(20));
        let now = self.jobs.get(&job).copied();
        let may = |next| now.is_some_and(|now| now.may_become(next));
        let [leasing, started] = to_its_machine(job).try_into().expect("two");
        match random.below(7) {
            6 => {
                let reason = "waits for its time".to_owned();
                (Change::JobDelayed { job, until: Some(later(7)), reason }, now == Some(JobState::Waiting))
            }
            0 => (Change::JobQueued { job, at: later(2) }, now == Some(JobState::Waiting)),
            1 => (leasing, may(JobState::Leasing)),
            2 => (started, may(JobState::Running)),
            3 => (job_ended(job, Conclusion::Failure), may(JobState::Ended)),
            4 => {
                let lost = "the machine was lost".to_owned();
                let is_legal = may(JobState::Queued) && now != Some(JobState::Waiting);
                (Change::JobRequeued { job, reason: lost, requeue: Requeue::Machine, at: later(3) }, is_legal)
            }
            _ => {
                let phase = step_ref(random.below(1 << 40) as usize, StepPhase::Main);
                (Change::StepStarted(Box::new(step(job, phase))), now == Some(JobState::Running))
            }
        }
    }

    fn note(&mut self, change: &Change) {
        match change {
            Change::RunQueued { run } => self.runs.insert(*run, (RunState::Queued, false)),
            Change::RunStarted { run, .. } | Change::RunResumed { run } => {
                self.runs.insert(*run, (RunState::Running, true))
            }
            Change::RunHeld { run, .. } => self.runs.insert(*run, (RunState::Waiting, true)),
            Change::RunEnded { run, .. } => self.runs.insert(*run, (RunState::Ended, true)),
            _ => None,
        };
        let (job, state) = match change {
            Change::JobCreated(job) => (&job.id, job.state),
            Change::JobDelayed { job, .. } => (job, JobState::Waiting),
            Change::JobQueued { job, .. } | Change::JobRequeued { job, .. } => (job, JobState::Queued),
            Change::JobLeasing { job, .. } => (job, JobState::Leasing),
            Change::JobStarted { job, .. } => (job, JobState::Running),
            Change::JobEnded { job, .. } => (job, JobState::Ended),
            _ => return,
        };
        self.jobs.insert(*job, state);
    }
}

/// All that a store answers.
async fn answers(store: &dyn Store) -> String {
    let mut all = Vec::new();
    for run in store.runs(&RunFilter::default(), 500).await.expect("read") {
        all.push(format!("{run:?} {:?}", store.attempts(run.id).await.expect("read")));
        for job in store.jobs(run.id, 1).await.expect("read") {
            all.push(format!("{job:?} {:?}", store.steps(job.id).await.expect("read")));
        }
        all.push(format!("{:?}", store.plan_inputs(run.id, 1).await.expect("read")));
    }
    let scope = Scope::Organisation("octo".to_owned());
    all.push(format!("{:?}", store.unfinished_runs().await.expect("read")));
    all.push(format!("{:?}", store.variables(&scope).await.expect("read")));
    all.join("\n")
}

pub(crate) async fn what_is_answered_after_any_changes_is_answered_after_a_restart(world: &impl World) {
    for seed in 1..=SEEDS {
        let store = world.open().await;
        let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut expected = Expected::default();
        for run in store.runs(&RunFilter::default(), 500).await.expect("read") {
            expected.runs.insert(run.id, (run.what.state, run.started_at.is_some()));
            let jobs = store.jobs(run.id, 1).await.expect("read");
            expected.jobs.extend(jobs.into_iter().map(|job| (job.id, job.state)));
        }
        let mut what = new_run(repository);
        what.state = if seed % 2 == 0 { RunState::Waiting } else { RunState::Queued };
        let run = store.create_run(what, NOON).await.expect("created");
        expected.runs.insert(run.id, (run.what.state, false));
        for n in 0..CHANGES {
            let (change, is_legal) = expected.any(&mut random);
            match store.apply(vec![change.clone()]).await {
                Ok(()) => assert!(is_legal, "seed {seed}, change {n} was taken: {change:?}"),
                Err(StoreError::Illegal { .. } | StoreError::Missing(_)) => {
                    assert!(!is_legal, "seed {seed}, change {n} was refused: {change:?}");
                    continue;
                }
                Err(error) => panic!("seed {seed}, change {n}: {error}"),
            }
            expected.note(&change);
        }
        let before = answers(&*store).await;
        for (id, state) in &expected.jobs {
            assert_eq!(store.job(*id).await.expect("read").expect("there").state, *state);
        }
        drop(store);
        assert!(answers(&*world.open().await).await == before, "seed {seed}");
    }
}
