//! The queue can always say why.

use std::collections::BTreeSet;

use model::{JobId, RepositoryId};
use scheduler::queue::{Limits, QueuedJob};
use scheduler::waits;

use crate::build::{Server, machines, ubuntu};

#[test]
fn places_are_those_in_which_jobs_really_start() {
    let mut server = Server::new(Limits::default(), vec![machines(ubuntu(), 1)]);
    for id in 1..=12 {
        let repository = RepositoryId(id % 3);
        server.queue.job_queued(QueuedJob { repository, priority: (id % 2) as i32, ..server.job(id) });
    }
    server.go();
    let mut foreseen: Vec<_> =
        waits(&server.queue, server.at).into_iter().map(|wait| (wait.place.unwrap(), wait.subject)).collect();
    foreseen.sort();
    let places: Vec<usize> = foreseen.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (1..=11).collect::<Vec<_>>());
    let subjects: BTreeSet<_> = foreseen.iter().map(|(_, subject)| *subject).collect();
    assert_eq!(subjects.len(), 11);
    // No time passes, so nothing is used and nobody overtakes.
    let next = foreseen[0].1;
    let running = (1..=12).map(JobId).find(|job| !subjects.contains(&(*job).into())).unwrap();
    assert_eq!(server.end(running), [format!("{next} on ubuntu-latest")]);
}

#[test]
fn who_is_about_to_start_is_said_to_be() {
    let server = {
        let mut server = Server::plain();
        server.queue.job_queued(server.job(1));
        server
    };
    assert_eq!(server.why(JobId(1)), "1. about to start");
}
