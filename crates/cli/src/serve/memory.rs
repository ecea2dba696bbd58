//! Gives memory that was freed back to the system.
//!
//! A webhook of 25 MB is many times that while it is worked out, in pieces of some bytes, and the allocator keeps what
//! it gets back: it returns by itself only what lies at the end of its first arena.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often: soon after the work. It takes next to nothing where nothing was freed, and a tenth of a second for a gigabyte.
const EVERY: Duration = Duration::from_secs(10);

/// Works until `stop`.
pub(super) async fn give_back(stop: CancellationToken) {
    let give = async {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            // It can't panic, and nothing hangs on it.
            let _ = tokio::task::spawn_blocking(trim).await;
        }
    };
    stop.run_until_cancelled(give).await;
}

/// Returns free pages of all arenas. <https://man7.org/linux/man-pages/man3/malloc_trim.3.html>
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no safe call for it")]
fn trim() {
    // SAFETY: it takes no pointer, and any thread may call it at any time.
    unsafe { nix::libc::malloc_trim(0) };
}

/// Other C libraries have nothing like it.
#[cfg(not(target_env = "gnu"))]
fn trim() {}
