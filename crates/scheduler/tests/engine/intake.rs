//! Deliveries of many repositories at once.

use std::fs::File;

use model::DeliveryId;
use serde_json::Value as Json;

use crate::house::{Place, push};

const FLOW: &str = "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";

/// More than are looked at together.
const MANY: u64 = 70;

/// A push to the repository `octo/slow`.
fn push_to_slow(sha: &str) -> Json {
    let mut payload = push(sha);
    payload["repository"]["id"] = 2.into();
    payload["repository"]["name"] = "slow".into();
    payload["repository"]["full_name"] = "octo/slow".into();
    payload
}

#[tokio::test]
async fn a_repository_that_is_slow_to_fetch_holds_up_no_other_and_keeps_its_order() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    place.copy("slow");
    let house = place.house().await;
    // Whoever fetches it waits, as for a server that does not answer.
    let mirrors = place.data().join("mirrors/octo");
    std::fs::create_dir_all(&mirrors).expect("made");
    let lock = File::create(mirrors.join("slow.lock")).expect("made");
    lock.lock().expect("locked");
    for number in 1..=MANY {
        house.deliver(&format!("d-{number}"), "push", &push_to_slow(&sha)).await;
    }
    house.deliver("quick", "push", &push(&sha)).await;
    assert_eq!(house.ended(1).await.delivery, Some(DeliveryId(MANY + 1)), "the other one's");
    lock.unlock().expect("unlocked");
    for run in 2..=4 {
        assert_eq!(house.ended(run).await.delivery, Some(DeliveryId(run - 1)));
    }
}
