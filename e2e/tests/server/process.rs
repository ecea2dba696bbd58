//! The process `hearth serve`.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::forge::Forge;
use crate::http::ask;
use crate::repository::Repository;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Long enough for anything that happens here at all, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a server is asked how things stand.
const ASK_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct Server {
    folder: TempDir,
    api: String,
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(repository: &Repository, forge: &Forge) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let config = json!({"serve": {"github": {"clone-from": repository.template()}}});
        std::fs::write(folder.path().join("hearth.yaml"), config.to_string()).expect("written");
        let api = forge.url();
        let (child, address) = begin(&folder, &api);
        Server { folder, api, child, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A signed webhook; its answer.
    pub(crate) fn deliver(&self, event: &str, payload: &Json, guid: &str) -> (u16, Json) {
        let body = payload.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
        mac.update(body.as_bytes());
        let digest = mac.finalize().into_bytes();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = format!("sha256={digest}");
        let headers =
            [("X-GitHub-Event", event), ("X-GitHub-Delivery", guid), ("X-Hub-Signature-256", &signature)];
        self.post("/webhook", &body, &headers)
    }

    pub(crate) fn post(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> (u16, Json) {
        let (status, body) = ask(self.address, &format!("POST {path}"), headers, body).expect("an answer");
        (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Json) {
        let (status, body) = self.read(path);
        (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
    }

    /// What a signed-in person's browser gets there.
    pub(crate) fn page(&self, path: &str) -> String {
        let (status, body) = self.read(path);
        assert_eq!(status, 200, "{path}");
        String::from_utf8_lossy(&body).into_owned()
    }

    pub(crate) fn without_token(&self, path: &str) -> (u16, Vec<u8>) {
        ask(self.address, &format!("GET {path}"), &[], "").expect("an answer")
    }

    fn read(&self, path: &str) -> (u16, Vec<u8>) {
        let token = std::fs::read_to_string(self.data().join("admin-token")).expect("a token");
        let token = format!("Bearer {}", token.trim());
        ask(self.address, &format!("GET {path}"), &[("Authorization", &token)], "").expect("an answer")
    }

    /// Waits for the end of a run.
    pub(crate) fn ended(&self, run: u64) -> Json {
        self.until(&format!("/api/v1/runs/{run}"), |run| run["state"] == "ended")
    }

    /// Waits until a job of a run is in this state.
    pub(crate) fn job_is(&self, run: u64, key: &str, state: &str) {
        self.until(&format!("/api/v1/runs/{run}/jobs"), |jobs| {
            let jobs = jobs["jobs"].as_array();
            jobs.is_some_and(|jobs| jobs.iter().any(|job| job["key"] == key && job["state"] == state))
        });
    }

    fn until(&self, path: &str, is: impl Fn(&Json) -> bool) -> Json {
        let begun = Instant::now();
        loop {
            let (_, found) = self.get(path);
            if is(&found) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} stays {found}");
            wait_a_moment();
        }
    }

    /// Ends it as the loss of power does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self, patience: Duration) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a number"));
        kill(pid, Signal::SIGTERM).expect("asked");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("asked") {
                return status.code();
            }
            assert!(begun.elapsed() < patience, "it does not stop");
            wait_a_moment();
        }
    }

    pub(crate) fn start_again(&mut self) {
        (self.child, self.address) = begin(&self.folder, &self.api);
    }

    /// What a second server on the same data folder says before it ends.
    pub(crate) fn second(&self) -> String {
        let mut second = command(&self.folder, &self.api).stderr(Stdio::piped()).spawn().expect("started");
        let mut said = String::new();
        second.stderr.take().expect("piped").read_to_string(&mut said).expect("read");
        assert!(!second.wait().expect("ended").success());
        said
    }

    /// Machines that have left something.
    pub(crate) fn machines(&self) -> usize {
        std::fs::read_dir(self.data().join("machines")).map_or(0, Iterator::count)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "another process says nothing by itself; it is asked, with a deadline"
)]
fn wait_a_moment() {
    std::thread::sleep(ASK_EVERY);
}

impl Drop for Server {
    fn drop(&mut self) {
        // Most tests have not ended it; that it is gone already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &TempDir, api: &str) -> Command {
    let mut command = Command::new(hearth_e2e::invocation::binary().expect("built"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(folder.path().join("hearth.yaml"))
        .arg("--data")
        .arg(folder.path().join("data"))
        .env("GITHUB_WEBHOOK_SECRET", SECRET)
        .env("GITHUB_TOKEN", "token-of-a-machine-user")
        .env("GITHUB_API_URL", api)
        .stdout(Stdio::piped());
    command
}

fn begin(folder: &TempDir, api: &str) -> (Child, SocketAddr) {
    let mut child = command(folder, api).spawn().expect("started");
    let mut first = String::new();
    let said = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first);
    assert!(said.is_ok_and(|bytes| bytes > 0), "hearth serve has not said where it listens");
    let address = first.trim().strip_prefix("http://").and_then(|address| address.parse().ok());
    (child, address.unwrap_or_else(|| panic!("no address: {first}")))
}
