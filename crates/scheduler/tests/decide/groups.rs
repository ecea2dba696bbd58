//! Concurrency groups across runs and jobs of a repository.

use model::{JobId, RepositoryId, RunId};
use scheduler::queue::{CallClaim, QueuedJob, QueuedRun};
use workflow::concurrency::Concurrency;

use crate::build::{Server, cancelling, group, keeping};

#[test]
fn one_run_of_a_group_runs_and_the_newest_that_waits_replaces_the_older() {
    let mut server = Server::plain();
    for (id, name) in [(1, "Deploy"), (2, "deploy"), (3, "DEPLOY")] {
        server.queue.run_queued(QueuedRun { concurrency: group(name), ..server.run(id) });
    }
    let told = server.go();
    assert_eq!(told, ["cancel run 2: a higher priority waiting request for 'DEPLOY' exists", "run 1"]);
    assert_eq!(server.why(RunId(3)), "its concurrency group `DEPLOY` is held by run 1");
    assert_eq!(server.end(RunId(1)), ["run 3"]);
}

#[test]
fn a_newcomer_that_cancels_waits_until_who_is_in_progress_has_stopped() {
    let mut server = Server::plain();
    server.queue.run_queued(QueuedRun { concurrency: group("g"), ..server.run(1) });
    server.go();
    server.queue.run_queued(QueuedRun { concurrency: cancelling("g"), ..server.run(2) });
    assert_eq!(server.go(), ["cancel run 1: a higher priority waiting request for 'g' exists"]);
    assert_eq!(server.go(), [""; 0], "it is told once");
    assert_eq!(server.end(RunId(1)), ["run 2"]);
}

#[test]
fn a_newcomer_that_cancels_takes_the_place_of_who_has_the_group_and_has_not_started() {
    let mut server = Server::plain();
    server.queue.run_queued(QueuedRun { concurrency: group("g"), ..server.run(1) });
    server.queue.run_queued(QueuedRun { concurrency: cancelling("g"), ..server.run(2) });
    assert_eq!(server.go(), ["cancel run 1: a higher priority waiting request for 'g' exists", "run 2"]);
}

#[test]
fn with_queue_max_a_hundred_wait_in_their_order_and_the_next_is_cancelled() {
    let mut server = Server::plain();
    for id in 1..=102 {
        server.queue.run_queued(QueuedRun { concurrency: keeping("line"), ..server.run(id) });
    }
    assert_eq!(server.go(), ["cancel run 102: too many wait for concurrency group 'line' already", "run 1"]);
    assert_eq!(
        server.why(RunId(4)),
        "its concurrency group `line` is held by run 1, and 2 more wait before it"
    );
    for id in 1..=100 {
        assert_eq!(server.end(RunId(id)), [format!("run {}", id + 1)]);
    }
}

#[test]
fn jobs_of_different_runs_and_a_run_share_a_group_of_their_repository() {
    let mut server = Server::plain();
    server.queue.job_queued(QueuedJob { concurrency: group("prod"), run: RunId(1), ..server.job(1) });
    server.queue.job_queued(QueuedJob { concurrency: keeping("prod"), run: RunId(2), ..server.job(2) });
    server.queue.run_queued(QueuedRun { concurrency: keeping("prod"), ..server.run(3) });
    assert_eq!(server.go(), ["job 1 on ubuntu-latest"]);
    assert_eq!(server.end(JobId(1)), ["job 2 on ubuntu-latest"]);
    assert_eq!(server.end(JobId(2)), ["run 3"]);
}

#[test]
fn another_repository_has_groups_of_its_own() {
    let mut server = Server::plain();
    server.queue.run_queued(QueuedRun { concurrency: group("g"), ..server.run(1) });
    server.queue.run_queued(QueuedRun {
        concurrency: group("g"),
        repository: RepositoryId(2),
        ..server.run(2)
    });
    assert_eq!(server.go(), ["run 1", "run 2"]);
}

#[test]
fn who_is_cancelled_while_it_waits_gives_its_place_in_the_line_away() {
    let mut server = Server::plain();
    for id in 1..=3 {
        server.queue.run_queued(QueuedRun { concurrency: keeping("g"), ..server.run(id) });
    }
    server.go();
    server.queue.cancel(RunId(2), "by ada");
    assert_eq!(server.go(), ["cancel run 2: by ada"]);
    assert_eq!(server.end(RunId(1)), ["run 3"]);
}

#[test]
fn a_run_that_waits_for_approval_is_in_no_group_yet() {
    let mut server = Server::plain();
    server.queue.run_queued(QueuedRun {
        concurrency: group("g"),
        asked_at: Some(server.at),
        ..server.run(1)
    });
    server.queue.run_queued(QueuedRun { concurrency: group("g"), ..server.run(2) });
    assert_eq!(server.go(), ["run 2"]);
    server.queue.approved(RunId(1), server.at);
    assert_eq!(server.why(RunId(1)), "its concurrency group `g` is held by run 2");
    assert_eq!(server.end(RunId(2)), ["run 1"]);
}

#[test]
fn who_is_cancelled_in_the_line_is_not_next_even_if_nobody_has_told_it_yet() {
    let mut server = Server::plain();
    for id in 1..=3 {
        server.queue.run_queued(QueuedRun { concurrency: keeping("g"), ..server.run(id) });
    }
    server.go();
    server.queue.cancel(RunId(2), "by ada");
    assert_eq!(server.end(RunId(1)), ["cancel run 2: by ada", "run 3"]);
}

/// A job of run `run` inside of a call.
fn inside(server: &Server, id: u64, run: u64, call: u64, wish: Option<Concurrency>) -> QueuedJob {
    let within = vec![CallClaim { call: JobId(call), groups: wish.into_iter().collect() }];
    QueuedJob { run: RunId(run), within, ..server.job(id) }
}

#[test]
fn a_call_holds_its_group_from_its_first_job_to_its_end() {
    let mut server = Server::plain();
    server.queue.job_queued(inside(&server, 1, 1, 10, group("prod")));
    server.queue.job_queued(inside(&server, 2, 1, 10, group("prod")));
    server.queue.job_queued(inside(&server, 3, 2, 20, group("Prod")));
    server.queue.job_queued(inside(&server, 4, 2, 20, group("Prod")));
    assert_eq!(server.go(), ["job 1 on ubuntu-latest", "job 2 on ubuntu-latest"], "side by side in one call");
    assert_eq!(server.why(JobId(4)), "its concurrency group `Prod` is held by run 1");
    server.end(JobId(1));
    assert_eq!(server.end(JobId(2)), [""; 0], "the call goes on");
    server.queue.job_queued(inside(&server, 5, 1, 10, group("prod")));
    assert_eq!(server.go(), ["job 5 on ubuntu-latest"]);
    server.end(JobId(5));
    server.queue.call_ended(JobId(10));
    assert_eq!(server.go(), ["job 3 on ubuntu-latest", "job 4 on ubuntu-latest"]);
}

#[test]
fn a_newer_call_has_the_jobs_of_the_older_cancelled_also_those_to_come() {
    let mut server = Server::plain();
    server.queue.job_queued(inside(&server, 1, 1, 10, group("prod")));
    server.go();
    server.queue.job_queued(inside(&server, 2, 2, 20, group("prod")));
    server.queue.job_queued(inside(&server, 3, 3, 30, cancelling("prod")));
    let reason = "a higher priority waiting request for 'prod' exists";
    assert_eq!(server.go(), [format!("cancel job 1: {reason}"), format!("cancel job 2: {reason}")]);
    server.end(JobId(1));
    server.queue.job_queued(inside(&server, 4, 1, 10, group("prod")));
    assert_eq!(server.go(), [format!("cancel job 4: {reason}")]);
    server.queue.call_ended(JobId(10));
    assert_eq!(server.go(), ["job 3 on ubuntu-latest"]);
}

#[test]
fn a_job_waits_for_the_calls_around_it_and_then_for_its_own_group() {
    let mut server = Server::plain();
    server.queue.job_queued(inside(&server, 1, 1, 10, group("outer")));
    server.queue.job_queued(QueuedJob { concurrency: group("own"), ..server.job(2) });
    server.go();
    let within = vec![
        CallClaim { call: JobId(20), groups: vec![group("outer").unwrap()] },
        CallClaim { call: JobId(21), groups: vec![group("inner").unwrap()] },
    ];
    let job = QueuedJob { run: RunId(2), within, concurrency: group("own"), ..server.job(3) };
    server.queue.job_queued(job);
    assert_eq!(server.why(JobId(3)), "its concurrency group `outer` is held by run 1");
    server.end(JobId(1));
    server.queue.call_ended(JobId(10));
    assert_eq!(server.why(JobId(3)), "its concurrency group `own` is held by job 2");
    assert_eq!(server.end(JobId(2)), ["job 3 on ubuntu-latest"]);
}

#[test]
fn the_end_of_a_run_frees_the_groups_of_its_calls() {
    let mut server = Server::plain();
    server.queue.job_queued(inside(&server, 1, 1, 10, group("prod")));
    server.queue.job_queued(inside(&server, 2, 2, 20, group("prod")));
    server.go();
    server.queue.ended(JobId(1), server.at);
    assert_eq!(server.end(RunId(1)), ["job 2 on ubuntu-latest"]);
}
