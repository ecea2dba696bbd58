//! Deliveries, all of them and one.

use axum::http::StatusCode;
use model::DeliveryId;
use server::auth::Role;
use store::record::{Expansion, NewDelivery, Receipt};

use crate::Browser;
use crate::world::{HOSTILE, World};

async fn received(world: &World, guid: &str) -> DeliveryId {
    let delivery = NewDelivery {
        guid: guid.to_owned(),
        event: HOSTILE.to_owned(),
        action: Some("opened".to_owned()),
        repository: Some("octo/hello".to_owned()),
        payload: b"{\"n\": 1}".to_vec(),
        received_at: world.ago(60),
    };
    match world.store.receive(delivery).await.expect("received") {
        Receipt::New(id) | Receipt::Again(id) | Receipt::Known(id, _) => id,
    }
}

#[tokio::test]
async fn a_delivery_has_a_page_that_says_what_came_of_it_and_its_runs_lead_there() {
    let world = World::new().await;
    let repository = world.repository("octo/hello").await;
    let (first, second) = (received(&world, "first").await, received(&world, HOSTILE).await);
    let run = world.run(repository, 50, |run| run.title = "Made by the clock".to_owned()).await;
    let own = store::record::NewRun { title: "Made by it".to_owned(), ..run.what };
    let runs = world.store.expand(first, Expansion::Runs(vec![own]), world.ago(50)).await.expect("expanded");
    let why = Expansion::Failed(format!("{HOSTILE} is gone"));
    world.store.expand(second, why, world.ago(50)).await.expect("expanded");

    let operator = Browser::signed_in(&world, Role::Operate).await;
    let list = operator.get("/deliveries").await.text;
    assert!(list.contains(&format!("href=\"/deliveries/{first}\"")), "{list}");
    let page = operator.get(&format!("/deliveries/{first}")).await.text;
    assert!(page.contains("Made by it") && !page.contains("Made by the clock"), "{page}");
    assert!(page.contains("Start again") && page.contains("first"), "{page}");
    let body = format!("/api/v1/deliveries/{second}");
    let run = operator.get(&format!("/runs/{}", runs[0].id)).await.text;
    assert!(run.contains(&format!("href=\"/deliveries/{first}\"")), "{run}");

    let page = operator.get(&format!("/deliveries/{second}")).await.text;
    assert!(page.contains(" is gone") && page.contains("Try again") && !page.contains(HOSTILE), "{page}");
    assert!(page.contains(&body), "{page}");
    let reader = Browser::signed_in(&world, Role::Read).await;
    let page = reader.get(&format!("/deliveries/{second}")).await.text;
    assert!(page.contains(" is gone") && !page.contains("Try again"), "{page}");
    assert!(!page.contains(&body), "the API refuses readers: {page}");
    for nothing in ["/deliveries/99", "/deliveries/18446744073709551615", "/deliveries/x"] {
        assert_eq!(reader.get(nothing).await.status, StatusCode::NOT_FOUND, "{nothing}");
    }

    let csrf = operator.csrf().await;
    let answer = operator.post(&format!("/deliveries/{first}/again"), &csrf).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/deliveries/3"));
}
