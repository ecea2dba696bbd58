//! Scheduled workflows.

use model::{Conclusion, RunId, Timestamp};
use scheduler::clock::Clock;

use crate::house::{Place, push};

const FLOW: &str = "\
on:
  push:
  schedule: [{cron: '*/10 * * * *'}]
jobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}
";

const MINUTE: u64 = 60_000;

/// Three minutes after a moment at which the schedule is due.
const BEGUN: Timestamp = Timestamp(1_800_000_000_000 - 1_800_000_000_000 % (10 * MINUTE) + 3 * MINUTE);

fn later(minutes: u64) -> Timestamp {
    Timestamp(BEGUN.0 + minutes * MINUTE)
}

#[tokio::test]
async fn a_schedule_of_the_default_branch_starts_its_workflow_once_each_time_even_across_a_crash() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    let clock = || Clock::new(house.store.clone(), house.origin.clone(), house.dispatcher.clone());
    let mut first = clock();
    for minutes in [0, 1, 6] {
        first.look(later(minutes)).await.expect("looked");
    }
    assert_eq!(house.store.run(RunId(2)).await.expect("read"), None, "it was not due");
    first.look(later(8)).await.expect("looked");
    let run = house.ended(2).await;
    assert_eq!((run.what.event.as_str(), run.conclusion), ("schedule", Some(Conclusion::Success)));
    assert_eq!((run.what.reference.as_str(), run.what.sha), ("refs/heads/main", sha));
    first.look(later(9)).await.expect("looked");
    // Another life of the server looks a moment later, and one after a long night once.
    clock().look(later(10)).await.expect("looked");
    assert_eq!(house.store.run(RunId(3)).await.expect("read"), None, "it fired twice");
    clock().look(later(600)).await.expect("looked");
    house.ended(3).await;
    assert_eq!(house.store.run(RunId(4)).await.expect("read"), None, "what was missed fires once");
}

#[tokio::test]
async fn a_schedule_that_was_taken_out_starts_nothing() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    let mut clock = Clock::new(house.store.clone(), house.origin.clone(), house.dispatcher.clone());
    clock.look(later(0)).await.expect("looked");
    let sha =
        place.commit(".github/workflows/ci.yml", &FLOW.replace("  schedule: [{cron: '*/10 * * * *'}]\n", ""));
    house.deliver("d-2", "push", &push(&sha)).await;
    house.ended(2).await;
    clock.look(later(8)).await.expect("looked");
    assert_eq!(house.store.run(RunId(3)).await.expect("read"), None);
}

#[tokio::test]
async fn the_same_expression_in_another_time_zone_is_another_schedule() {
    let flow = |entry: &str| {
        format!(
            "on: {{push: {{branches: [none]}}, schedule: [{entry}]}}\n\
             jobs: {{a: {{runs-on: ubuntu-latest, steps: [{{run: x}}]}}}}\n"
        )
    };
    let place = Place::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n");
    // Two hours apart, all the year.
    place.commit(".github/workflows/utc.yml", &flow("{cron: '30 5 * * *'}"));
    let sha = place.commit(
        ".github/workflows/harare.yml",
        &flow("{cron: '30 5 * * *', timezone: Africa/Harare}, {cron: '30 5 * * *', timezone: Asia/Tokyo}"),
    );
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    let mut clock = Clock::new(house.store.clone(), house.origin.clone(), house.dispatcher.clone());
    // Midnight of a day.
    let midnight = Timestamp(1_800_000_000_000 - 1_800_000_000_000 % (24 * 60 * MINUTE));
    let at = |hour: u64, minute: u64| Timestamp(midnight.0 + (60 * hour + minute) * MINUTE);
    clock.look(at(2, 0)).await.expect("looked");
    clock.look(at(3, 31)).await.expect("looked");
    assert_eq!(house.ended(2).await.what.workflow_path, ".github/workflows/harare.yml");
    assert_eq!(house.store.run(RunId(3)).await.expect("read"), None, "half past five in UTC is not yet");
    clock.look(at(5, 31)).await.expect("looked");
    assert_eq!(house.ended(3).await.what.workflow_path, ".github/workflows/utc.yml");
    assert_eq!(house.store.run(RunId(4)).await.expect("read"), None);
}
