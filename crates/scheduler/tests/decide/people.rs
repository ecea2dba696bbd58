//! How long people have to let runs and jobs go on.

use std::time::Duration;

use model::{JobId, RunId, Timestamp};
use scheduler::queue::{Closed, Hold, Key, Limits, QueuedJob, QueuedRun, Subject};

use crate::build::{Server, production, ubuntu};

const THIRTY_DAYS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const RUN_GIVEN_UP: &str = "cancel run 1: nobody has approved it within 30 days";

const JOB_GIVEN_UP: &str = "refuse job 1: nobody has let it into production within 30 days";

/// A server whose run 1 waits for approval.
fn a_run_waits(server: &mut Server) -> Subject {
    server.queue.run_queued(QueuedRun { asked_at: Some(server.at), ..server.run(1) });
    RunId(1).into()
}

/// A server whose job 1 waits for somebody's word.
fn a_job_waits(server: &mut Server) -> Subject {
    server.queue.job_queued(QueuedJob { hold: word(server.at), ..server.job(1) });
    JobId(1).into()
}

fn word(asked_at: Timestamp) -> Option<Hold> {
    Some(Hold { environment: "production".to_owned(), key: Key::Word { asked_at } })
}

/// Somebody begins to wait for people, and what is said when they have not answered.
type Begin = fn(&mut Server) -> Subject;
const BOTH: [(Begin, &str); 2] = [(a_run_waits, RUN_GIVEN_UP), (a_job_waits, JOB_GIVEN_UP)];

#[test]
fn who_waits_for_people_is_given_up_after_thirty_days_and_no_millisecond_sooner() {
    for (begin, given_up) in BOTH {
        let mut server = Server::plain();
        let subject = begin(&mut server);
        let end = server.at.after(THIRTY_DAYS);
        assert_eq!((server.go(), server.queue.wakes_at(server.at)), (Vec::new(), Some(end)));
        server.at = Timestamp(end.0 - 1);
        assert_eq!(server.go(), [""; 0]);
        server.at = end;
        assert_eq!(server.go(), [given_up]);
        assert_eq!(server.why(subject), "does not wait");
        assert_eq!(server.queue.wakes_at(Timestamp(0)), None);
    }
}

#[test]
fn who_is_let_go_on_or_cancelled_in_time_is_not_given_up() {
    for (begin, _) in BOTH {
        let mut server =
            Server::new(Limits { running_workflows: 0, jobs: Some(0), ..Limits::default() }, vec![ubuntu()]);
        let subject = begin(&mut server);
        server.queue.approved(subject, server.at);
        server.pass(THIRTY_DAYS);
        assert_eq!((server.go(), server.queue.wakes_at(Timestamp(0))), (Vec::new(), None));

        let mut server = Server::plain();
        let subject = begin(&mut server);
        server.queue.cancel(subject, "by ada");
        server.pass(THIRTY_DAYS);
        assert_eq!(server.go(), [format!("cancel {subject}: by ada")]);
    }
}

#[test]
fn who_was_asked_about_before_the_clock_was_set_back_has_thirty_days_by_this_clock() {
    for (begin, given_up) in BOTH {
        let mut server = Server { at: Timestamp(1_800_000_000_000), ..Server::plain() };
        let subject = begin(&mut server);
        server.at = Timestamp(server.at.0 - 1);
        assert_eq!(server.go(), [format!("let {subject} wait anew")]);
        server.at = server.at.after(THIRTY_DAYS - Duration::from_millis(1));
        assert_eq!(server.go(), [""; 0]);
        server.pass(Duration::from_millis(1));
        assert_eq!(server.go(), [given_up]);
    }
}

#[test]
fn a_wait_for_time_as_long_as_people_have_counts_for_nobody() {
    let mut server = Server::plain();
    let until = server.at.after(THIRTY_DAYS);
    server.queue.job_queued(QueuedJob { hold: production(Some(until)), ..server.job(1) });
    server.at = until;
    // What the driver says where the rules ask for somebody's word by now.
    server.queue.held(JobId(1), word(server.at).expect("a hold"));
    assert_eq!(server.go(), [""; 0], "they have thirty days from now on");
    server.at = Timestamp(until.after(THIRTY_DAYS).0 - 1);
    assert_eq!(server.go(), [""; 0]);
    // And where they let it in at last, time alone keeps it out.
    let until = server.at.after(THIRTY_DAYS);
    server.queue.held(JobId(1), production(Some(until)).expect("a hold"));
    server.at = Timestamp(until.0 - 1);
    assert_eq!(server.go(), [""; 0]);
    server.at = until;
    assert_eq!(server.go(), ["let job 1 in", "job 1 on ubuntu-latest"]);
}

#[test]
fn who_waits_for_people_is_given_up_also_while_nothing_new_starts() {
    let closed = Limits { closed: Some(Closed::Draining), ..Limits::default() };
    let mut server = Server::new(closed, vec![ubuntu()]);
    a_run_waits(&mut server);
    server.pass(THIRTY_DAYS);
    assert_eq!(server.go(), [RUN_GIVEN_UP]);
}
