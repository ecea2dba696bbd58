//! Nothing new starts while the server drains or its disk is nearly full.

use model::{JobId, RunId};
use scheduler::queue::{Closed, Limits};

use crate::build::Server;

#[test]
fn while_it_drains_nothing_starts_and_what_is_cancelled_is() {
    let mut server = Server::plain();
    server.queue.run_queued(server.run(1));
    server.go();
    server.queue.limits_changed(Limits { closed: Some(Closed::Draining), ..Limits::default() });
    server.queue.run_queued(server.run(2));
    server.queue.job_queued(server.job(1));
    server.queue.cancel(RunId(1), "by ada");
    assert_eq!(server.go(), ["cancel run 1: by ada"]);
    for why in [server.why(RunId(2)), server.why(JobId(1))] {
        assert_eq!(why, "1. the server starts nothing new: it is being stopped or paused");
    }
}

#[test]
fn a_full_disk_says_so_and_when_it_has_room_again_all_starts() {
    let mut server = Server::plain();
    let closed = Some(Closed::DiskLow("1.2 GiB left, 5 GiB wanted".into()));
    server.queue.limits_changed(Limits { closed, ..Limits::default() });
    server.queue.run_queued(server.run(1));
    assert_eq!(server.go(), [""; 0]);
    assert!(server.why(RunId(1)).ends_with("its disk is nearly full (1.2 GiB left, 5 GiB wanted)"));
    server.queue.limits_changed(Limits::default());
    assert_eq!(server.go(), ["run 1"]);
}
