//! Gates at which jobs and tests wait until a story lets them go on: nothing waits by the clock.

use std::collections::BTreeSet;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hearth_e2e::served::http;

/// As long as any story takes.
const PATIENCE: Duration = Duration::from_secs(170);

type Open = (Mutex<BTreeSet<String>>, Condvar);

/// `POST /NAME` opens a gate, `GET /NAME` is answered once it is open.
pub(crate) struct Gates {
    address: SocketAddr,
    open: Arc<Open>,
}

impl Gates {
    pub(crate) fn start() -> Gates {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let open = Arc::<Open>::default();
        let all = Arc::clone(&open);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || answer(stream, &all));
            }
        });
        Gates { address, open }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a step says to wait.
    pub(crate) fn script(&self, gate: &str) -> String {
        format!(
            "exec 3<>/dev/tcp/{}/{}; printf 'GET /{gate} HTTP/1.1\\r\\n\\r\\n' >&3; read -r _ <&3",
            self.address.ip(),
            self.address.port()
        )
    }

    pub(crate) fn open(&self, gate: &str) {
        self.open.0.lock().expect("whole").insert(gate.to_owned());
        self.open.1.notify_all();
    }

    pub(crate) fn wait(&self, gate: &str) {
        wait(&self.open, gate);
    }
}

fn wait((open, changed): &Open, gate: &str) {
    let open = open.lock().expect("whole");
    // Whoever has waited in vain says so where it matters: nothing of what was to follow happens.
    let _ = changed.wait_timeout_while(open, PATIENCE, |open| !open.contains(gate)).expect("whole");
}

fn answer(stream: TcpStream, all: &Open) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let mut stream = stream;
    let Ok(Some(request)) = http::read(&mut reader) else { return };
    let mut words = request.first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let gate = path.trim_start_matches('/');
    if method == "POST" {
        all.0.lock().expect("whole").insert(gate.to_owned());
        all.1.notify_all();
    } else {
        wait(all, gate);
    }
    // A job that was cancelled waits no longer.
    let _ = stream.write_all(b"HTTP/1.1 204 X\r\nconnection: close\r\n\r\n");
}
