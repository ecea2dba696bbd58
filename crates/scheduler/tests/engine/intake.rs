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
    push_to("slow", 2, sha)
}

fn push_to(name: &str, id: u64, sha: &str) -> Json {
    let mut payload = push(sha);
    payload["repository"]["id"] = id.into();
    payload["repository"]["name"] = name.into();
    payload["repository"]["full_name"] = format!("octo/{name}").into();
    payload
}

/// Has whoever fetches `octo/{name}` wait, as for a server that does not answer, until the file is unlocked.
fn hold_up(place: &Place, name: &str) -> File {
    let mirrors = place.data().join("mirrors/octo");
    std::fs::create_dir_all(&mirrors).expect("made");
    let lock = File::create(mirrors.join(format!("{name}.lock"))).expect("made");
    lock.lock().expect("locked");
    lock
}

#[tokio::test]
async fn a_repository_that_is_slow_to_fetch_holds_up_no_other_and_keeps_its_order() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    place.copy("slow");
    let house = place.house().await;
    let lock = hold_up(&place, "slow");
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

#[tokio::test]
async fn repositories_that_hang_hold_up_no_other_though_they_fill_all_places() {
    /// As many as are begun at once.
    const PLACES: u64 = 8;
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    let slow: Vec<String> = (1..=PLACES).map(|number| format!("slow-{number}")).collect();
    let locks: Vec<File> = slow.iter().map(|name| hold_up(&place, name)).collect();
    for (id, name) in (10..).zip(&slow) {
        place.copy(name);
        house.deliver(name, "push", &push_to(name, id, &sha)).await;
    }
    house.deliver("quick", "push", &push(&sha)).await;
    assert_eq!(house.ended(1).await.delivery, Some(DeliveryId(PLACES + 1)), "the other one's");
    drop(locks);
    for run in 2..=PLACES + 1 {
        house.ended(run).await;
    }
}
