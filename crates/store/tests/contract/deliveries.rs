//! Deliveries.

use model::{DeliveryState, RunState, Timestamp};
use serde_json::json;
use store::record::{Expansion, Receipt};
use store::{Change, StoreError};

use crate::sample::{NOON, delivery, facts, later, new_run};
use crate::world::World;

pub(crate) async fn a_delivery_is_kept_once_and_whole(world: &impl World) {
    let store = world.open().await;
    let given = delivery("one");
    let Receipt::New(id) = store.receive(given.clone()).await.expect("received") else { panic!("not new") };
    let (kept, payload) = store.delivery(id).await.expect("read").expect("there");
    assert_eq!(payload, given.payload);
    assert_eq!(
        (&kept.guid, &kept.event, &kept.action, &kept.repository),
        (&given.guid, &given.event, &given.action, &given.repository)
    );
    assert_eq!((kept.state, kept.tries, kept.done_at), (DeliveryState::Received, 0, None));
    assert_eq!((kept.received_at, kept.next_try), (NOON, NOON));

    drop(store);
    let store = world.open().await;
    assert_eq!(store.receive(given).await.expect("received"), Receipt::Known(id, DeliveryState::Received));
    assert_eq!(store.deliveries(None, 10).await.expect("read"), [kept]);
}

pub(crate) async fn a_delivery_sent_again_is_known_and_one_that_failed_is_received_anew(world: &impl World) {
    let store = world.open().await;
    let Receipt::New(id) = store.receive(delivery("one")).await.expect("received") else { panic!("not new") };
    let nothing = Expansion::Ignored("no workflow".to_owned());
    let Receipt::New(other) = store.receive(delivery("two")).await.expect("received") else {
        panic!("not new")
    };
    store.expand(other, nothing, later(1)).await.expect("ignored");
    let known = store.receive(delivery("two")).await.expect("received");
    assert_eq!(known, Receipt::Known(other, DeliveryState::Ignored));

    store.expand(id, Expansion::Failed("no such commit".to_owned()), later(1)).await.expect("failed");
    let failed = store.delivery(id).await.expect("read").expect("there").0;
    assert_eq!((failed.state, failed.done_at), (DeliveryState::Failed, Some(later(1))));
    assert_eq!(failed.reason.as_deref(), Some("no such commit"));
    let mut again = delivery("one");
    again.received_at = later(9);
    assert_eq!(store.receive(again).await.expect("received"), Receipt::Again(id));
    let anew = store.delivery(id).await.expect("read").expect("there").0;
    assert_eq!((anew.state, anew.tries, anew.next_try), (DeliveryState::Received, 0, later(9)));
    assert_eq!((anew.reason, anew.done_at), (None, None));
}

pub(crate) async fn deliveries_are_due_when_their_time_has_come_oldest_first(world: &impl World) {
    let store = world.open().await;
    let mut ids = Vec::new();
    for guid in ["one", "two", "three"] {
        let Receipt::New(id) = store.receive(delivery(guid)).await.expect("received") else { panic!() };
        ids.push(id);
    }
    let later_on = Expansion::Later { reason: "GitHub is down".to_owned(), next_try: later(1000) };
    assert!(store.expand(ids[0], later_on, later(1)).await.expect("put off").is_empty());
    let due = |now| {
        let store = &store;
        async move {
            let due = store.due_deliveries(now, Vec::new(), 10).await.expect("read");
            due.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(due(later(999)).await, ids[1..]);
    assert_eq!(due(later(1000)).await, ids);
    let set_back = Timestamp(NOON.0 - 2 * 60 * 60 * 1000);
    assert_eq!(due(set_back).await, ids, "a clock that is set back holds nothing up");
    assert_eq!(store.due_deliveries(later(1000), Vec::new(), 2).await.expect("read").len(), 2);
    let apart_from = vec!["octo/hello".to_owned()];
    let others = store.due_deliveries(later(1000), apart_from, 2).await.expect("read");
    assert_eq!(others, [], "those of a repository that is worked on");
    let put_off = store.delivery(ids[0]).await.expect("read").expect("there").0;
    assert_eq!((put_off.state, put_off.tries), (DeliveryState::Received, 1));
    assert_eq!(put_off.reason.as_deref(), Some("GitHub is down"));
    let page = store.deliveries(Some(ids[2]), 1).await.expect("read");
    assert_eq!(page.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), [ids[1]]);
}

pub(crate) async fn what_came_of_a_delivery_is_written_with_its_runs_or_not_at_all(world: &impl World) {
    let store = world.open().await;
    let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let Receipt::New(id) = store.receive(delivery("one")).await.expect("received") else { panic!() };
    let mut impossible = new_run(repository);
    impossible.state = RunState::Running;
    let half = Expansion::Runs(vec![new_run(repository), impossible]);
    let refused = store.expand(id, half, later(1)).await.expect_err("a run can't begin as a running one");
    assert!(matches!(refused, StoreError::Illegal { .. }), "{refused}");
    assert!(store.unfinished_runs().await.expect("read").is_empty());
    assert_eq!(store.due_deliveries(NOON, Vec::new(), 10).await.expect("read").len(), 1);

    let two = Expansion::Runs(vec![new_run(repository), new_run(repository)]);
    let made = store.expand(id, two, later(2)).await.expect("expanded");
    assert_eq!(store.unfinished_runs().await.expect("read"), made);
    assert_eq!(made.iter().map(|run| run.id.0).collect::<Vec<_>>(), [1, 2]);
    assert!(made.iter().all(|run| run.delivery == Some(id) && run.created_at == later(2)));
    let done = store.delivery(id).await.expect("read").expect("there").0;
    assert_eq!((done.state, done.done_at), (DeliveryState::Expanded, Some(later(2))));
}

pub(crate) async fn a_delivery_that_is_not_received_any_more_makes_no_run(world: &impl World) {
    let store = world.open().await;
    let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let Receipt::New(id) = store.receive(delivery("one")).await.expect("received") else { panic!() };
    store.expand(id, Expansion::Runs(vec![new_run(repository)]), later(1)).await.expect("expanded");
    let again = store.expand(id, Expansion::Runs(vec![new_run(repository)]), later(2)).await;
    let refused = again.expect_err("it was expanded").to_string();
    assert_eq!(refused, format!("delivery {id} can't become expanded: it is expanded"));
    assert_eq!(store.unfinished_runs().await.expect("read").len(), 1);
}

pub(crate) async fn deliveries_are_known_by_the_names_that_the_forge_gave_them(world: &impl World) {
    let store = world.open().await;
    for guid in ["one", "two"] {
        store.receive(delivery(guid)).await.expect("received");
    }
    let asked = ["two", "three", "one", "One"].map(str::to_owned).to_vec();
    let known = store.known_deliveries(asked).await.expect("read");
    assert_eq!(known, ["one", "two"].map(str::to_owned).into());
    assert!(store.known_deliveries(Vec::new()).await.expect("read").is_empty());
}

pub(crate) async fn a_wish_is_fulfilled_once_with_what_is_written_beside_it(world: &impl World) {
    let store = world.open().await;
    let Receipt::New(delivery) = store.receive(delivery("one")).await.expect("received") else { panic!() };
    let wish = |value: u64| {
        let fulfilled = Change::Fulfilled { delivery, reason: "run 1 runs again".to_owned(), at: later(1) };
        vec![Change::Setting { key: "wish".to_owned(), value: json!(value) }, fulfilled]
    };
    store.apply(wish(1)).await.expect("fulfilled");
    let done = store.delivery(delivery).await.expect("read").expect("there").0;
    assert_eq!((done.state, done.done_at), (DeliveryState::Expanded, Some(later(1))));
    assert_eq!(done.reason.as_deref(), Some("run 1 runs again"));
    assert!(matches!(store.apply(wish(2)).await, Err(StoreError::Illegal { .. })));
    assert_eq!(store.setting("wish").await.expect("read"), Some(json!(1)));
}
