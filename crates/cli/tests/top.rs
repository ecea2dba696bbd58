//! `hearth top` on a terminal, beside a server that says what it is told to.

mod asked;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use serde_json::{Value as Json, json};

/// How long something that must happen may take: far longer than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of made-up answers, and what it was told to do.
struct Fake {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let told = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || answer(stream, &all));
            }
        });
        Fake { address, told }
    }
}

fn answer(mut stream: TcpStream, told: &Mutex<Vec<String>>) {
    let (method, path) = asked::read(&stream);
    if method == "POST" {
        told.lock().expect("whole").push(path.to_owned());
        let _ = write!(stream, "HTTP/1.1 204 No Content\r\n\r\n");
        return;
    }
    if path.contains("/events") {
        let lines = json!([line_of(7, "cargo test"), line_of(8, "\u{1b}[2Jhostile")]);
        let events = match path.contains("/log/") {
            true => format!("event: lines\ndata: {lines}\n\n"),
            false => "event: open\ndata: null\n\n".to_owned(),
        };
        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}");
        // It stays open, as those of a server do.
        let _ = stream.read(&mut [0]);
        return;
    }
    let body = answers().remove(path.split('?').next().unwrap_or_default()).unwrap_or(Json::Null).to_string();
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
}

fn line_of(number: u64, text: &str) -> Json {
    json!({"number": number, "index": 1, "phase": "main", "stream": "stdout", "at": 1, "text": text})
}

fn answers() -> BTreeMap<&'static str, Json> {
    let job = |id: u64, name: &str| {
        json!({
            "id": id, "run_id": 3, "attempt": 1, "key": "build", "path": "build", "name": name, "labels": [],
            "state": "running", "reason": null, "conclusion": null, "infrastructure_error": null, "tries": 1,
            "machine": "m", "queued_at": 1, "leased_at": 1, "started_at": 2, "first_line_at": 2, "ended_at": null,
            "environment": null, "environment_url": null,
        })
    };
    let working = |id, name| {
        json!({
            "job": job(id, name), "repository": "octo/hello", "workflow_name": "CI", "title": "Say hello",
            "step": format!("Step of {name}"), "step_started_at": 3,
        })
    };
    BTreeMap::from([
        (
            "/api/v1/status",
            json!({
                "version": "9.9.9", "started_at": 0, "now": 60_000, "working": [working(11, "one"), working(12, "two")],
                "waiting": 1, "oldest": null, "profiles": [{"name": "default", "labels": [], "machines": 4}],
                "pool": [{"name": "default", "ready": 1, "starting": 0, "wanted": 2, "last_failure": null}],
                "disk": {"free_bytes": 1_073_741_824_u64, "size_bytes": 2_147_483_648_u64},
            }),
        ),
        ("/ready", json!({"status": "ready", "parts": {"store": "ok"}})),
        ("/api/v1/runs", json!({"runs": [], "next": null})),
        ("/api/v1/repositories", json!({"repositories": []})),
        (
            "/api/v1/queue",
            json!({"total": 1, "waiting": [{
                "run_id": 4, "job_id": null, "repository": "octo/hello", "name": "Say hello", "since": 1,
                "reason": "as many run as may", "needs_approval": false, "place": 1,
            }]}),
        ),
        ("/api/v1/jobs/11/steps", json!({"steps": []})),
        ("/api/v1/jobs/12/steps", json!({"steps": []})),
    ])
}

/// `hearth top` on a terminal of its own.
struct Shown {
    child: Child,
    terminal: OwnedFd,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Shown {
    fn start(fake: &Fake, rows: u16, columns: u16) -> Shown {
        let side = |length| NonZero::new(length).expect("a terminal has room");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let place = tempfile::tempdir().expect("a folder");
        let end = || Stdio::from(pair.slave.try_clone().expect("cloned"));
        let child = Command::new(env!("CARGO_BIN_EXE_hearth"))
            .arg("top")
            .env("HEARTH_SERVER", format!("http://{}", fake.address))
            .env("HEARTH_TOKEN", "hearth_token")
            .env("HEARTH_DATA", place.path())
            .env("XDG_CONFIG_HOME", place.path())
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the binary runs");
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(side(rows), side(columns), 0)));
        let (mut output, seen) =
            (std::fs::File::from(pair.master.try_clone().expect("cloned")), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read) = output.read(&mut bytes) {
                if read == 0 {
                    return;
                }
                seen.lock().expect("whole").process(&bytes[..read]);
            }
        });
        Shown { child, terminal: pair.master, screen }
    }

    fn press(&self, keys: &str) {
        nix::unistd::write(&self.terminal, keys.as_bytes()).expect("typed");
    }

    /// Waits until the screen is like this.
    fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let shown = self.screen.lock().expect("whole").screen().contents();
            if is(&shown) {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}:\n{shown}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_is_watched_a_job_looked_into_and_cancelled_and_the_terminal_left_as_it_was() {
    let fake = Fake::start();
    let mut shown = Shown::start(&fake, 30, 100);
    for part in [
        "hearth 9.9.9",
        "2 jobs run",
        "Step of two",
        "1 wait",
        "Say hello (run 4): as many run as may",
        "1.0 of 2.0 GiB free",
        "q quit",
    ] {
        shown.until(part, |screen| screen.contains(part));
    }
    assert!(shown.screen.lock().expect("whole").screen().alternate_screen());

    shown.press("\x1b[B");
    shown.press("l");
    let log = shown.until("the log", |screen| screen.contains("cargo test"));
    assert!(log.contains("Log of two") && log.contains("hostile"), "{log}");
    shown.press("l");
    shown.until("the list", |screen| screen.contains("2 jobs run"));

    shown.press("c");
    shown.until("the question", |screen| screen.contains("Cancel job two of run 3?"));
    shown.press("y");
    shown.until("the list", |screen| screen.contains("q quit"));
    let begun = Instant::now();
    while fake.told.lock().expect("whole").is_empty() && begun.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert_eq!(*fake.told.lock().expect("whole"), ["/api/v1/jobs/12/cancel"]);

    shown.press("q");
    assert_eq!(shown.child.wait().expect("ended").code(), Some(0));
    shown.until("the usual screen", |_| {
        !shown.screen.lock().is_ok_and(|parser| parser.screen().alternate_screen())
    });
}

#[test]
fn a_small_terminal_shows_what_it_has_room_for() {
    let fake = Fake::start();
    let shown = Shown::start(&fake, 10, 40);
    for part in ["Server", "2 jobs run", "Step o", "q quit"] {
        shown.until(part, |screen| screen.contains(part));
    }
    let screen = shown.until("all of it", |screen| screen.contains("q quit"));
    assert!(!screen.contains("1 wait") && screen.lines().count() <= 10, "{screen}");
}
