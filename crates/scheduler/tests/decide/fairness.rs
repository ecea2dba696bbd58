//! Who is first when not all can be.

use std::time::Duration;

use model::{JobId, RepositoryId, RunId};
use scheduler::queue::turn::PATIENCE;
use scheduler::queue::{Limits, Profile, QueuedJob, QueuedRun};

use crate::build::{Server, machines, production, runs_on, ubuntu};

fn one_machine() -> Server {
    Server::new(Limits::default(), vec![machines(ubuntu(), 1)])
}

/// Ends what runs, over and over, a minute each time; the jobs in the order in which they started.
fn order(server: &mut Server, mut last: u64, count: usize) -> Vec<u64> {
    let mut started = Vec::new();
    for _ in 0..count {
        server.pass(Duration::from_secs(60));
        let told = server.end(JobId(last));
        last = self::started(&told);
        started.push(last);
    }
    started
}

#[test]
fn the_oldest_is_first_where_nothing_else_tells_them_apart() {
    let mut server = one_machine();
    server.queue.job_queued(server.job(9));
    server.go();
    for id in [3, 1, 2] {
        server.pass(Duration::from_secs(1));
        server.queue.job_queued(server.job(id));
    }
    assert_eq!(order(&mut server, 9, 3), [3, 1, 2]);
}

#[test]
fn a_job_that_was_let_in_is_no_older_than_its_wait_for_a_machine() {
    let mut server = one_machine();
    server.queue.job_queued(QueuedJob { hold: production(None), ..server.job(1) });
    server.queue.job_queued(server.job(9));
    server.go();
    server.pass(Duration::from_secs(1));
    server.queue.job_queued(server.job(2));
    server.pass(Duration::from_secs(1));
    server.queue.approved(JobId(1), server.at);
    assert_eq!(order(&mut server, 9, 2), [2, 1]);
}

#[test]
fn a_higher_priority_goes_first() {
    let mut server = one_machine();
    server.queue.job_queued(server.job(9));
    server.go();
    server.queue.job_queued(server.job(1));
    server.queue.job_queued(QueuedJob { priority: -1, ..server.job(2) });
    server.queue.job_queued(QueuedJob { priority: 5, ..server.job(3) });
    assert_eq!(order(&mut server, 9, 3), [3, 1, 2]);
}

#[test]
fn a_repository_that_queues_a_hundred_jobs_leaves_every_other_machine_to_the_next_one() {
    let mut server = one_machine();
    for id in 1..=100 {
        server.queue.job_queued(server.job(id));
    }
    server.go();
    for id in 201..=203 {
        server.queue.job_queued(QueuedJob { repository: RepositoryId(2), ..server.job(id) });
    }
    let order = order(&mut server, 1, 6);
    assert_eq!(order.iter().filter(|id| **id > 200).count(), 3, "{order:?}");
    assert_eq!(order[0], 201, "{order:?}");
}

#[test]
fn what_a_repository_has_used_lately_counts_and_is_forgotten_after_hours() {
    for (idle, first) in [(Duration::from_secs(60), 20), (Duration::from_secs(6 * 3600), 10)] {
        let mut server = one_machine();
        server.queue.job_queued(server.job(1));
        server.go();
        server.pass(Duration::from_secs(1800));
        server.end(JobId(1));
        server.pass(idle);
        server.queue.job_queued(QueuedJob { repository: RepositoryId(3), ..server.job(2) });
        server.go();
        server.queue.job_queued(server.job(10));
        server.queue.job_queued(QueuedJob { repository: RepositoryId(2), ..server.job(20) });
        assert_eq!(order(&mut server, 2, 1), [first]);
    }
}

#[test]
fn runs_are_shared_out_like_jobs() {
    let mut server = Server::new(Limits { running_workflows: 2, ..Limits::default() }, vec![ubuntu()]);
    for id in 1..=4 {
        server.queue.run_queued(server.run(id));
    }
    server.queue.run_queued(QueuedRun { repository: RepositoryId(2), ..server.run(5) });
    server.queue.run_queued(QueuedRun { priority: 1, ..server.run(6) });
    assert_eq!(server.go(), ["run 6", "run 5"]);
    assert_eq!(server.end(RunId(5)), ["run 1"]);
}

#[test]
fn an_endless_stream_of_urgent_jobs_of_others_starves_nobody() {
    let mut server = one_machine();
    server.queue.job_queued(server.job(1));
    server.go();
    server.queue.job_queued(QueuedJob { priority: -100, ..server.job(2) });
    let mut last = 1;
    for id in 1000..1100 {
        server.pass(Duration::from_secs(60));
        let urgent = QueuedJob { priority: 100, repository: RepositoryId(id), ..server.job(id) };
        server.queue.job_queued(urgent);
        let waited = server.at.0 - 1_000_000_000;
        let told = server.end(JobId(last));
        last = started(&told);
        if last == 2 {
            assert!(waited >= PATIENCE.as_millis() as u64, "the urgent ones were first for a while");
            return;
        }
    }
    panic!("it never came to its turn");
}

#[test]
fn what_a_repository_has_running_counts_as_much_as_what_it_had() {
    let mut server = Server::new(Limits { jobs: Some(2), ..Limits::default() }, vec![ubuntu()]);
    server.queue.job_queued(server.job(1));
    server.queue.job_queued(QueuedJob { repository: RepositoryId(3), ..server.job(2) });
    server.go();
    server.queue.job_queued(server.job(3));
    server.queue.job_queued(QueuedJob { repository: RepositoryId(2), ..server.job(4) });
    assert_eq!(server.end(JobId(2)), ["job 4 on ubuntu-latest"]);
}

#[test]
fn every_fifth_place_goes_to_who_has_waited_longest_and_the_others_by_priority() {
    let mut server = Server::new(Limits { jobs: Some(0), ..Limits::default() }, vec![ubuntu()]);
    for id in 1..=3 {
        server.queue.job_queued(QueuedJob { priority: -1, ..server.job(id) });
    }
    server.pass(PATIENCE);
    for id in 11..=30 {
        server.queue.job_queued(QueuedJob { repository: RepositoryId(id), ..server.job(id) });
    }
    server.queue.limits_changed(Limits { jobs: Some(15), ..Limits::default() });
    let patient: Vec<usize> = (server.go().iter().enumerate())
        .filter(|(_, line)| ["job 1 ", "job 2 ", "job 3 "].iter().any(|job| line.starts_with(job)))
        .map(|(place, _)| place)
        .collect();
    assert_eq!(patient, [4, 9, 14]);
}

#[test]
fn urgent_jobs_for_other_machines_starve_nobody_where_jobs_are_limited_altogether() {
    let arm = Profile { name: "arm".into(), labels: vec!["arm".into()], ..Profile::default() };
    let mut server = Server::new(Limits { jobs: Some(1), ..Limits::default() }, vec![ubuntu(), arm]);
    server.queue.job_queued(server.job(1));
    server.go();
    server.queue.job_queued(QueuedJob { runs_on: runs_on(&["arm"]), priority: -100, ..server.job(2) });
    let mut last = 1;
    for id in 1000..1030 {
        server.pass(Duration::from_secs(60));
        server.queue.job_queued(QueuedJob { repository: RepositoryId(id), ..server.job(id) });
        last = started(&server.end(JobId(last)));
        if last == 2 {
            return;
        }
    }
    panic!("it never came to its turn");
}

#[test]
fn long_queues_for_other_machines_take_nobody_s_turn() {
    let arm = Profile { name: "arm".into(), labels: vec!["arm".into()], ..Profile::default() };
    let mut server = Server::new(Limits::default(), vec![machines(ubuntu(), 1), machines(arm, 1)]);
    for id in 1..=100 {
        server.queue.job_queued(QueuedJob { runs_on: runs_on(&["arm"]), ..server.job(id) });
    }
    server.go();
    server.queue.job_queued(server.job(500));
    server.go();
    server.queue.job_queued(QueuedJob { priority: -100, ..server.job(501) });
    server.pass(PATIENCE);
    let (mut last, mut last_arm) = (500, 1);
    for _ in 0..3 {
        last_arm = started(&server.end(JobId(last_arm)));
    }
    for round in 0..10 {
        // It was the turn of all just now. Four of these for one of the others: it is always theirs.
        for urgent in 0..4 {
            let id = 1000 + round * 4 + urgent;
            server.pass(Duration::from_secs(1));
            server.queue.job_queued(QueuedJob { repository: RepositoryId(id), ..server.job(id) });
            last = started(&server.end(JobId(last)));
            if last == 501 {
                return;
            }
        }
        last_arm = started(&server.end(JobId(last_arm)));
    }
    panic!("it never came to its turn");
}

/// The one job that has started.
fn started(told: &[String]) -> u64 {
    let [line] = told else { panic!("one starts: {told:?}") };
    line.split(' ').nth(1).expect("it is named").parse().expect("by its number")
}
