//! Bounds are reached and never passed.

use model::{JobId, RepositoryId, RunId};
use scheduler::queue::{Capacity, Limits, Profile, QueuedJob, Size};

use crate::build::{Server, machines, production, runs_on, ubuntu};

#[test]
fn five_workflows_run_at_once_unless_something_else_is_said() {
    let mut server = Server::plain();
    for id in 1..=7 {
        server.queue.run_queued(server.run(id));
    }
    assert_eq!(server.go(), ["run 1", "run 2", "run 3", "run 4", "run 5"]);
    assert_eq!(server.why(RunId(7)), "2. 5 of at most 5 workflows are running");
    assert_eq!(server.end(RunId(3)), ["run 6"]);
    server.queue.limits_changed(Limits { running_workflows: 9, ..Limits::default() });
    assert_eq!(server.go(), ["run 7"]);
}

#[test]
fn a_run_whose_jobs_all_wait_for_people_is_none_of_the_workflows_that_run() {
    let limits = Limits { running_workflows: 1, ..Limits::default() };
    let mut server = Server::new(limits, vec![ubuntu()]);
    for id in 1..=3 {
        server.queue.run_queued(server.run(id));
    }
    assert_eq!(server.go(), ["run 1"]);
    server.queue.job_queued(QueuedJob { hold: production(None), ..server.job(1) });
    assert_eq!(server.go(), ["run 2"]);
    assert_eq!(server.why(RunId(3)), "1. 1 of at most 1 workflows are running");
    // Let in, it goes on at once, and counts again.
    server.queue.approved(JobId(1), server.at);
    assert_eq!(server.go(), ["job 1 on ubuntu-latest"]);
    assert_eq!(server.end(RunId(2)), [""; 0]);
    assert_eq!(server.why(RunId(3)), "1. 1 of at most 1 workflows are running");
    // One job that waits for people keeps no other from its work, nor the run from counting.
    server.queue.job_queued(QueuedJob { hold: production(None), ..server.job(2) });
    assert_eq!(server.go(), [""; 0]);
    assert_eq!(server.end(JobId(1)), ["run 3"]);
}

#[test]
fn as_many_jobs_run_as_may() {
    let mut server = Server::new(Limits { jobs: Some(2), ..Limits::default() }, vec![ubuntu()]);
    for id in 1..=4 {
        server.queue.job_queued(server.job(id));
    }
    assert_eq!(server.go(), ["job 1 on ubuntu-latest", "job 2 on ubuntu-latest"]);
    assert_eq!(server.why(JobId(4)), "2. 2 of at most 2 jobs are running");
    assert_eq!(server.end(JobId(1)), ["job 3 on ubuntu-latest"]);
}

#[test]
fn a_repository_at_its_bound_keeps_no_other_from_starting() {
    let limits = Limits { jobs_per_repository: Some(1), ..Limits::default() };
    let mut server = Server::new(limits, vec![ubuntu()]);
    for id in 1..=3 {
        server.queue.job_queued(QueuedJob { priority: 9, ..server.job(id) });
        server.queue.job_queued(QueuedJob { repository: RepositoryId(2), ..server.job(10 + id) });
    }
    assert_eq!(server.go(), ["job 1 on ubuntu-latest", "job 11 on ubuntu-latest"]);
    assert!(server.why(JobId(3)).ends_with("1 of at most 1 jobs of its repository are running"));
    assert_eq!(server.end(JobId(11)), ["job 12 on ubuntu-latest"]);
}

#[test]
fn a_full_profile_keeps_nobody_from_another() {
    let arm = Profile { name: "arm".into(), labels: vec!["arm".into()], ..Profile::default() };
    let mut server = Server::new(Limits::default(), vec![machines(ubuntu(), 2), arm]);
    for id in 1..=3 {
        server.queue.job_queued(server.job(id));
    }
    server.queue.job_queued(QueuedJob { runs_on: runs_on(&["arm"]), ..server.job(4) });
    assert_eq!(server.go(), ["job 1 on ubuntu-latest", "job 2 on ubuntu-latest", "job 4 on arm"]);
    assert_eq!(server.why(JobId(3)), "1. no room: profile ubuntu-latest has 2 of 2 machines busy");
}

#[test]
fn a_large_machine_that_is_first_is_passed_by_none_that_would_fit() {
    let capacity = Capacity { vcpus: Some(4), ..Capacity::default() };
    let mut server = Server::new(Limits::default(), vec![Profile { capacity, ..ubuntu() }]);
    server.queue.job_queued(server.job(1));
    server.go();
    server.queue.job_queued(QueuedJob { runs_on: runs_on(&["firecracker-4cpu-8gb"]), ..server.job(2) });
    server.queue.job_queued(server.job(3));
    assert_eq!(server.go(), [""; 0]);
    assert_eq!(server.why(JobId(2)), "1. no room: profile ubuntu-latest has 2 of 4 vCPU left, 4 wanted");
    assert_eq!(
        server.why(JobId(3)),
        "2. job 2 was first, and there is no room yet for the machine that it needs"
    );
    assert_eq!(server.end(JobId(1)), ["job 2 on ubuntu-latest"]);
    assert_eq!(server.end(JobId(2)), ["job 3 on ubuntu-latest"]);
}

#[test]
fn machines_of_all_profiles_fit_on_the_host() {
    let host = Capacity { memory_mib: Some(10_000), ..Capacity::default() };
    let large = Profile {
        name: "large".into(),
        labels: vec!["large".into()],
        size: Size { vcpus: 2, memory_mib: 8_000 },
        ..Profile::default()
    };
    let mut server = Server::new(Limits { host, ..Limits::default() }, vec![ubuntu(), large]);
    server.queue.job_queued(server.job(1));
    server.queue.job_queued(QueuedJob { runs_on: runs_on(&["large"]), ..server.job(2) });
    server.queue.job_queued(server.job(3));
    assert_eq!(server.go(), ["job 1 on ubuntu-latest"]);
    assert_eq!(
        server.why(JobId(3)),
        "2. job 2 was first, and there is no room yet for the machine that it needs"
    );
    assert_eq!(
        server.why(JobId(2)),
        "1. no room: the host has 5904 of 10000 MiB of memory left, 8000 wanted"
    );
    assert_eq!(server.end(JobId(1)), ["job 2 on large"]);
}
