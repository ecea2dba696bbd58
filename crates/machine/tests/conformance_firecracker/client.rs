//! The client against the strict server.

use std::time::Duration;

use machine::firecracker::api::*;
use machine::firecracker::client::{ApiError, Client};
use machine::firecracker::life::Life;
use model::MachineId;

use crate::calls::{all, create_snapshot, load_snapshot};
use crate::strict::faults::{Fault, Trap};
use crate::strict::server::Server;

/// Long enough for a loaded machine, short enough to wait for where no answer comes.
const SHORT: Duration = Duration::from_millis(300);

struct Bench {
    folder: tempfile::TempDir,
    server: Server,
    client: Client,
}

/// A server with the files that a VM needs, and a client of it.
fn bench(trap: Option<Trap>) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    for file in ["kernel", "initrd", "root.sqfs"] {
        std::fs::write(folder.path().join(file), file).unwrap();
    }
    let server = Server::start(folder.path(), "vm-1", trap);
    let client = Client::new(MachineId("vm-1".to_owned()), &server.socket);
    Bench { folder, server, client }
}

/// The smallest VM that starts.
fn boot_source() -> Call {
    Call::PutBootSource(BootSource {
        kernel_image_path: "kernel".to_owned(),
        initrd_path: None,
        boot_args: None,
    })
}

#[tokio::test]
async fn a_vm_is_configured_started_paused_snapshotted_and_resumed() {
    let Bench { server, mut client, folder } = bench(None);
    assert_eq!(client.describe().await.unwrap().state, "Not started");
    let configuring = all().into_iter().filter(|call| Life::Fresh.after(call) == Some(Life::Configured));
    let mut expected = vec!["GET /".to_owned()];
    for call in configuring {
        client.call(&call).await.unwrap();
        expected.push(call.name());
    }
    client.call(&Call::Start).await.unwrap();
    assert_eq!(client.describe().await.unwrap().state, "Running");
    for call in all().into_iter().filter(|call| {
        matches!(call, Call::PatchDrive(_) | Call::PatchNetworkInterface(_) | Call::PatchBalloon(_))
    }) {
        client.call(&call).await.unwrap();
    }
    client.pause().await.unwrap();
    assert_eq!(client.describe().await.unwrap().state, "Paused");
    client.create_snapshot(create_snapshot()).await.unwrap();
    client.resume().await.unwrap();
    assert_eq!(client.life(), Life::Running);
    assert!(folder.path().join("memory").exists());
    assert_eq!(server.accepted()[..expected.len()], expected);
    assert_eq!(server.accepted().last().unwrap(), "PATCH /vm");
}

#[tokio::test]
async fn a_snapshot_is_loaded_into_a_fresh_process_and_resumed() {
    let Bench { mut client, folder, server } = bench(None);
    client.call(&boot_source()).await.unwrap();
    client.call(&Call::Start).await.unwrap();
    client.pause().await.unwrap();
    client.create_snapshot(create_snapshot()).await.unwrap();
    drop(server);
    std::fs::remove_file(folder.path().join("api.sock")).unwrap();
    for (resume, state) in [(false, "Paused"), (true, "Running")] {
        let server = Server::start(folder.path(), "vm-2", None);
        let mut client = Client::new(MachineId("vm-2".to_owned()), &server.socket);
        client.load_snapshot(load_snapshot(MemoryBackendType::File, resume)).await.unwrap();
        assert_eq!(client.describe().await.unwrap().state, state);
        client.resume().await.unwrap();
        assert_eq!(client.describe().await.unwrap().state, "Running");
        drop(server);
        std::fs::remove_file(folder.path().join("api.sock")).unwrap();
    }
}

/// The client's idea of what is allowed when is the server's: for each state, each call that the
/// client lets through is accepted, and each that it keeps back would have been refused.
#[tokio::test]
async fn no_call_leaves_out_of_turn() {
    for state in [Life::Fresh, Life::Configured, Life::Running, Life::Paused] {
        for call in all() {
            // Loading needs a snapshot, and has a test of its own.
            if matches!(call, Call::LoadSnapshot(_)) && state == Life::Fresh {
                continue;
            }
            let Bench { server, mut client, folder: _folder } = bench(None);
            lead_to(&mut client, state).await;
            assert_eq!(client.life(), state);
            let before = server.accepted().len();
            // InstanceStart asks for a kernel, which a VM that is only configured may lack.
            let allowed = state.after(&call).is_some();
            let answered = client.call(&call).await;
            assert_eq!(answered.is_ok(), allowed, "{state}: {}: {answered:?}", call.name());
            assert_eq!(server.accepted().len() > before, allowed);
            if !allowed {
                assert!(matches!(answered, Err(ApiError::OutOfTurn { .. })), "{answered:?}");
                assert!(server_refuses(&server, &call).await, "{state}: {} would be accepted", call.name());
            }
        }
    }
}

/// Sends the call as a client would that does not know the VM's life.
async fn server_refuses(server: &Server, call: &Call) -> bool {
    let mut blind = Client::new(MachineId("vm-1".to_owned()), &server.socket).assume(match call {
        Call::Start => Life::Configured,
        Call::CreateSnapshot(_) => Life::Paused,
        Call::PatchVm(_) | Call::PatchDrive(_) | Call::PatchNetworkInterface(_) | Call::PatchBalloon(_) => {
            Life::Running
        }
        _ => Life::Fresh,
    });
    matches!(blind.call(call).await, Err(ApiError::Refused { status: 400, .. }))
}

async fn lead_to(client: &mut Client, state: Life) {
    if state == Life::Fresh {
        return;
    }
    client.call(&boot_source()).await.unwrap();
    if state == Life::Configured {
        return;
    }
    client.call(&Call::Start).await.unwrap();
    if state == Life::Paused {
        client.pause().await.unwrap();
    }
}

#[tokio::test]
async fn a_refusal_names_the_vm_and_the_call_and_says_why_in_firecrackers_words() {
    let mut bench = bench(None);
    let drive = Call::PutDrive(Drive {
        drive_id: "work".to_owned(),
        path_on_host: "nowhere.img".to_owned(),
        is_root_device: false,
        is_read_only: false,
        cache_type: CacheType::Unsafe,
        rate_limiter: None,
    });
    let error = bench.client.call(&drive).await.unwrap_err().to_string();
    assert!(
        error.starts_with("VM vm-1: PUT /drives/work: Firecracker refused (400): Unable to open nowhere.img"),
        "{error}"
    );
    // A refusal changes nothing: the VM can still be made.
    bench.client.call(&boot_source()).await.unwrap();
}

#[tokio::test]
async fn whatever_goes_wrong_is_an_error_that_names_the_vm_and_the_call() {
    for (fault, phrase, life) in [
        (Fault::Refuse("no such luck".to_owned()), "Firecracker refused (400): no such luck", Life::Fresh),
        (Fault::RefuseOddly, "Firecracker refused (500): without a reason: \"<html>", Life::Fresh),
        (Fault::Hang, "no answer within 0.3 s", Life::Ended),
        (Fault::HangUp, "no answer on", Life::Ended),
        (Fault::Die, "no answer on", Life::Ended),
        (Fault::Flood, "more than 65536 bytes", Life::Ended),
    ] {
        let bench = bench(Some(Trap::new("PUT /boot-source", fault.clone())));
        let mut client = bench.client.with_deadline(SHORT);
        let error = client.call(&boot_source()).await.unwrap_err().to_string();
        assert!(error.starts_with("VM vm-1: PUT /boot-source: "), "{fault:?}: {error}");
        assert!(error.contains(phrase), "{fault:?}: {error}");
        assert_eq!(client.life(), life, "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_a_description_is_not_taken_for_one() {
    let mut bench = bench(Some(Trap::new("GET /", Fault::Babble)));
    let error = bench.client.describe().await.unwrap_err().to_string();
    assert!(error.starts_with("VM vm-1: GET /: the answer can't be understood: "), "{error}");
    assert!(error.ends_with(": \"babble\""), "{error}");
}

#[tokio::test]
async fn a_process_that_died_is_not_asked_again() {
    let Bench { server, mut client, folder: _folder } = bench(Some(Trap::new("PUT /vsock", Fault::Die)));
    client.call(&boot_source()).await.unwrap();
    let vsock = Call::PutVsock(Vsock { guest_cid: 3, uds_path: "v.sock".to_owned() });
    assert!(matches!(client.call(&vsock).await, Err(ApiError::Unreachable { .. })));
    server.until_ended().await;
    assert!(matches!(client.call(&Call::Start).await, Err(ApiError::OutOfTurn { life: Life::Ended, .. })));
}

#[tokio::test]
async fn a_snapshot_that_can_not_be_loaded_ends_the_process() {
    let Bench { server, mut client, folder } = bench(None);
    std::fs::write(folder.path().join("state"), "broken").unwrap();
    std::fs::write(folder.path().join("memory"), "").unwrap();
    let error = client.load_snapshot(load_snapshot(MemoryBackendType::File, true)).await.unwrap_err();
    assert!(
        error.to_string().contains("PUT /snapshot/load: Firecracker refused (400): Load snapshot error: CRC"),
        "{error}"
    );
    assert_eq!(client.life(), Life::Ended);
    server.until_ended().await;
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gone.sock");
    let error = Client::new(MachineId("vm-9".to_owned()), &socket).describe().await.unwrap_err().to_string();
    assert!(error.starts_with("VM vm-9: GET /: no answer on "), "{error}");
    assert!(error.contains("gone.sock: No such file"), "{error}");
}
