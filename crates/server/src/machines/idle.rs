//! Ends machines that nobody uses: one that was forgotten takes its owner's place, and the host's memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Service;
use super::registry::Vm;

impl Service {
    /// Deletes a machine once it has been without a session for so long.
    pub(super) async fn end_when_unused(self: Arc<Self>, vm: Arc<Vm>, idle: Duration) {
        let unused = tokio::select! {
            () = vm.ended.cancelled() => false,
            () = unused(&vm, idle) => true,
        };
        if unused {
            // Nobody waits for it; what is not ended is removed by the next start.
            drop(self.delete(vm).await);
        }
    }
}

/// Waits until nobody has used the machine for so long.
async fn unused(vm: &Vm, idle: Duration) {
    loop {
        // One that is in use has at least all of the time before it.
        let left = vm.unused_for().map_or(idle, |unused| idle.saturating_sub(unused));
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};
    use tokio_util::sync::CancellationToken;

    use super::*;

    const IDLE: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn the_time_without_a_session_counts_from_the_end_of_the_last_one() {
        let ended = CancellationToken::new();
        let vm = Arc::new(Vm::new("vm-1".to_owned(), "mona".to_owned(), None, "small".to_owned(), ended));
        let begun = Instant::now();
        let watched = Arc::clone(&vm);
        let watch = tokio::spawn(async move {
            unused(&watched, IDLE).await;
            Instant::now()
        });
        advance(IDLE / 2).await;
        vm.enter();
        advance(IDLE * 3).await;
        vm.leave();
        assert!(!watch.is_finished(), "it was in use");
        let end = watch.await.unwrap() - begun;
        let due = IDLE / 2 + IDLE * 3 + IDLE;
        assert!(end >= due && end < due + Duration::from_secs(1), "{end:?}");
    }
}
