//! The machine API beside the other.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use machine::Driver;
use machine::fake::FakeDriver;
use server::machines::token::{Caller, Key};
use server::machines::{Config, Machines};

use crate::fixture::World;

#[tokio::test]
async fn machines_are_served_beside_runs_each_with_tokens_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let driver: Arc<dyn Driver> = Arc::new(FakeDriver::new(folder.path()));
    let key = Key::new(&[7; 32]).unwrap();
    let (machines, _) = Machines::open(key.clone(), Config::new(folder.path()), driver).await.unwrap();
    let world = World::start_with(|parts| parts.machines = Some(machines.clone())).await;
    let caller = Caller { subject: "ann".to_owned(), tier: "default".to_owned() };
    let jwt = key.mint(&caller, 4_102_444_800);
    let status = async |client: crate::fixture::Client, path: &str| {
        client.open(Method::GET, path, Body::empty()).await.status().as_u16()
    };
    let ann = world.nobody().and("authorization", &format!("Bearer {jwt}"));
    assert_eq!(status(ann.clone(), "/api/vms").await, 200);
    assert_eq!(status(ann, "/api/v1/runs").await, 401);
    let admin = world.with(server::auth::Role::Admin).await;
    assert_eq!(status(admin.clone(), "/api/vms").await, 401);
    assert_eq!(status(admin, "/api/v1/runs").await, 200);
    assert_eq!(status(world.nobody(), "/health").await, 200);
    assert_eq!(machines.shut_down().await, Vec::<String>::new());
}
