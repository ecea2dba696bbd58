//! Who hears of what.

use std::sync::Arc;

use model::Conclusion;
use store::Change;
use store::record::{Expansion, Receipt, Scope};
use tokio::sync::broadcast::error::TryRecvError;

use crate::sample::{NOON, delivery, facts, later, new_run, queued_run, run_ended, start};
use crate::world::World;

pub(crate) async fn subscribers_hear_each_transaction_together_and_only_what_is_durable(world: &impl World) {
    let store = world.open().await;
    let before = queued_run(&*store).await.id;
    let mut changes = store.subscribe();
    let Receipt::New(id) = store.receive(delivery("one")).await.expect("received") else { panic!() };
    let repository = store.repository_seen(facts("octo/hello"), NOON).await.expect("seen");
    let two = Expansion::Runs(vec![new_run(repository), new_run(repository)]);
    let runs = store.expand(id, two, NOON).await.expect("expanded");
    store.apply(vec![run_ended(before, Conclusion::Success); 2]).await.expect_err("it ends once");
    start(&*store, before).await;
    let end = vec![
        Change::Setting { key: "k".to_owned(), value: 1.into() },
        run_ended(before, Conclusion::Success),
    ];
    store.apply(end.clone()).await.expect("ended");

    let made = runs.into_iter().map(|run| Change::RunCreated(Box::new(run))).collect::<Vec<_>>();
    assert_eq!(changes.recv().await.expect("told"), Arc::new(made));
    assert!(matches!(changes.recv().await.expect("told")[..], [Change::RunStarted { .. }]));
    assert_eq!(changes.recv().await.expect("told"), Arc::new(end));
    assert_eq!(changes.try_recv(), Err(TryRecvError::Empty));
}

pub(crate) async fn the_sealed_value_of_a_secret_is_not_told(world: &impl World) {
    let store = world.open().await;
    let mut changes = store.subscribe();
    let scope = Scope::Organisation("octo".to_owned());
    let set =
        |sealed| Change::SecretSet { scope: scope.clone(), name: "KEY".to_owned(), sealed, at: later(1) };
    store.apply(vec![set(vec![1, 2, 3])]).await.expect("set");
    assert_eq!(changes.recv().await.expect("told"), Arc::new(vec![set(Vec::new())]));
    assert_eq!(store.secrets(&scope).await.expect("read")[0].sealed, [1, 2, 3]);
}
