//! What happens to the server, and whoever looks on.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Conclusion, JobId, JobResult, RepositoryId, RunId, RunState, Timestamp};
use scheduler::queue::{CallClaim, Capacity, Limits, Profile, Profiles, QueuedJob, QueuedRun, Subject};
use workflow::concurrency::Concurrency;
use workflow::plan::RunsOn;

use crate::dice::Dice;
use crate::records::{Records, RunRecord};
use crate::server::{CALL, Killed, Outside, Server};

/// Turns after which nothing bad happens any more, so that all can end.
const BAD_TURNS: usize = 120;

/// Turns in which everything must have ended.
const TURNS: usize = 4000;

pub(crate) struct World {
    limits: Limits,
    profiles: Profiles,
    outside: Outside,
    server: Option<Server>,
    runs: u64,
    next_run: u64,
    seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let limits = Limits {
            running_workflows: 1 + dice.below(4),
            jobs: dice.one_in(2).then(|| 1 + dice.below(4)),
            jobs_per_repository: dice.one_in(2).then(|| 1 + dice.below(2)),
            ..Limits::default()
        };
        let profile = |name: &str, machines: usize| Profile {
            name: name.to_owned(),
            labels: vec![name.to_owned()],
            capacity: Capacity { machines: Some(machines as u32), vcpus: Some(4), memory_mib: None },
            ..Profile::default()
        };
        let profiles = Profiles::new(vec![profile("small", 1 + dice.below(3)), profile("large", 1)]);
        let deadliness = [0, 5, 20, 60][dice.below(4)];
        let runs = 1 + dice.below(10) as u64;
        let now = Timestamp(1_000_000);
        let outside = Outside { records: Records::default(), dice, now, deadliness, seen: BTreeMap::new() };
        World { limits, profiles, outside, server: None, runs, next_run: 1, seed }
    }

    /// Plays until everything has ended; how often what has happened.
    pub(crate) fn play(mut self) -> BTreeMap<&'static str, usize> {
        for turn in 0..TURNS {
            if turn == BAD_TURNS {
                self.outside.deadliness = 0;
            }
            if self.next_run > self.runs && self.outside.records.all_ended() {
                self.check_end();
                return self.outside.seen;
            }
            if self.turn(turn < BAD_TURNS).is_err() {
                self.server = None;
            }
            self.check_limits();
            self.check_groups();
        }
        let left: Vec<_> = self
            .outside
            .records
            .runs
            .values()
            .filter(|run| run.state != RunState::Ended)
            .map(|run| run.queued.id)
            .collect();
        panic!("seed {}: runs {left:?} never end", self.seed);
    }

    fn turn(&mut self, is_bad: bool) -> Result<(), Killed> {
        let wait = Duration::from_millis(self.outside.dice.below(20_000) as u64);
        self.outside.now = self.outside.now.after(wait);
        let mut server = match self.server.take() {
            Some(server) => server,
            None => Server::recover(&self.limits, &self.profiles, &mut self.outside)?,
        };
        self.event(&mut server, is_bad)?;
        server.pump(&mut self.outside)?;
        let waits = scheduler::waits(&server.queue, self.outside.now);
        if waits.iter().any(|wait| wait.reason.to_string().starts_with("its concurrency group")) {
            self.outside.saw("waited for its group");
        }
        self.server = Some(server);
        Ok(())
    }

    fn event(&mut self, server: &mut Server, is_bad: bool) -> Result<(), Killed> {
        match self.outside.dice.below(if is_bad { 8 } else { 4 }) {
            0 | 1 => self.arrive(server),
            2 | 3 => self.machine_ends(server, Conclusion::Success, None),
            4 => self.machine_ends(server, Conclusion::Failure, None),
            5 => self.machine_ends(server, Conclusion::Failure, Some("the VM died")),
            6 => self.cancel(server),
            _ => {
                self.approve(server);
                Ok(())
            }
        }?;
        if !is_bad {
            self.approve(server);
        }
        Ok(())
    }

    /// A run is accepted: it is written down first, and must end from then on.
    fn arrive(&mut self, server: &mut Server) -> Result<(), Killed> {
        if self.next_run > self.runs {
            return Ok(());
        }
        let id = RunId(self.next_run);
        self.next_run += 1;
        let run = self.run(id);
        let state = if run.asked_at.is_some() { RunState::Waiting } else { RunState::Queued };
        let mut jobs: Vec<QueuedJob> =
            (0..self.outside.dice.below(4)).map(|place| self.job(&run, place as u64)).collect();
        if let Some(group) = self.group("c") {
            // The first of them are jobs of a called workflow.
            let inside = self.outside.dice.below(jobs.len() + 1);
            let claim = CallClaim { call: JobId(id.0 * 100 + CALL), groups: vec![group] };
            jobs[..inside].iter_mut().for_each(|job| job.within = vec![claim.clone()]);
        }
        let record = RunRecord {
            queued: run.clone(),
            state,
            started_at: None,
            cancelled: None,
            conclusion: None,
            jobs,
        };
        self.outside.records.runs.insert(id, record);
        if self.outside.deadliness > 0 && self.outside.dice.one_in(self.outside.deadliness) {
            self.outside.saw("crash");
            return Err(Killed);
        }
        server.queue.run_queued(run);
        Ok(())
    }

    fn run(&mut self, id: RunId) -> QueuedRun {
        let repository = RepositoryId(self.outside.dice.below(3) as u64);
        QueuedRun {
            id,
            repository,
            priority: self.outside.dice.below(2) as i32,
            queued_at: self.outside.now,
            concurrency: self.group("g"),
            asked_at: self.outside.dice.one_in(6).then_some(self.outside.now),
        }
    }

    fn job(&mut self, run: &QueuedRun, place: u64) -> QueuedJob {
        let label =
            ["small", "small", "small", "large", "firecracker-4cpu-1gb", "none"][self.outside.dice.below(6)];
        // A group of jobs is none of runs: a run that holds what its own job wants is the plan's to find.
        let concurrency = self.group("j");
        QueuedJob {
            id: JobId(run.id.0 * 100 + place),
            run: run.id,
            repository: run.repository,
            runs_on: RunsOn { group: None, labels: vec![label.to_owned()] },
            priority: run.priority,
            queued_at: self.outside.now,
            concurrency,
            within: Vec::new(),
            hold: None,
            retry: None,
        }
    }

    fn group(&mut self, prefix: &str) -> Option<Concurrency> {
        let dice = &mut self.outside.dice;
        let kind = dice.below(6);
        (kind < 4).then(|| Concurrency {
            group: format!("{prefix}{}", dice.below(2)),
            cancel_in_progress: kind == 0,
            keep_all: kind == 1,
        })
    }

    fn machine_ends(
        &mut self,
        server: &mut Server,
        conclusion: Conclusion,
        broke: Option<&str>,
    ) -> Result<(), Killed> {
        let busy: Vec<JobId> = server.machines.keys().copied().collect();
        let Some(job) = busy.get(self.outside.dice.below(busy.len().max(1))) else { return Ok(()) };
        if broke.is_some() {
            self.outside.saw("machine failed");
        }
        let result = JobResult {
            conclusion,
            infrastructure_error: broke.map(str::to_owned),
            decided: None,
            outputs: Vec::new(),
            environment_url: None,
            steps: Vec::new(),
        };
        server.worked(*job, &result, &mut self.outside)
    }

    fn cancel(&mut self, server: &mut Server) -> Result<(), Killed> {
        let runs: Vec<RunId> = self.outside.records.runs.keys().copied().collect();
        if let (Some(run), true) =
            (runs.get(self.outside.dice.below(runs.len().max(1))), self.outside.dice.one_in(3))
        {
            self.outside.saw("cancelled by hand");
            server.queue.cancel(*run, "by hand");
        }
        Ok(())
    }

    fn approve(&mut self, server: &mut Server) {
        let waiting: Vec<RunId> = self
            .outside
            .records
            .runs
            .iter()
            .filter(|(_, run)| run.state == RunState::Waiting)
            .map(|(id, _)| *id)
            .collect();
        if let Some(run) = waiting.first() {
            self.outside.saw("approved");
            self.outside.records.run_becomes(*run, RunState::Queued);
            self.outside.records.run(*run).queued.asked_at = None;
            server.queue.approved(*run, self.outside.now);
        }
    }

    /// Looks at what runs, by the records and by the machines.
    fn check_limits(&self) {
        let records = &self.outside.records;
        let seed = self.seed;
        let runs: Vec<_> = records.runs.values().filter(|run| run.state == RunState::Running).collect();
        assert!(runs.len() <= self.limits.running_workflows, "seed {seed}: {} runs", runs.len());
        let jobs: Vec<_> = records.jobs.values().filter(|job| job.is_on_machine()).collect();
        assert!(self.limits.jobs.is_none_or(|limit| jobs.len() <= limit), "seed {seed}: {} jobs", jobs.len());
        let mut repositories: BTreeMap<RepositoryId, usize> = BTreeMap::new();
        let mut profiles: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for job in &jobs {
            *repositories.entry(job.queued.repository).or_default() += 1;
            let placement = self.profiles.place(&job.queued.runs_on).expect("it runs somewhere");
            let used = profiles.entry(placement.profile).or_default();
            *used = (used.0 + 1, used.1 + placement.size.vcpus);
        }
        let limit = self.limits.jobs_per_repository.unwrap_or(usize::MAX);
        assert!(repositories.values().all(|jobs| *jobs <= limit), "seed {seed}: {repositories:?}");
        for profile in self.profiles.as_slice() {
            let (machines, vcpus) = profiles.get(&profile.name).copied().unwrap_or_default();
            assert!(
                profile.capacity.machines.is_none_or(|limit| machines <= limit),
                "seed {seed}: {profiles:?}"
            );
            assert!(profile.capacity.vcpus.is_none_or(|limit| vcpus <= limit), "seed {seed}: {profiles:?}");
        }
    }

    /// Nobody who has started shares a group with somebody else who has.
    fn check_groups(&self) {
        let records = &self.outside.records;
        let mut members: Vec<(Subject, RepositoryId, &Concurrency)> = Vec::new();
        for run in records.runs.values().filter(|run| run.state == RunState::Running) {
            let wishes = run.queued.concurrency.iter();
            members.extend(wishes.map(|wish| (run.queued.id.into(), run.queued.repository, wish)));
        }
        for job in records.jobs.values().filter(|job| job.is_on_machine()) {
            let (id, repository) = (job.queued.id, job.queued.repository);
            members.extend(job.queued.concurrency.iter().map(|wish| (id.into(), repository, wish)));
            let calls = job.queued.within.iter();
            members.extend(calls.map(|claim| (claim.call.into(), repository, &claim.groups[0])));
        }
        let mut holders: BTreeMap<(RepositoryId, String), Subject> = BTreeMap::new();
        for (subject, repository, wish) in members {
            let other = holders.insert((repository, wish.group.to_lowercase()), subject);
            assert_eq!(other, None, "seed {}: {subject} is not alone in {}", self.seed, wish.group);
        }
    }

    fn check_end(&self) {
        let records = &self.outside.records;
        assert_eq!(records.runs.len() as u64, self.runs, "seed {}: no run is lost", self.seed);
        for job in records.jobs.values() {
            let id = job.queued.id;
            assert!(job.conclusion.is_some(), "seed {}: job {id} has ended", self.seed);
            assert!(
                job.interrupted <= 2 && job.failed <= 2,
                "seed {}: job {id} was tried too often",
                self.seed
            );
            let tries = job.failed + job.interrupted;
            assert!(
                job.starts == tries || job.starts == tries + 1,
                "seed {}: job {id} has started {} times, of which {tries} came to nothing",
                self.seed,
                job.starts
            );
        }
    }
}
