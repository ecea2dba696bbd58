//! Tunnels. The agent shares our loopback, so we can be the guest's program ourselves.

use std::net::SocketAddr;

use guest::client::GuestError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::agent::{Agent, until};

/// A service that reads to the end, and only then answers with what it has read.
async fn echo_after_end() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut data = Vec::new();
                socket.read_to_end(&mut data).await.unwrap();
                socket.write_all(&data).await.unwrap();
            });
        }
    });
    (address, task)
}

async fn ask(port: u16, data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.write_all(data).await?;
    socket.shutdown().await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let agent = Agent::start().await;
    let (address, _service) = echo_after_end().await;
    let tunnel = agent.guest.tunnel(0, address).await.unwrap();
    assert_eq!(ask(tunnel.guest_port, b"hello").await.unwrap(), b"hello");
    assert_eq!(ask(tunnel.guest_port, b"").await.unwrap(), b"");
}

#[tokio::test]
async fn a_hundred_connections_at_once_keep_their_bytes_apart() {
    let agent = Agent::start().await;
    let (address, _service) = echo_after_end().await;
    let tunnel = agent.guest.tunnel(0, address).await.unwrap();
    let asks = (0..100_u8).map(|number| {
        let port = tunnel.guest_port;
        async move {
            let data = vec![number; 100_000 + usize::from(number)];
            assert!(ask(port, &data).await.unwrap() == data, "connection {number}");
        }
    });
    futures_util::future::join_all(asks).await;
}

#[tokio::test]
async fn much_data_goes_through_unchanged() {
    let agent = Agent::start().await;
    let (address, _service) = echo_after_end().await;
    let tunnel = agent.guest.tunnel(0, address).await.unwrap();
    let data: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    assert!(ask(tunnel.guest_port, &data).await.unwrap() == data);
}

#[tokio::test]
async fn a_connection_that_stalls_holds_up_no_other_call() {
    let agent = Agent::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tunnel = agent.guest.tunnel(0, listener.local_addr().unwrap()).await.unwrap();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(("127.0.0.1", tunnel.guest_port)).await.unwrap();
        let (kept, _) = listener.accept().await.unwrap();
        let chunk = vec![0; 1 << 20];
        // Writes until nobody takes any more.
        while tokio::time::timeout(std::time::Duration::from_millis(20), socket.write_all(&chunk))
            .await
            .is_ok()
        {}
        stalled.push((socket, kept));
    }
    agent.guest.info().await.unwrap();
}

#[tokio::test]
async fn a_target_that_does_not_answer_looks_like_one_that_hangs_up() {
    let agent = Agent::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let tunnel = agent.guest.tunnel(0, closed).await.unwrap();
    let answer = ask(tunnel.guest_port, b"hello").await;
    assert!(answer.is_err() || answer.unwrap().is_empty());
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused() {
    let agent = Agent::start().await;
    let (address, _service) = echo_after_end().await;
    let error = agent.guest.tunnel(address.port(), address).await.map(drop).unwrap_err();
    assert!(matches!(&error, GuestError::Refused { .. }) && error.to_string().contains("in use"), "{error}");
}

#[tokio::test]
async fn dropping_a_tunnel_closes_its_port_and_connections() {
    let agent = Agent::start().await;
    let (address, _service) = echo_after_end().await;
    let tunnel = agent.guest.tunnel(0, address).await.unwrap();
    let port = tunnel.guest_port;
    let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    open.write_all(b"x").await.unwrap();
    assert_eq!(ask(port, b"hello").await.unwrap(), b"hello");
    drop(tunnel);
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    until("the port is closed", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err()).await;
}

#[tokio::test]
async fn a_connection_that_breaks_does_not_look_as_if_it_had_ended() {
    let agent = Agent::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tunnel = agent.guest.tunnel(0, listener.local_addr().unwrap()).await.unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", tunnel.guest_port)).await.unwrap();
    let (mut service, _) = listener.accept().await.unwrap();
    service.write_all(b"half").await.unwrap();
    let mut half = [0; 4];
    socket.read_exact(&mut half).await.unwrap();
    drop(tunnel);
    assert!(socket.read(&mut half).await.is_err());
}

#[tokio::test]
async fn what_is_sent_after_the_answer_has_ended_still_arrives() {
    let agent = Agent::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tunnel = agent.guest.tunnel(0, listener.local_addr().unwrap()).await.unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", tunnel.guest_port)).await.unwrap();
    let (mut service, _) = listener.accept().await.unwrap();
    service.shutdown().await.unwrap();
    let mut nothing = Vec::new();
    socket.read_to_end(&mut nothing).await.unwrap();
    let data = vec![5; 3_000_000];
    let sent = async {
        socket.write_all(&data).await.unwrap();
        socket.shutdown().await.unwrap();
    };
    let received = async {
        let mut received = Vec::new();
        service.read_to_end(&mut received).await.unwrap();
        received
    };
    let ((), received) = tokio::join!(sent, received);
    assert!(received == data, "{} bytes", received.len());
}
