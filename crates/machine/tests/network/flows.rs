//! Many flows at once, and those that stand still.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::guest::Guest;
use crate::network_world::{ALLOWED, in_a_world};

/// Serves each connection on a thread of its own.
fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let server = TcpListener::bind((ALLOWED, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let (stream, each) = (stream.unwrap(), each.clone());
            std::thread::spawn(move || each(stream));
        }
    });
    port
}

#[test]
fn hundreds_of_connections_at_once_get_what_is_theirs_and_more_can_follow() {
    in_a_world(async || {
        let port = serve(|mut stream| {
            let mut asked = [0; 4];
            if stream.read_exact(&mut asked).is_ok() {
                let _ = stream.write_all(&asked.repeat(10_000));
            }
        });
        let guest = Guest::on(&[ALLOWED], Vec::new());
        let script = format!(
            "import socket\n\
             from concurrent.futures import ThreadPoolExecutor\n\
             def fetch(number):\n  \
               with socket.create_connection(('{ALLOWED}', {port}), 60) as stream:\n    \
                 asked = number.to_bytes(4, 'big'); stream.sendall(asked)\n    \
                 return b''.join(iter(lambda: stream.recv(1 << 16), b'')) == asked * 10000\n\
             with ThreadPoolExecutor(200) as pool: print(sum(pool.map(fetch, range(1000))))"
        );
        assert_eq!(guest.python(&script).await, "1000");
        assert_eq!(guest.contacts(), [format!("tcp {ALLOWED}:{port}")]);
    });
}

/// More than all buffers on the way have together, and far less than what is sent.
const ON_ITS_WAY: usize = 32 << 20;

#[test]
fn a_guest_that_does_not_read_holds_up_who_sends_and_fills_nothing() {
    in_a_world(async || {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = sent.clone();
        let port = serve(move |mut stream| {
            stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            while let Ok(length @ 1..) = stream.write(&[7; 1 << 16]) {
                count.fetch_add(length, Ordering::Relaxed);
                assert!(count.load(Ordering::Relaxed) < ON_ITS_WAY, "nobody holds it up");
            }
            count.fetch_or(1 << 40, Ordering::Relaxed);
        });
        let guest = Guest::on(&[ALLOWED], Vec::new());
        let stall = format!(
            "import socket, sys\nstream = socket.create_connection(('{ALLOWED}', {port}), 5)\n\
             print('up', flush=True); sys.stdin.read()"
        );
        let mut reader = guest.begin(&["python3", "-c", &stall]);
        let begin = Instant::now();
        while sent.load(Ordering::Relaxed) < 1 << 40 {
            assert!(begin.elapsed() < Duration::from_secs(60), "{sent:?}");
            tokio::task::yield_now().await;
        }
        // Another flow goes on meanwhile.
        let echo = serve(|mut stream| drop(stream.write_all(b"reached")));
        assert_eq!(guest.hears(ALLOWED, echo).await, "reached");
        reader.kill().await.unwrap();
    });
}

#[test]
fn a_server_that_does_not_read_holds_up_the_guest() {
    in_a_world(async || {
        let port = serve(|stream| {
            std::thread::park();
            drop(stream);
        });
        let guest = Guest::on(&[ALLOWED], Vec::new());
        let flood = format!(
            "import socket\nstream = socket.create_connection(('{ALLOWED}', {port}), 5); stream.settimeout(2)\n\
             sent = 0\n\
             try:\n  while sent < {ON_ITS_WAY}: sent += stream.send(b'7' * 65536)\n\
             except TimeoutError: print('held up')"
        );
        assert_eq!(guest.python(&flood).await, "held up");
    });
}

/// Sends an echo request, and prints the type of the answer.
const PING: &str = "import socket, struct, sys\n\
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); s.settimeout(5)\n\
    body = struct.pack('>BBHHH', 8, 0, 0, 7, 1) + b'words'\n\
    words = struct.unpack('>7H', body + b'\\0'); total = sum(words); total = (total >> 16) + (total & 0xffff)\n\
    s.sendto(body[:2] + struct.pack('>H', ~total & 0xffff) + body[4:], (HOST, 0))\n\
    answer = s.recv(200)\n\
    print(answer[20], answer[28:] == b'words' if answer[20] == 0 else answer[21])";

#[test]
fn the_gateway_answers_a_ping_and_says_at_once_that_nobody_else_will() {
    in_a_world(async || {
        let guest = Guest::on(&["*"], Vec::new());
        let ping = |host: &str| PING.replace("HOST", &format!("'{host}'"));
        assert_eq!(guest.python(&ping("198.19.0.1")).await, "0 True");
        assert_eq!(guest.python(&ping("192.0.2.1")).await, "3 13");
    });
}
