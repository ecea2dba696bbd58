//! Machines: started, seen, ended.

use std::sync::Arc;
use std::time::Duration;

use machine::firecracker::{FirecrackerDriver, Options};
use machine::network::NetworkPolicy;
use machine::qemu::QemuDriver;
use machine::{Driver, Network};
use serde_json::json;
use server::machines::{Bounds, Config, Machines, StartError, VmType};
use tokio::sync::Notify;

use crate::fixture::{Server, key, until};

#[tokio::test]
async fn the_server_is_healthy_without_a_token() {
    let server = Server::start().await;
    let answer = server.bearer("nothing").get("/health").await.ok(200);
    assert_eq!(answer.json(), json!({"status": "ok"}));
}

#[tokio::test]
async fn a_machine_is_started_shown_listed_and_deleted() {
    let server = Server::start().await;
    let ann = server.ann();
    let body = json!({"vm_type": "bionic-test", "vm_name": "build"});
    let started = ann.post("/api/vms", body).await.ok(201).json();
    let id = started["id"].as_str().unwrap();
    assert_eq!(started["status"], "running");
    let shown = ann.get(&format!("/api/vms/{id}")).await.ok(200).json();
    assert_eq!((&shown["name"], &shown["vm_type"]), (&json!("build"), &json!("bionic-test")));
    let listed = ann.get("/api/vms").await.ok(200).json();
    assert_eq!(listed["vms"], json!([shown]));
    assert_eq!(server.driver.alive(), 1);
    let deleted = ann.delete(&format!("/api/vms/{id}")).await.ok(200).json();
    assert_eq!(deleted, json!({"id": id, "status": "deleted"}));
    assert_eq!(server.driver.alive(), 0, "it is gone when the answer comes");
    assert!(ann.delete(&format!("/api/vms/{id}")).await.refused(404).contains(id));
    assert_eq!(ann.get("/api/vms").await.json(), json!({"vms": []}));
}

#[tokio::test]
async fn nobody_sees_or_reaches_a_machine_of_somebody_else() {
    let server = Server::start().await;
    let (ann, bob) = (server.ann(), server.client("bob", "default"));
    let id = ann.vm().await;
    assert_eq!(bob.get("/api/vms").await.json(), json!({"vms": []}));
    let unknown = bob.get("/api/vms/vm-0").await.refused(404).replace("vm-0", &id);
    assert_eq!(bob.get(&format!("/api/vms/{id}")).await.refused(404), unknown);
    bob.delete(&format!("/api/vms/{id}")).await.refused(404);
    bob.get(&format!("/api/vms/{id}/logs")).await.refused(404);
    bob.post(&format!("/api/vms/{id}/exec"), json!({"argv": ["true"]})).await.refused(404);
    bob.post("/api/llm/execute", json!({"language": "sh", "code": "", "vm_id": id})).await.refused(404);
    bob.get(&format!("/api/vms/{id}/files?path=x")).await.refused(404);
    bob.put(&format!("/api/vms/{id}/files?path=x"), "x").await.refused(404);
    bob.get(&format!("/api/vms/{id}/archive?path=.")).await.refused(404);
    bob.put(&format!("/api/vms/{id}/archive?path=."), "x").await.refused(404);
    bob.post(&format!("/api/vms/{id}/snapshots"), json!({})).await.refused(404);
    bob.get(&format!("/api/vms/{id}/snapshots")).await.refused(404);
    bob.delete(&format!("/api/vms/{id}/snapshots/api-0")).await.refused(404);
    bob.post(&format!("/api/vms/{id}/rollback/api-0"), json!({})).await.refused(404);
    let refused = bob.client.upgrade(&format!("/api/vms/{id}/shell")).await.unwrap_err();
    assert!(refused.to_string().contains("you have no machine"), "{refused}");
    assert_eq!(server.driver.alive(), 1);
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_goes_on_and_commands_wait_for_it() {
    let gate = Arc::new(Notify::new());
    let server = Server::start_with(|_, driver| driver.hold_starts(Arc::clone(&gate))).await;
    let ann = server.ann();
    let started = ann.post("/api/vms", json!({"wait": false})).await.ok(202).json();
    let id = started["id"].as_str().unwrap().to_owned();
    assert_eq!(started["status"], "starting");
    assert_eq!(ann.get(&format!("/api/vms/{id}")).await.json()["status"], "starting");
    let (told, ()) = tokio::join!(ann.output(&id, "echo up"), async { gate.notify_one() });
    assert_eq!(told, "up\n");
    assert_eq!(ann.get(&format!("/api/vms/{id}")).await.json()["status"], "running");
}

#[tokio::test]
async fn a_machine_that_can_not_start_is_told_with_the_reason_and_forgotten() {
    let server = Server::start_with(|_, driver| driver.fail_starts("no memory left")).await;
    let ann = server.ann();
    assert!(ann.post("/api/vms", json!({})).await.refused(503).contains("no memory left"));
    until("it is forgotten", async || ann.get("/api/vms").await.json() == json!({"vms": []})).await;
    let started = ann.post("/api/vms", json!({"wait": false})).await.ok(202).json();
    let path = format!("/api/vms/{}", started["id"].as_str().unwrap());
    until("it has failed", async || ann.get(&path).await.json()["status"] == "failed").await;
    assert!(ann.get(&path).await.json()["error"].as_str().unwrap().contains("no memory left"));
    let refused = ann.post(&format!("{path}/exec"), json!({"argv": ["true"]})).await.refused(409);
    assert!(refused.contains("no memory left"), "{refused}");
    ann.delete(&path).await.ok(200);
}

#[tokio::test]
async fn a_client_that_breaks_off_a_start_leaves_no_machine() {
    let gate = Arc::new(Notify::new());
    let server = Server::start_with(|_, driver| driver.hold_starts(Arc::clone(&gate))).await;
    let ann = server.ann();
    let starting = tokio::spawn({
        let ann = ann.clone();
        async move { ann.post("/api/vms", json!({})).await }
    });
    until("it is starting", async || server.driver.started() == 1).await;
    starting.abort();
    until("it is gone", async || ann.get("/api/vms").await.json() == json!({"vms": []})).await;
    gate.notify_one();
    assert_eq!(server.driver.alive(), 0);
}

#[tokio::test]
async fn a_starting_machine_can_be_deleted() {
    let gate = Arc::new(Notify::new());
    let server = Server::start_with(|_, driver| driver.hold_starts(gate)).await;
    let ann = server.ann();
    let started = ann.post("/api/vms", json!({"wait": false})).await.ok(202).json();
    ann.delete(&format!("/api/vms/{}", started["id"].as_str().unwrap())).await.ok(200);
    assert_eq!((server.driver.alive(), ann.get("/api/vms").await.json()), (0, json!({"vms": []})));
    let waiting = tokio::spawn({
        let ann = ann.clone();
        async move { ann.post("/api/vms", json!({})).await }
    });
    until("it is starting", async || server.driver.started() == 2).await;
    let listed = ann.get("/api/vms").await.json();
    ann.delete(&format!("/api/vms/{}", listed["vms"][0]["id"].as_str().unwrap())).await.ok(200);
    assert!(waiting.await.unwrap().refused(503).contains("deleted"), "who waits for it is told");
}

#[tokio::test]
async fn a_wish_that_can_not_be_meant_is_refused_before_a_machine_starts() {
    let server = Server::start().await;
    let ann = server.ann();
    let refused = ann.post("/api/vms", json!({"vm_type": "windows"})).await.refused(400);
    assert!(refused.contains("windows") && refused.contains("bionic-test"), "{refused}");
    assert!(ann.post("/api/vms", json!({"vm_tpye": "x"})).await.refused(400).contains("vm_tpye"));
    ann.post("/api/vms", json!({"vm_name": ""})).await.refused(400);
    ann.post("/api/vms", json!({"vm_name": "a\nb"})).await.refused(400);
    ann.post("/api/vms", json!([])).await.refused(400);
    ann.send(axum::http::Method::POST, "/api/vms", "{\"vm_type\":").await.refused(400);
    assert_eq!(server.driver.started(), 0);
}

#[tokio::test]
async fn an_unknown_route_and_a_wrong_method_say_where_to_look() {
    let server = Server::start().await;
    let ann = server.ann();
    assert!(ann.get("/api/machines").await.refused(404).contains("/openapi.json"));
    assert!(ann.put("/api/vms", "").await.refused(405).contains("/openapi.json"));
}

#[tokio::test]
async fn the_log_of_a_machine_has_what_was_run_and_what_it_wrote() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    ann.exec(&id, &["sh", "-c", "echo out; echo err >&2; exit 3"]).await;
    let log = ann.get(&format!("/api/vms/{id}/logs")).await.ok(200).json();
    let entries = log["entries"].as_array().unwrap();
    let has = |source: &str, text: &str| {
        entries
            .iter()
            .any(|entry| entry["source"] == source && entry["text"].as_str().unwrap().contains(text))
    };
    assert!(has("machine", "running") && has("machine", "exit 3") && has("machine", "exit code 3"), "{log}");
    assert!(has("stdout", "out\n") && has("stderr", "err\n"), "{log}");
}

#[tokio::test]
async fn the_pool_tells_the_driver_and_what_the_caller_may_have() {
    let server = Server::start().await;
    let ann = server.client("ann", "small");
    ann.vm().await;
    let pool = ann.get("/api/pool").await.ok(200).json();
    assert_eq!((&pool["driver"], &pool["machines"]), (&json!("fake"), &json!(1)));
    assert_eq!(
        pool["caller"],
        json!({"tier": "small", "machines": 1, "machine_limit": 2, "sessions": 0, "session_limit": 2})
    );
}

#[tokio::test]
async fn a_warm_machine_is_handed_out_without_a_start_and_made_up_for() {
    let server = Server::start_with(|config, _| {
        config.vm_types[0].1.warm = Some(Bounds { min: 1, max: 1 });
    })
    .await;
    let ann = server.ann();
    let warm = async || ann.get("/api/pool").await.ok(200).json()["warm"][0].clone();
    until("one is ready", async || warm().await["ready"] == 1).await;
    server.driver.fail_starts("no more");
    let id = ann.vm().await;
    assert_eq!(ann.output(&id, "echo warm").await, "warm\n");
    until("it was tried to make up for it", async || warm().await["failures"] != 0).await;
    let now = warm().await;
    assert_eq!(
        (&now["vm_type"], &now["leases"], &now["misses"]),
        (&json!("bionic-test"), &json!(1), &json!(0))
    );
    assert!(now["last_failure"].as_str().unwrap().contains("no more"), "{now}");
    assert!(ann.post("/api/vms", json!({})).await.refused(503).contains("no more"));
    let driver = server.driver.clone();
    server.end().await;
    assert_eq!(driver.alive(), 0);
}

#[tokio::test]
async fn a_machine_that_ends_by_itself_is_told_and_leaves_nothing() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    server.driver.kill_agents();
    let path = format!("/api/vms/{id}");
    until("it has failed", async || ann.get(&path).await.json()["status"] == "failed").await;
    assert!(ann.get(&path).await.json()["error"].as_str().unwrap().contains("ended by itself"));
    until("nothing is left", async || server.driver.alive() == 0).await;
    let refused = ann.post(&format!("{path}/exec"), json!({"argv": ["true"]})).await.refused(409);
    assert!(refused.contains("ended by itself"), "{refused}");
    ann.delete(&path).await.ok(200);
    server.end().await;
}

#[tokio::test]
async fn a_machine_that_answers_no_more_is_deleted_under_its_sessions() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    server.driver.silence_agents();
    let asking = |path: String| {
        let ann = ann.clone();
        tokio::spawn(async move { ann.get(&path).await.refused(409) })
    };
    let asked =
        [asking(format!("/api/vms/{id}/files?path=x")), asking(format!("/api/vms/{id}/archive?path=x"))];
    let executing = tokio::spawn({
        let (ann, id) = (ann.clone(), id.clone());
        let body = json!({"language": "sh", "code": "true", "vm_id": id});
        async move { ann.post("/api/llm/execute", body).await.refused(409) }
    });
    until("all have begun", async || ann.get("/api/pool").await.json()["caller"]["sessions"] == 3).await;
    // Long before the connection to the agent is taken for dead.
    let path = format!("/api/vms/{id}");
    let deleted = tokio::time::timeout(Duration::from_secs(10), ann.delete(&path)).await;
    deleted.expect("it is deleted").ok(200);
    for told in asked.into_iter().chain([executing]) {
        let reason = told.await.unwrap();
        assert!(reason.contains("deleted"), "{reason}");
    }
    assert_eq!(server.driver.alive(), 0);
}

#[tokio::test]
async fn a_shut_down_ends_commands_and_destroys_all_machines() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    ann.vm().await;
    let running = tokio::spawn({
        let (ann, id) = (ann.clone(), id.clone());
        async move { ann.exec(&id, &["sleep", "600"]).await }
    });
    let path = format!("/api/vms/{id}");
    until("it runs", async || ann.get(&path).await.json()["sessions"] == 1).await;
    let driver = server.driver.clone();
    server.end().await;
    assert_eq!(driver.alive(), 0);
    let last = running.await.unwrap().pop().unwrap();
    assert_eq!(last["event"], "error", "it is told, not cut off: {last}");
}

#[tokio::test]
async fn a_type_with_an_image_that_is_not_there_is_found_out_at_start_up() {
    let folder = tempfile::tempdir().unwrap();
    let driver = Arc::new(machine::fake::FakeDriver::new(folder.path()));
    let mut config = Config::new(folder.path());
    let kind = VmType { image: Some("jammy".to_owned()), ..VmType::default() };
    config.vm_types.push(("big".to_owned(), kind));
    let opened = Machines::open(key(), config, driver.clone()).await;
    let error = opened.err().expect("it does not open");
    assert!(matches!(error, StartError::Type { .. }));
    assert!(error.to_string().contains("big") && error.to_string().contains("jammy"), "{error}");
    let mut config = Config::new(folder.path());
    config.vm_types.clear();
    assert!(Machines::open(key(), config, driver).await.is_err());
}

#[tokio::test]
async fn a_type_with_a_list_of_hosts_that_nothing_would_hold_to_is_found_out_at_start_up() {
    let folder = tempfile::tempdir().unwrap();
    let driver = Arc::new(machine::fake::FakeDriver::new(folder.path()));
    let policy = NetworkPolicy::parse(["good.example"]).unwrap();
    for network in [None, Some(Network::None), Some(Network::Host)] {
        let mut config = Config::new(folder.path());
        let kind = VmType { network, policy: policy.clone(), ..VmType::default() };
        config.vm_types.push(("narrow".to_owned(), kind));
        let error = Machines::open(key(), config, driver.clone()).await.err().expect("it does not open");
        let said = error.to_string();
        assert!(said.contains("narrow") && said.contains("needs a network of the machine's own"), "{said}");
    }
}

#[tokio::test]
async fn a_type_that_no_machine_of_the_driver_can_be_is_found_out_at_start_up() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        (VmType { memory_mib: Some(16), ..VmType::default() }, "16 MiB are too few; give it 128 MiB or more"),
        (VmType { vcpus: Some(500), ..VmType::default() }, "500 can't be; give it 1 to"),
        (VmType { network: Some(Network::Host), ..VmType::default() }, "--network user, or none"),
    ];
    let drivers: [Arc<dyn Driver>; 2] = [
        Arc::new(QemuDriver::new(folder.path())),
        Arc::new(FirecrackerDriver::new(folder.path(), Options::default())),
    ];
    for (kind, reason) in kinds {
        for driver in &drivers {
            let config =
                Config { vm_types: vec![("odd".to_owned(), kind.clone())], ..Config::new(folder.path()) };
            let error =
                Machines::open(key(), config, Arc::clone(driver)).await.err().expect("it does not open");
            let said = error.to_string();
            assert!(said.contains("odd") && said.contains(reason), "{}: {said}", driver.name());
        }
    }
}
