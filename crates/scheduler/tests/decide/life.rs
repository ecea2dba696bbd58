//! From the queue to the end, with what can come between.

use std::time::Duration;

use model::{JobId, RepositoryId, RunId, Timestamp};
use scheduler::Queue;
use scheduler::queue::{Limits, Profiles, QueuedJob, QueuedRun, Retry};

use crate::build::{AN_HOUR, Server, group, keeping, machines, production, ubuntu};

#[test]
fn what_is_queued_twice_starts_once() {
    let mut server = Server::plain();
    for _ in 0..2 {
        server.queue.run_queued(server.run(1));
        server.queue.job_queued(server.job(1));
    }
    assert_eq!(server.go(), ["run 1", "job 1 on ubuntu-latest"]);
    server.queue.job_queued(server.job(1));
    assert_eq!(server.go(), [""; 0]);
    assert!(!server.queue.started(JobId(1), server.at));
}

#[test]
fn a_run_starts_when_it_is_approved_and_not_before() {
    let mut server = Server::plain();
    server.queue.run_queued(QueuedRun { asked_at: Some(server.at), ..server.run(1) });
    assert_eq!(server.go(), [""; 0]);
    assert_eq!(server.why(RunId(1)), "waits for approval");
    server.queue.approved(RunId(1), server.at);
    server.queue.approved(RunId(1), server.at);
    assert_eq!(server.go(), ["run 1"]);
}

#[test]
fn what_was_cancelled_never_starts_however_late_the_cancellation() {
    let mut server = Server::plain();
    server.queue.job_queued(server.job(1));
    server.queue.cancel(JobId(1), "by ada");
    assert!(!server.queue.started(JobId(1), server.at));
    assert_eq!(server.go(), ["cancel job 1: by ada"]);
    assert_eq!(server.why(JobId(1)), "does not wait");
}

#[test]
fn a_job_whose_machine_failed_gives_it_back_waits_and_keeps_its_group() {
    let mut server = Server::new(Limits::default(), vec![machines(ubuntu(), 1)]);
    server.queue.job_queued(QueuedJob { concurrency: group("g"), ..server.job(1) });
    server.queue.job_queued(QueuedJob {
        concurrency: keeping("g"),
        repository: RepositoryId(1),
        ..server.job(2)
    });
    server.queue.job_queued(server.job(3));
    assert_eq!(server.go(), ["job 1 on ubuntu-latest"]);
    let retry = Retry {
        not_before: server.at.after(Duration::from_millis(7_500)),
        after: "the VM did not boot".into(),
    };
    assert!(server.queue.retried(JobId(1), retry, server.at));
    assert_eq!(server.go(), ["job 3 on ubuntu-latest"], "its machine is free");
    assert_eq!(server.why(JobId(1)), "retry in 8 s after: the VM did not boot");
    assert_eq!(server.why(JobId(2)), "its concurrency group `g` is held by job 1");
    assert_eq!(server.end(JobId(3)), [""; 0], "it is not time yet");
    let wake = server.queue.wakes_at(server.at).expect("time will change this");
    server.at = wake;
    assert_eq!(server.queue.wakes_at(server.at), None);
    assert_eq!(server.go(), ["job 1 on ubuntu-latest"]);
    assert_eq!(server.end(JobId(1)), ["job 2 on ubuntu-latest"]);
}

#[test]
fn a_clock_that_is_set_back_holds_no_retry_up() {
    let mut server = Server::plain();
    server.queue.job_queued(server.job(1));
    server.go();
    let retry =
        Retry { not_before: server.at.after(Duration::from_secs(10)), after: "the VM did not boot".into() };
    assert!(server.queue.retried(JobId(1), retry, server.at));
    assert_eq!(server.go(), [""; 0]);
    server.at = Timestamp(server.at.0 - 3_600_000);
    assert_eq!(server.go(), ["job 1 on ubuntu-latest"]);
}

#[test]
fn a_cancelled_job_is_not_tried_again() {
    let mut server = Server::plain();
    server.queue.job_queued(server.job(1));
    server.go();
    server.queue.cancel(JobId(1), "by ada");
    let retry = Retry { not_before: server.at, after: "the VM died".into() };
    assert!(!server.queue.retried(JobId(1), retry, server.at));
    assert_eq!(server.go(), ["cancel job 1: by ada"]);
}

#[test]
fn a_run_that_ends_leaves_no_job_waiting() {
    let mut server = Server::plain();
    server.queue.run_queued(server.run(1));
    server.queue.job_queued(QueuedJob { hold: production(None), ..server.job(1) });
    server.go();
    assert_eq!(server.end(RunId(1)), ["cancel job 1: its run 1 has ended"]);
}

#[test]
fn a_restored_queue_goes_on_where_the_old_one_stood() {
    let server = Server::plain();
    let later = server.at.after(Duration::from_secs(1));
    let runs = vec![
        // It was queued first and is still waiting: the group belongs to who had started.
        (QueuedRun { concurrency: keeping("g"), ..server.run(1) }, None),
        (QueuedRun { concurrency: keeping("g"), queued_at: later, ..server.run(2) }, Some(later)),
    ];
    let jobs = vec![(server.job(2), None), (server.job(1), Some(later))];
    let queue = Queue::restore(Limits::default(), Profiles::new(vec![machines(ubuntu(), 1)]), runs, jobs);
    let mut server = Server { queue, ..server };
    assert_eq!(server.go(), [""; 0]);
    assert_eq!(server.why(RunId(1)), "its concurrency group `g` is held by run 2");
    assert_eq!(server.why(JobId(2)), "1. no room: profile ubuntu-latest has 1 of 1 machines busy");
    assert_eq!(server.end(RunId(2)), ["run 1"]);
    assert_eq!(server.end(JobId(1)), ["job 2 on ubuntu-latest"]);
}

#[test]
fn groups_belong_after_a_restart_to_who_had_started_or_is_tried_again() {
    let server = Server::plain();
    let later = server.at.after(Duration::from_secs(1));
    for had_started in [true, false] {
        // Approved late, the first of them asked for the group last.
        let first = QueuedJob { concurrency: keeping("g"), ..server.job(1) };
        let mut second = QueuedJob { concurrency: keeping("g"), queued_at: later, ..server.job(2) };
        if !had_started {
            second.retry = Some(Retry { not_before: later, after: "the VM died".into() });
        }
        let jobs = vec![(first, None), (second, had_started.then_some(later))];
        let queue = Queue::restore(Limits::default(), Profiles::new(vec![ubuntu()]), Vec::new(), jobs);
        let server = Server { queue, at: later, log: Vec::new() };
        assert_eq!(server.why(JobId(1)), "its concurrency group `g` is held by job 2");
    }
}

#[test]
fn a_run_that_has_ended_can_be_queued_again_as_its_next_attempt() {
    let mut server = Server::plain();
    server.queue.run_queued(QueuedRun { concurrency: group("g"), ..server.run(1) });
    server.go();
    server.queue.cancel(RunId(1), "by ada");
    server.end(RunId(1));
    server.queue.run_queued(QueuedRun { concurrency: group("g"), ..server.run(1) });
    assert_eq!(server.go(), ["run 1"]);
}

#[test]
fn a_job_that_time_lets_in_waits_for_it_and_no_longer() {
    let mut server = Server { at: Timestamp(1_800_000_000_000), ..Server::plain() };
    let (begun, until) = (server.at, server.at.after(Duration::from_secs(90 * 60)));
    server.queue.job_queued(QueuedJob { hold: production(Some(until)), ..server.job(1) });
    assert_eq!((server.go(), server.queue.wakes_at(begun)), (Vec::new(), Some(until)));
    let why = "waits until 2027-01-15 09:30:00 UTC before it uses the environment `production`";
    assert_eq!(server.why(JobId(1)), why);
    server.at = Timestamp(until.0 - 1);
    assert_eq!(server.go(), [""; 0]);
    server.at = until;
    assert_eq!(server.go(), ["let job 1 in", "job 1 on ubuntu-latest"]);
    assert_eq!(server.queue.wakes_at(until), None);
}

#[test]
fn a_job_whose_time_was_set_before_the_clock_was_set_back_waits_anew_and_no_longer() {
    let mut server = Server { at: Timestamp(1_800_000_000_000), ..Server::plain() };
    let until = server.at.after(Duration::from_secs(90 * 60));
    server.queue.job_queued(QueuedJob { hold: production(Some(until)), ..server.job(1) });
    server.at = server.at.before(Duration::from_secs(31 * 24 * 60 * 60));
    assert_eq!(server.go(), ["let job 1 wait anew"]);
    server.pass(AN_HOUR);
    assert_eq!(server.go(), ["let job 1 in", "job 1 on ubuntu-latest"]);
}

#[test]
fn a_job_that_was_approved_waits_for_its_time_and_one_that_was_cancelled_meanwhile_is_never_let_in() {
    let mut server = Server::plain();
    let until = server.at.after(Duration::from_secs(60));
    for id in 1..=2 {
        server.queue.job_queued(QueuedJob { hold: production(None), ..server.job(id) });
    }
    assert_eq!(server.why(JobId(1)), "waits for approval to use the environment `production`");
    for id in 1..=2 {
        server.queue.held(JobId(id), production(Some(until)).expect("a hold"));
    }
    server.queue.cancel(JobId(2), "by ada");
    assert_eq!(server.go(), ["cancel job 2: by ada"]);
    server.at = until;
    assert_eq!(server.go(), ["let job 1 in", "job 1 on ubuntu-latest"]);
}
