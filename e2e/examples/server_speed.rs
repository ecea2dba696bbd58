//! A whole `hearth serve`: its memory at rest, the way from a webhook to the first line of its job, and webhooks at
//! a thousand a second. Prints Markdown. `cargo xtask bench server` builds the binary and runs this.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hearth_e2e::served::http::Connection;
use hearth_e2e::served::{Forge, Repository, Server, sign};
use serde_json::{Value as Json, json};

/// One echo, on pushes to main only: webhooks of other branches start nothing.
const FLOW: &str = "\
on: {push: {branches: [main]}}
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: echo spark}]
";

/// Runs whose first line is timed.
const RUNS: u64 = 21;

/// The pace of the promise.
const PER_SECOND: u32 = 1000;

/// Long enough for dozens of checkpoints of the database's log.
const SECONDS: u32 = 20;

/// Connections that webhooks come on, as a proxy before a server keeps them.
const CONNECTIONS: u32 = 32;

/// About the size of a push with a commit.
const PAYLOAD_BYTES: usize = 10 * 1024;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server_speed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> io::Result<()> {
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let sha = repository.commit("word.txt", "tinder");
    let server = Server::start(&repository, &forge);
    println!("| Figure | p50 | p99 | worst |\n|---|---|---|---|");
    let idle = memory(server.pid())?;
    let mut ways = Vec::new();
    for run in 1..=RUNS {
        let sent = now();
        let answer = server.deliver("push", &repository.push(&sha), &format!("first-line-{run}"));
        assert_eq!(answer.0, 200, "{answer:?}");
        assert_eq!(server.ended(run)["conclusion"], "success");
        ways.push(first_lines(&server, run, sent));
    }
    // The first one has fetched the repository and made the first machine.
    ways.remove(0);
    let of = |which: fn(&(Duration, Duration)) -> Duration| ways.iter().map(which).collect::<Vec<_>>();
    println!("| webhook to the first line of the log, {} runs | {} |", ways.len(), row(of(|way| way.0)));
    println!("| webhook to the first line that the step prints | {} |", row(of(|way| way.1)));
    let all = load(&server, &repository, &sha)?;
    let label = format!("webhooks of {} KiB, {PER_SECOND} a second for {SECONDS} s", PAYLOAD_BYTES / 1024);
    println!("| {label}, to their acknowledgement | {} |", row(all));
    println!("\nMemory at rest, resident: {idle:.1} MiB; behind the load: {:.1} MiB.", memory(server.pid())?);
    Ok(())
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// From `sent` to the log's first line, and to the step's.
fn first_lines(server: &Server, run: u64, sent: Duration) -> (Duration, Duration) {
    let jobs = server.get(&format!("/api/v1/runs/{run}/jobs")).1;
    let log = server.get(&format!("/api/v1/jobs/{}/log", jobs["jobs"][0]["id"])).1;
    let lines = log["lines"].as_array().cloned().unwrap_or_default();
    let at =
        |line: &Json| Duration::from_millis(line["at"].as_u64().unwrap_or_default()).saturating_sub(sent);
    let spark = lines.iter().find(|line| line["text"] == "spark");
    (at(&lines[0]), at(spark.expect("the step's line")))
}

/// Sends each webhook when its moment has come; how long after that it was acknowledged.
fn load(server: &Server, repository: &Repository, sha: &str) -> io::Result<Vec<Duration>> {
    let mut payload = repository.push(sha);
    payload["ref"] = json!("refs/heads/other");
    payload["padding"] = json!("x".repeat(PAYLOAD_BYTES - payload.to_string().len()));
    let (body, address) = (payload.to_string(), server.address());
    let signature = sign(&body);
    let begun = Instant::now();
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            let (body, signature) = (body.clone(), signature.clone());
            thread::spawn(move || sender(address, first, begun, &body, &signature))
        })
        .collect();
    let mut all = Vec::new();
    for sender in senders {
        all.extend(sender.join().map_err(|_| io::Error::other("a sender has failed"))??);
    }
    Ok(all)
}

#[expect(clippy::disallowed_methods, reason = "a pace is kept by waiting for the next moment")]
fn sender(
    address: SocketAddr,
    first: u32,
    begun: Instant,
    body: &str,
    signature: &str,
) -> io::Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut took = Vec::new();
    for number in (first..PER_SECOND * SECONDS).step_by(CONNECTIONS as usize) {
        let due = begun + Duration::from_secs(1) * number / PER_SECOND;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let guid = format!("load-{number}");
        let headers =
            [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", &guid), ("X-Hub-Signature-256", signature)];
        let (status, answer) = connection.ask("POST /webhook", &headers, body)?;
        if status != 200 {
            return Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&answer))));
        }
        took.push(due.elapsed());
    }
    Ok(took)
}

fn row(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3;
    format!("{:.1} ms | {:.1} ms | {:.1} ms", at(0.5), at(0.99), at(1.0))
}

/// Resident memory of a process, in MiB.
fn memory(pid: u32) -> io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim_end_matches("kB").trim().parse::<f64>().ok());
    Ok(kib.ok_or_else(|| io::Error::other("no VmRSS"))? / 1024.0)
}
