//! Prints how long deciding takes with 10,000 queued jobs, as rows of a table; the last line is the verdict.

use std::hint::black_box;
use std::time::{Duration, Instant};

use model::{JobId, RepositoryId, RunId, Timestamp};
use scheduler::queue::{Capacity, Limits, Profile, Profiles, QueuedJob};
use scheduler::{Queue, decide, waits};
use workflow::plan::RunsOn;

/// Jobs that wait.
const JOBS: u64 = 10_000;

/// Machines that are there: what the larger of the elder systems allows.
const MACHINES: u32 = 150;

/// What a decision may take.
const TARGET: Duration = Duration::from_millis(5);

/// Decisions of each case; the median counts.
const ROUNDS: usize = 51;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn queue(repositories: u64, machines: u32) -> Queue {
    let profile = |name: &str| Profile {
        name: name.to_owned(),
        labels: vec![name.to_owned()],
        capacity: Capacity { machines: Some(machines / 2), ..Capacity::default() },
        ..Profile::default()
    };
    let profiles = Profiles::new(vec![profile("ubuntu-latest"), profile("large")]);
    let mut queue = Queue::new(Limits::default(), profiles);
    for id in 0..JOBS {
        let label = if id % 3 == 0 { "large" } else { "ubuntu-latest" };
        queue.job_queued(QueuedJob {
            id: JobId(id),
            run: RunId(id / 10),
            repository: RepositoryId(id % repositories),
            runs_on: RunsOn { group: None, labels: vec![label.to_owned()] },
            priority: i32::try_from(id % 3).unwrap_or_default(),
            // Half of them have waited beyond all patience.
            queued_at: Timestamp(NOW.0 - (id % 1200) * 1000),
            concurrency: None,
            within: Vec::new(),
            hold: None,
            retry: None,
        });
    }
    queue
}

fn median(mut action: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            action();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn main() {
    println!(
        "| {JOBS} queued jobs | {MACHINES} machines free | all busy | why each waits | made from records |"
    );
    println!("|---|---:|---:|---:|---:|");
    let mut slowest = Duration::ZERO;
    for repositories in [1, 100, JOBS] {
        let free = queue(repositories, MACHINES);
        assert_eq!(decide(&free, NOW).len(), MACHINES as usize, "all machines are used");
        let mut busy = free.clone();
        for job in (0..JOBS).map(JobId) {
            if busy.running_jobs() < MACHINES as usize && job.0 % 3 == u64::from(busy.running_jobs() >= 75) {
                busy.started(job, NOW);
            }
        }
        let starting = median(|| drop(black_box(decide(black_box(&free), NOW))));
        let waiting = median(|| drop(black_box(decide(black_box(&busy), NOW))));
        let reasons = median(|| drop(black_box(waits(black_box(&busy), NOW))));
        let making = median(|| drop(black_box(queue(repositories, MACHINES))));
        slowest = slowest.max(starting).max(waiting);
        println!(
            "| of {repositories} repositories | {starting:.2?} | {waiting:.2?} | {reasons:.2?} | {making:.2?} |"
        );
    }
    let verdict = if slowest <= TARGET { "reached" } else { "NOT reached" };
    println!("\n- the slowest decision takes {slowest:.2?}; target at most {TARGET:?}: {verdict}");
}
