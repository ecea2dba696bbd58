//! Readers that come late, and stay.

use std::time::Duration;

use store::log::{Follow, Line, PAGE_LINES};
use tokio::time::timeout;

use crate::sample::{JOB, World, many, numbers};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

async fn next(follow: &mut Follow) -> Vec<Line> {
    timeout(LONG, follow.next()).await.expect("in time").expect("read")
}

#[tokio::test]
async fn who_comes_late_sees_all_and_then_what_comes() {
    let world = World::new();
    let mut writer = world.logs.append(JOB).expect("opened");
    let early = u64::try_from(PAGE_LINES).expect("small") + 10;
    writer.write(&many(0..early)).expect("written");
    writer.flush().expect("flushed");
    let mut follow = world.logs.read(JOB).follow(0);
    let mut seen = numbers(&next(&mut follow).await);
    seen.extend(numbers(&next(&mut follow).await));
    assert_eq!(seen, (0..early).collect::<Vec<_>>());

    writer.write(&many(early..early + 3)).expect("written");
    assert!(timeout(Duration::from_millis(20), follow.next()).await.is_err(), "not flushed yet");
    writer.flush().expect("flushed");
    assert_eq!(numbers(&next(&mut follow).await), [early, early + 1, early + 2]);
    writer.finish().expect("finished");
    assert!(next(&mut follow).await.is_empty());
    assert!(next(&mut world.logs.read(JOB).follow(early + 3)).await.is_empty(), "nothing follows");
}

#[tokio::test]
async fn who_comes_early_waits_for_the_first_line() {
    let world = World::new();
    let mut follow = world.logs.read(JOB).follow(0);
    let waiting = tokio::spawn(async move { next(&mut follow).await });
    tokio::task::yield_now().await;
    let mut writer = world.logs.append(JOB).expect("opened");
    writer.write(&many(0..1)).expect("written");
    writer.flush().expect("flushed");
    assert_eq!(numbers(&waiting.await.expect("ended")), [0]);
}

#[tokio::test]
async fn a_follower_stays_over_segments_and_a_second_try() {
    let world = World::new();
    let mut follow = world.logs.read(JOB).follow(5);
    let followed = tokio::spawn(async move {
        let mut seen = Vec::new();
        loop {
            let lines = next(&mut follow).await;
            if lines.is_empty() {
                return seen;
            }
            seen.extend(numbers(&lines));
        }
    });
    for part in 0..2 {
        let mut writer = world.logs.append(JOB).expect("opened");
        for start in (0..20_000).step_by(100) {
            writer.write(&many(start..start + 100)).expect("written");
            writer.flush().expect("flushed");
            tokio::task::yield_now().await;
        }
        if part == 1 {
            writer.finish().expect("finished");
        }
    }
    assert!(world.segments().len() > 3);
    let seen = followed.await.expect("ended");
    let odd = (5..40_000).zip(&seen).find(|(expected, seen)| expected != *seen);
    assert_eq!((odd, seen.len()), (None, 39_995));
}
