//! A whole `hearth serve`: its memory at rest, the way from a webhook to the first line of its job, in a sandbox and
//! in a virtual machine that was kept warm, what comes of webhooks, and webhooks at a thousand a second. Prints
//! Markdown. `cargo xtask bench server` builds the binary and runs this.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hearth_e2e::served::http::Connection;
use hearth_e2e::served::{Forge, Repository, Server, Setting, sign};
use serde_json::{Value as Json, json};

/// One echo, on pushes to main only: webhooks of other branches start nothing.
const FLOW: &str = "\
on: {push: {branches: [main]}}
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: echo spark}]
";

/// What the server says of a pool with a machine.
const WARM: &str = "hearth_pool_machines{type=\"default\",state=\"ready\"} 1";

/// Runs whose first line is timed.
const RUNS: u64 = 21;

/// The same on virtual machines, which take seconds each where they are emulated.
const VM_RUNS: u64 = 6;

/// Deliveries of one repository that come at once, to see how many a second are worked out.
const EXPANDED: u32 = 1000;

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
    let ways = ways(&server, &repository, RUNS, |_| {});
    println!(
        "| webhook to the first line of the log, {} runs | {} |",
        ways.len(),
        row(of(&ways, |way| way.0))
    );
    println!("| webhook to the first line that the step prints | {} |", row(of(&ways, |way| way.1)));
    let rate = expanded(&server, &repository, &sha);
    let all = load(&server, &repository, &sha)?;
    let label = format!("webhooks of {} KiB, {PER_SECOND} a second for {SECONDS} s", PAYLOAD_BYTES / 1024);
    println!("| {label}, to their acknowledgement | {} |", row(all));
    println!("\nMemory at rest, resident: {idle:.1} MiB; behind the load: {:.1} MiB.", memory(server.pid())?);
    println!("\nDeliveries of one repository worked out: {rate:.0} a second, of {EXPANDED} at once.");
    drop(server);
    on_virtual_machines();
    Ok(())
}

/// Each run is of a commit of its own, as those of people are. The first one makes the mirror and is left out.
fn ways(
    server: &Server,
    repository: &Repository,
    runs: u64,
    before_each: impl Fn(&Server),
) -> Vec<(Duration, Duration)> {
    let way = |run| {
        let sha = repository.commit("word.txt", &format!("spark {run}"));
        before_each(server);
        let sent = now();
        let answer = server.deliver("push", &repository.push(&sha), &format!("first-line-{run}"));
        assert_eq!(answer.0, 200, "{answer:?}");
        assert_eq!(server.ended(run)["conclusion"], "success");
        first_lines(server, run, sent)
    };
    (1..=runs).map(way).skip(1).collect()
}

fn of(ways: &[(Duration, Duration)], which: fn(&(Duration, Duration)) -> Duration) -> Vec<Duration> {
    ways.iter().map(which).collect()
}

/// How many deliveries a second become what they become, when many come at once: pushes that no workflow listens to.
fn expanded(server: &Server, repository: &Repository, sha: &str) -> f64 {
    let mut payload = repository.push(sha);
    payload["ref"] = json!("refs/heads/other");
    let begun = Instant::now();
    for number in 0..EXPANDED {
        let answer = server.deliver("push", &payload, &format!("expanded-{number}"));
        assert_eq!(answer.0, 200, "{answer:?}");
    }
    let newest = server.get("/api/v1/deliveries").1["deliveries"][0]["id"].as_u64();
    let newest = newest.expect("a delivery");
    server.until(&format!("/api/v1/deliveries/{newest}"), |delivery| delivery["state"] != "received");
    f64::from(EXPANDED) / begun.elapsed().as_secs_f64()
}

/// The way to the first line with a machine that was kept warm.
fn on_virtual_machines() {
    let Some(lender) = std::env::var_os("HEARTH_VM_DATA") else {
        println!(
            "\nSKIPPED: HEARTH_VM_DATA names no data folder with an image; nothing was measured on virtual machines."
        );
        return;
    };
    let (repository, forge) = (Repository::new(FLOW), Forge::start());
    let warm = json!({"name": "default", "machine": "qemu", "memory": 256, "warm": {"min": 1, "max": 1}});
    let setting = Setting { images_of: Some(lender.into()), ..Setting::default() };
    let server = Server::set(&repository, &forge, json!({"serve": {"profiles": [warm]}}), setting);
    let ready = |server: &Server| server.page_has("/metrics", WARM);
    let ways = ways(&server, &repository, VM_RUNS, ready);
    let how = if is_emulated(&server) { "emulated" } else { "KVM" };
    println!(
        "\n| QEMU ({how}), a machine kept warm, {} runs | p50 | p99 | worst |\n|---|---|---|---|",
        ways.len()
    );
    println!("| webhook to the first line of the log | {} |", row(of(&ways, |way| way.0)));
    println!("| webhook to the first line that the step prints | {} |", row(of(&ways, |way| way.1)));
}

/// Whether the log of the first run says that its machine had no help by the processor.
fn is_emulated(server: &Server) -> bool {
    let jobs = server.get("/api/v1/runs/1/jobs").1;
    let log = server.get(&format!("/api/v1/jobs/{}/log", jobs["jobs"][0]["id"])).1;
    log.to_string().contains("its processor is emulated")
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
