//! Processes that are played instead of started, for tests.

use std::time::Duration;

use super::Script;
use super::exec::Events;
use crate::client::{ExecEvent, ExecSpec, ExitStatus, TtySize};
use crate::wire::exec_response::Event;
use crate::wire::{ExecResponse, ExecStart, Exited, Started, TimedOut, exited};

/// Asks the script for its play of a process.
pub(super) fn play(script: &dyn Script, start: &ExecStart) -> Option<Vec<ExecEvent>> {
    let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    script.play(&ExecSpec {
        argv: start.argv.clone(),
        cwd: start.cwd.clone(),
        env: start.env.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect(),
        user: start.user.clone(),
        stdin: start.stdin.clone(),
        stdin_open: false,
        tty: start.tty.as_ref().map(|size| TtySize { rows: cells(size.rows), columns: cells(size.columns) }),
        timeout: (start.timeout_millis > 0).then(|| Duration::from_millis(start.timeout_millis)),
        files: Vec::new(),
        report: start.report.clone(),
    })
}

/// Tells a play's events; without an end it goes on until the caller leaves.
pub(super) async fn perform(played: Vec<ExecEvent>, events: Events) {
    // No real process has number 0: signals to it go nowhere.
    let mut all = vec![Event::Started(Started { exec: 0 })];
    all.extend(played.into_iter().map(to_wire));
    let ends = matches!(all.last(), Some(Event::Exited(_)));
    for event in all {
        if events.send(Ok(ExecResponse { event: Some(event) })).await.is_err() {
            return;
        }
    }
    if !ends {
        events.closed().await;
    }
}

fn to_wire(event: ExecEvent) -> Event {
    match event {
        ExecEvent::Stdout(data) => Event::Stdout(data),
        ExecEvent::Stderr(data) => Event::Stderr(data),
        ExecEvent::Exited(status) => {
            let status = match status {
                ExitStatus::Code(code) => exited::Status::Code(code),
                ExitStatus::Signal(signal) => exited::Status::Signal(signal),
                ExitStatus::TimedOut => exited::Status::TimedOut(TimedOut {}),
            };
            Event::Exited(Exited { status: Some(status), sizes: Vec::new(), out_of_memory: false })
        }
    }
}
