//! The machine API on virtual machines, where `HEARTH_VM_DATA` names a data folder with an image.

#[path = "../../machine/tests/lent/mod.rs"]
mod lent;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use machine::qemu::QemuDriver;
use serde_json::{Value, json};
use server::client::{Body, Client, ClientError, Method, whole};
use server::http;
use server::machines::token::{Caller, Key};
use server::machines::{Config, Machines, StartError, VmType};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use lent::borrow;

/// A data folder of its own with the image of `HEARTH_VM_DATA`, where these tests were asked for.
fn data_folder() -> Option<tempfile::TempDir> {
    let Some(lender) = std::env::var_os("HEARTH_VM_DATA").map(PathBuf::from) else {
        println!(
            "SKIPPED: HEARTH_VM_DATA names no data folder with an image; use cargo xtask test --only vm"
        );
        return None;
    };
    let data = tempfile::tempdir().unwrap();
    borrow(&lender.join("images"), &data.path().join("images"));
    Some(data)
}

fn config(data: &Path, image: &str) -> Config {
    let mut config = Config::new(data);
    let kind = VmType {
        image: Some(image.to_owned()),
        vcpus: Some(1),
        memory_mib: Some(256),
        disk_mib: Some(64),
        ..VmType::default()
    };
    config.vm_types = vec![("bionic-test".to_owned(), kind)];
    config
}

fn key() -> Key {
    Key::new(&[7; 32]).unwrap()
}

async fn call(client: &Client, method: Method, path: &str, body: Value) -> Value {
    let answer = client.succeed(method, path, Body::from(body.to_string())).await;
    let answer = answer.unwrap_or_else(|error: ClientError| panic!("{path}: {error}"));
    let bytes = whole(answer.into_body()).await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_machine_runs_code_and_is_rolled_back_to_a_snapshot() {
    let Some(data) = data_folder() else { return };
    let driver = Arc::new(QemuDriver::new(data.path()));
    let (machines, _) = Machines::open(key(), config(data.path(), "default"), driver).await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(http::serve(listener, machines.router(), stop.clone()));
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(3600);
    let ann = Caller { subject: "ann".to_owned(), tier: "default".to_owned() };
    let client = Client::new(&address, Some(&key().mint(&ann, expires.as_secs()))).unwrap();

    let started = call(&client, Method::POST, "/api/vms", json!({"vm_type": "bionic-test"})).await;
    let id = started["id"].as_str().unwrap();
    let vm = format!("/api/vms/{id}");
    let shown = call(&client, Method::GET, &vm, Value::Null).await;
    let parts: Vec<&str> =
        shown["boot"].as_array().unwrap().iter().filter_map(|p| p["part"].as_str()).collect();
    assert_eq!(parts, ["vmm", "kernel", "init", "agent", "whole"]);
    let run = async |code: &str| {
        let body = json!({"language": "sh", "code": code, "vm_id": id});
        let executed = call(&client, Method::POST, "/api/llm/execute", body).await;
        assert_eq!(executed["exit_code"], 0, "{executed}");
        executed["stdout"].as_str().unwrap().trim().to_owned()
    };
    assert_eq!(run("hostname; echo one >state").await, id);
    let taken = call(&client, Method::POST, &format!("{vm}/snapshots"), json!({"name": "first"})).await;
    assert_eq!(run("cat state; echo two >state").await, "one", "it goes on after the snapshot");
    assert_eq!(run("cat state").await, "two");
    let rollback = format!("{vm}/rollback/{}", taken["snapshot_id"].as_str().unwrap());
    let back = call(&client, Method::POST, &rollback, Value::Null).await;
    assert_eq!(back, json!({"id": id, "status": "running"}));
    assert_eq!(run("cat state; hostname").await, format!("one\n{id}"));
    assert_eq!(machines.shut_down().await, Vec::<String>::new());
    stop.cancel();
    serving.await.unwrap();
    for folder in ["vms", "snapshots"] {
        let left = std::fs::read_dir(data.path().join(folder)).into_iter().flatten().count();
        assert_eq!(left, 0, "{folder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_whose_image_is_not_there_is_found_out_at_start_up() {
    let data = tempfile::tempdir().unwrap();
    let driver = Arc::new(QemuDriver::new(data.path()));
    let opened = Machines::open(key(), config(data.path(), "jammy"), driver).await;
    let error = opened.err().expect("it does not open");
    assert!(matches!(error, StartError::Type { .. }));
    assert!(error.to_string().contains("jammy"), "{error}");
}
