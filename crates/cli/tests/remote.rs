//! The commands that ask a server, beside one that says what it is told to.

mod asked;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

/// How long a job goes on speaking at most: far longer than a broken connection is left alone.
const TALK: Duration = Duration::from_secs(15);

/// The pause between two batches of lines of a job that speaks much: shorter than any pause before a connection is
/// opened anew.
const BREATH: Duration = Duration::from_millis(20);

/// What a request is answered with.
enum Answer {
    /// A status without a body.
    Status(u16),
    /// JSON.
    Json(Json),
    /// Events, and then the end of the stream.
    Events(String),
    /// Events that stay open.
    Open(String),
    /// Lines, until this says that they are enough.
    Lines(Box<dyn Fn() -> bool>),
}

/// A server of made-up answers.
struct Fake(SocketAddr);

impl Fake {
    /// One that answers by method and path, without what is asked for behind the question mark.
    fn start(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(stream, &*answer));
            }
        });
        Fake(address)
    }

    /// What comes of a command.
    fn hearth(&self, args: &[&str]) -> Said {
        let place = tempfile::tempdir().expect("a folder");
        let output = Command::new(env!("CARGO_BIN_EXE_hearth"))
            .args(args)
            .env("HEARTH_SERVER", format!("http://{}", self.0))
            .env("HEARTH_TOKEN", "hearth_token")
            .env("HEARTH_DATA", place.path())
            .env("XDG_CONFIG_HOME", place.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str, &str) -> Answer) {
    let (method, path) = asked::read(&stream);
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let _ = match answer(&method, path.split('?').next().unwrap_or_default()) {
        Answer::Status(status) => write!(stream, "HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n"),
        Answer::Json(body) => {
            let body = body.to_string();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        }
        Answer::Events(events) => write!(stream, "{begun}{events}"),
        Answer::Open(events) => {
            let _ = write!(stream, "{begun}{events}");
            stream.read(&mut [0]).map(drop)
        }
        Answer::Lines(is_enough) => {
            let _ = write!(stream, "{begun}");
            talk(&mut stream, &*is_enough)
        }
    };
}

fn talk(stream: &mut TcpStream, is_enough: &dyn Fn() -> bool) -> std::io::Result<()> {
    let begun = Instant::now();
    for number in 0.. {
        if is_enough() || begun.elapsed() > TALK {
            break;
        }
        write!(stream, "event: lines\ndata: {}\n\n", json!([line_of(number, "on and on")]))?;
        stream.set_read_timeout(Some(BREATH))?;
        let _ = stream.read(&mut [0]);
    }
    write!(stream, "event: end\ndata: null\n\n")
}

fn line_of(number: u64, text: &str) -> Json {
    json!({"number": number, "index": 0, "phase": "set_up", "stream": "hearth", "at": 1, "text": text})
}

fn run(state: &str) -> Json {
    let is_over = state == "ended";
    json!({
        "id": 3, "number": 1, "repository_id": 1, "workflow_path": ".github/workflows/ci.yml",
        "workflow_name": "CI", "title": "Say hello", "event": "push", "ref": "refs/heads/main", "sha": "0",
        "head_sha": "0", "head_branch": "main", "pull_request": null, "actor": "mona", "trust": "trusted",
        "group": null, "delivery_id": null, "attempt": 1, "state": state, "reason": null,
        "conclusion": is_over.then_some("failure"), "created_at": 1, "queued_at": 1, "started_at": 2,
        "ended_at": is_over.then_some(3),
    })
}

fn job(id: u64, name: &str, state: &str, more: Json) -> Json {
    let mut job = json!({
        "id": id, "run_id": 3, "attempt": 1, "key": name, "path": name, "name": name, "labels": [],
        "state": state, "reason": null, "waits_until": null, "conclusion": null, "infrastructure_error": null,
        "taken_from": null, "tries": 0, "machine": null, "queued_at": 1, "retried_at": null, "leased_at": null, "started_at": null,
        "first_line_at": null, "ended_at": null, "environment": null, "environment_url": null,
    });
    for (key, value) in more.as_object().expect("an object") {
        job[key] = value.clone();
    }
    job
}

fn repositories() -> Answer {
    Answer::Json(json!({"repositories": [{
        "id": 1, "forge": "github", "full_name": "octo/hello", "default_branch": "main", "is_private": false,
        "first_seen": 1,
    }]}))
}

#[test]
fn a_log_that_only_says_why_no_machine_came_is_followed() {
    let failed = json!({
        "tries": 2, "conclusion": "failure", "infrastructure_error": "the VM did not boot", "ended_at": 3,
    });
    let fake = Fake::start(move |_, path| match path {
        "/api/v1/runs/3" => Answer::Json(run("ended")),
        "/api/v1/runs/3/jobs" => Answer::Json(json!({"jobs": [job(11, "build", "ended", failed.clone())]})),
        "/api/v1/runs/3/events" => Answer::Open("event: open\ndata: null\n\n".to_owned()),
        "/api/v1/jobs/11/log/events" => Answer::Events(format!(
            "event: lines\ndata: {}\n\nevent: end\ndata: null\n\n",
            json!([line_of(0, "Error: the VM did not boot")])
        )),
        _ => Answer::Status(404),
    });
    let followed = fake.hearth(&["logs", "3", "-f"]);
    assert_eq!(followed.code, Some(0), "{followed:?}");
    assert!(followed.out.contains("Error: the VM did not boot"), "{followed:?}");
}

#[test]
fn a_job_that_speaks_without_a_break_does_not_keep_what_becomes_of_its_run_from_being_heard() {
    // How often what happens in the run was asked for.
    let heard = Arc::new(AtomicUsize::new(0));
    let fake = Fake::start(move |_, path| {
        let times = heard.load(Ordering::SeqCst);
        match path {
            "/api/v1/runs/3" => Answer::Json(run(if times > 1 { "ended" } else { "running" })),
            "/api/v1/runs/3/jobs" => {
                let begun = json!({"tries": 1, "leased_at": 1, "started_at": 2});
                Answer::Json(json!({"jobs": [job(11, "build", "running", begun)]}))
            }
            "/api/v1/runs/3/events" => match heard.fetch_add(1, Ordering::SeqCst) {
                0 => Answer::Events("event: open\ndata: null\n\n".to_owned()),
                _ => Answer::Open("event: open\ndata: null\n\n".to_owned()),
            },
            "/api/v1/jobs/11/log/events" => {
                let heard = Arc::clone(&heard);
                Answer::Lines(Box::new(move || heard.load(Ordering::SeqCst) > 1))
            }
            _ => Answer::Status(404),
        }
    });
    let begun = Instant::now();
    let followed = fake.hearth(&["logs", "3", "-f"]);
    assert_eq!(followed.code, Some(0), "{followed:?}");
    assert!(begun.elapsed() < TALK, "only once the job was silent: {}", followed.err);
    assert!(followed.err.contains("the server is there again"), "{followed:?}");
}

#[test]
fn an_environment_of_a_repository_that_nobody_has_heard_of_is_said() {
    let fake = Fake::start(|method, path| match (method, path) {
        ("PUT", _) => Answer::Status(204),
        (_, "/api/v1/repositories") => repositories(),
        (_, path) if path.ends_with("/environments") => Answer::Json(json!({"environments": []})),
        _ => Answer::Status(404),
    });
    let set = |of| fake.hearth(&["environment", "set", "production", "-R", of, "--approval"]);
    let wrong = set("octo/helo");
    assert_eq!(wrong.code, Some(0), "{wrong:?}");
    let said = "production is set, but the server has heard of no repository octo/helo yet: is it written so on GitHub?";
    assert!(wrong.err.contains(said), "{wrong:?}");
    let listed = fake.hearth(&["environment", "ls", "-R", "octo/helo"]);
    assert!(listed.err.contains("heard of no repository octo/helo yet"), "{listed:?}");
    for right in [set("Octo/Hello"), fake.hearth(&["environment", "ls", "-R", "octo/hello"])] {
        assert_eq!((right.code, right.err.as_str()), (Some(0), ""), "{right:?}");
    }
}

#[test]
fn who_approves_is_told_only_of_jobs_that_wait_for_somebody() {
    let fake = Fake::start(|method, path| match (method, path) {
        ("POST", "/api/v1/runs/3/approve") => Answer::Status(409),
        (_, "/api/v1/runs/3/jobs") => Answer::Json(json!({"jobs": [
            job(11, "deploy", "waiting", json!({})),
            job(12, "later", "waiting", json!({"waits_until": 9_000_000_000_000_u64})),
        ]})),
        _ => Answer::Status(404),
    });
    let refused = fake.hearth(&["approve", "3"]);
    assert!(refused.err.contains("name one: deploy\n"), "{refused:?}");
}

#[test]
fn what_strangers_wrote_can_not_move_the_cursor_in_json_either() {
    let hostile = "a\u{9b}2J\u{7f}\u{85}b";
    let delivery = json!({
        "id": 7, "guid": "d-7", "event": "push", "action": null, "repository": hostile, "received_at": 1,
        "state": "expanded", "reason": null, "tries": 1, "done_at": 1, "payload": {hostile: {"title": hostile}},
    });
    let list = delivery.clone();
    let fake = Fake::start(move |_, path| match path {
        "/api/v1/deliveries/7" => Answer::Json(delivery.clone()),
        "/api/v1/deliveries" => {
            let mut one = list.clone();
            one.as_object_mut().expect("an object").remove("payload");
            Answer::Json(json!({"deliveries": [one], "next": null}))
        }
        _ => Answer::Status(404),
    });
    for args in [
        &["deliveries", "7"][..],
        &["deliveries", "7", "--format", "json"],
        &["deliveries", "--format", "json"],
    ] {
        let shown = fake.hearth(args);
        assert_eq!(shown.code, Some(0), "{shown:?}");
        assert!(!shown.out.contains(|letter: char| letter != '\n' && letter.is_control()), "{shown:?}");
        let json = &shown.out[shown.out.find('{').expect("an object")..];
        let json: Json = serde_json::from_str(json).expect("still JSON");
        assert!(json.to_string().contains(hostile), "nothing of it is lost: {json}");
    }
}

#[test]
fn more_is_promised_only_where_more_can_be_shown() {
    let fake = Fake::start(|_, path| match path {
        "/api/v1/deliveries" => Answer::Json(json!({"next": 1, "deliveries": [{
            "id": 7, "guid": "d-7", "event": "push", "action": null, "repository": null, "received_at": 1,
            "state": "expanded", "reason": null, "tries": 1, "done_at": 1,
        }]})),
        "/api/v1/queue" => Answer::Json(json!({"total": 5000, "waiting": [{
            "run_id": 4, "job_id": null, "repository": "octo/hello", "name": "Say hello", "since": 1,
            "reason": "as many run as may", "needs_approval": false, "place": 1,
        }]})),
        _ => Answer::Status(404),
    });
    for (command, some, most) in [("deliveries", "20", "200"), ("queue", "20", "1000")] {
        assert!(fake.hearth(&[command, "-L", some]).err.contains("-L shows more"), "{command}");
        let all = fake.hearth(&[command, "-L", most]);
        assert!(!all.err.contains("-L shows more"), "{all:?}");
    }
    assert!(fake.hearth(&["queue", "-L", "1000"]).err.contains("5000 wait"));
}
