//! The process `hearth serve`.

use std::fs::DirBuilder;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use tempfile::TempDir;

use super::forge::Forge;
use super::http::ask;
use super::repository::Repository;

/// What webhooks are signed with.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What the server speaks to the forge with.
pub const TOKEN: &str = "token-of-a-machine-user";

/// Opens nothing: the key of the tests of `forge`.
const APP_KEY: &str = include_str!("../../../crates/forge/src/github/app/test_key_pkcs1.pem");

/// Long enough for anything that happens here at all, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a server is asked how things stand.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Any port of the loopback.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running server; it is killed when this is dropped.
pub struct Server {
    folder: TempDir,
    setting: Setting,
    child: Child,
    address: SocketAddr,
}

/// What a server is started with, besides its configuration.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// More of its environment.
    pub env: Vec<(&'static str, String)>,
    /// Commands of a shell that come first, in a mount namespace of the server's own; `$DATA` is its data folder.
    pub mounted: Option<&'static str>,
    /// Whether what it says on stderr is kept, for [`Server::said`].
    pub is_heard: bool,
    /// A data folder whose images of virtual machines it uses.
    pub images_of: Option<PathBuf>,
    /// Where the forge's API is; [`Server::set`] says it.
    pub api: String,
}

impl Server {
    /// Starts one on a fresh data folder.
    pub fn start(repository: &Repository, forge: &Forge) -> Server {
        Server::configured(repository, forge, json!({}))
    }

    /// Starts one that is a GitHub App, with more below `serve` in its configuration.
    pub fn as_app(repository: &Repository, forge: &Forge, serve: Json) -> Server {
        let mut config = json!({"serve": serve});
        config["serve"]["github"] = json!({"app": {"id": "Iv1.hearth", "private-key": "app.pem"}});
        Server::configured(repository, forge, config)
    }

    /// Starts one with more in its configuration.
    pub fn configured(repository: &Repository, forge: &Forge, config: Json) -> Server {
        Server::set(repository, forge, config, Setting::default())
    }

    /// The same, in a setting.
    pub fn set(repository: &Repository, forge: &Forge, mut config: Json, setting: Setting) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        config["serve"]["github"]["clone-from"] = json!(repository.template());
        if let Some(key) = config.pointer_mut("/serve/github/app/private-key") {
            let path = folder.path().join("app.pem");
            std::fs::write(&path, APP_KEY).expect("written");
            *key = path.to_str().expect("text").into();
        }
        std::fs::write(folder.path().join("hearth.yaml"), config.to_string()).expect("written");
        DirBuilder::new().mode(0o700).create(folder.path().join("data")).expect("made");
        if let Some(lender) = &setting.images_of {
            for name in ["images", "qemu-canary.json"] {
                let link = folder.path().join("data").join(name);
                std::os::unix::fs::symlink(lender.join(name), link).expect("linked");
            }
        }
        let setting = Setting { api: forge.url(), ..setting };
        let (child, address) = begin(&folder, &setting, ANYWHERE);
        Server { folder, setting, child, address }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its data folder, as it sees it.
    pub fn data(&self) -> PathBuf {
        let data = self.folder.path().join("data");
        match self.setting.mounted {
            Some(_) => {
                let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
                root.join(data.strip_prefix("/").expect("absolute"))
            }
            None => data,
        }
    }

    /// What it has said on stderr.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("said")).expect("heard")
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A signed webhook; its answer.
    pub fn deliver(&self, event: &str, payload: &Json, guid: &str) -> (u16, Json) {
        let body = payload.to_string();
        let signature = sign(&body);
        let headers =
            [("X-GitHub-Event", event), ("X-GitHub-Delivery", guid), ("X-Hub-Signature-256", &signature)];
        self.post("/webhook", &body, &headers)
    }

    /// Posts JSON; the status, and the answer.
    pub fn post(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> (u16, Json) {
        let (status, body) = ask(self.address, &format!("POST {path}"), headers, body).expect("an answer");
        (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
    }

    /// Tells the API something as its administrator: method and path, and JSON.
    pub fn tell(&self, what: &str, body: &Json) -> (u16, Json) {
        let authorization = self.authorization();
        let headers = [("Authorization", authorization.as_str())];
        let (status, body) = ask(self.address, what, &headers, &body.to_string()).expect("an answer");
        (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
    }

    /// The whole log of a job of a run.
    pub fn log(&self, run: u64, key: &str) -> String {
        let jobs = self.get(&format!("/api/v1/runs/{run}/jobs")).1;
        let job = jobs["jobs"].as_array().and_then(|jobs| jobs.iter().find(|job| job["key"] == key));
        let id = &job.unwrap_or_else(|| panic!("no job {key}: {jobs}"))["id"];
        self.page(&format!("/runs/{run}/jobs/{id}/log.txt"))
    }

    /// Asks the API as its administrator.
    pub fn get(&self, path: &str) -> (u16, Json) {
        let (status, body) = self.read(path);
        (status, serde_json::from_slice(&body).unwrap_or(Json::Null))
    }

    /// What a signed-in person's browser gets there.
    pub fn page(&self, path: &str) -> String {
        let (status, body) = self.read(path);
        assert_eq!(status, 200, "{path}");
        String::from_utf8_lossy(&body).into_owned()
    }

    /// What somebody gets whom nobody knows.
    pub fn without_token(&self, path: &str) -> (u16, Vec<u8>) {
        ask(self.address, &format!("GET {path}"), &[], "").expect("an answer")
    }

    fn read(&self, path: &str) -> (u16, Vec<u8>) {
        let headers = [("Authorization", self.authorization())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        ask(self.address, &format!("GET {path}"), &headers, "").expect("an answer")
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.admin_token())
    }

    /// The token of its administrator.
    pub fn admin_token(&self) -> String {
        let token = std::fs::read_to_string(self.data().join("admin-token")).expect("a token");
        token.trim().to_owned()
    }

    /// Waits for the end of a run.
    pub fn ended(&self, run: u64) -> Json {
        self.until(&format!("/api/v1/runs/{run}"), |run| run["state"] == "ended")
    }

    /// Waits until a run is in this state.
    pub fn some_run_is(&self, state: &str) {
        let is_one = |found: &Json| found["runs"].as_array().is_some_and(|runs| !runs.is_empty());
        self.until(&format!("/api/v1/runs?state={state}"), is_one);
    }

    /// Waits until a delivery is in this state.
    pub fn delivery_is(&self, id: u64, state: &str) {
        self.until(&format!("/api/v1/deliveries/{id}"), |delivery| delivery["state"] == state);
    }

    /// All that a list of the API has, over its pages.
    pub fn all(&self, path: &str, key: &str) -> Vec<Json> {
        let (mut all, mut page) = (Vec::new(), self.get(path).1);
        loop {
            all.extend(page[key].as_array().cloned().unwrap_or_default());
            match page["next"].as_u64() {
                Some(next) => page = self.get(&format!("{path}?before={next}")).1,
                None => return all,
            }
        }
    }

    /// Waits until a job of a run is in this state.
    pub fn job_is(&self, run: u64, key: &str, state: &str) {
        self.until(&format!("/api/v1/runs/{run}/jobs"), |jobs| {
            let jobs = jobs["jobs"].as_array();
            jobs.is_some_and(|jobs| jobs.iter().any(|job| job["key"] == key && job["state"] == state))
        });
    }

    /// Waits until a page has a line that begins so.
    pub fn page_has(&self, path: &str, line: &str) {
        let begun = Instant::now();
        loop {
            let page = self.page(path);
            if page.lines().any(|has| has.starts_with(line)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} has no {line}:\n{page}");
            wait_a_moment();
        }
    }

    /// Waits until what the API says there is so.
    pub fn until(&self, path: &str, is: impl Fn(&Json) -> bool) -> Json {
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
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self, patience: Duration) -> Option<i32> {
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

    /// Starts it again on the same data folder; its address is another one.
    pub fn start_again(&mut self) {
        (self.child, self.address) = begin(&self.folder, &self.setting, ANYWHERE);
    }

    /// The same, and its address is what it was.
    pub fn start_again_there(&mut self) {
        (self.child, self.address) = begin(&self.folder, &self.setting, self.address);
    }

    /// What a second server on the same data folder says before it ends.
    pub fn second(&self) -> String {
        let mut second =
            command(&self.folder, &self.setting, ANYWHERE).stderr(Stdio::piped()).spawn().expect("started");
        let mut said = String::new();
        second.stderr.take().expect("piped").read_to_string(&mut said).expect("read");
        assert!(!second.wait().expect("ended").success());
        said
    }

    /// Waits until no machine has left anything: a run may end a moment before its last machine is gone.
    pub fn no_machine_is_left(&self) {
        let begun = Instant::now();
        let machines = self.data().join("machines");
        while std::fs::read_dir(&machines).is_ok_and(|mut left| left.next().is_some()) {
            assert!(begun.elapsed() < PATIENCE, "machines stay in {}", machines.display());
            wait_a_moment();
        }
    }
}

/// `X-Hub-Signature-256` of a webhook for these servers.
pub fn sign(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digest}")
}

/// Waits before asking another process again.
#[expect(
    clippy::disallowed_methods,
    reason = "another process says nothing by itself; it is asked, with a deadline"
)]
pub fn wait_a_moment() {
    std::thread::sleep(ASK_EVERY);
}

impl Drop for Server {
    fn drop(&mut self) {
        // Most tests have not ended it; that it is gone already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &TempDir, setting: &Setting, listen: SocketAddr) -> Command {
    let hearth = crate::invocation::binary().expect("built");
    let data = folder.path().join("data");
    let mut command = match setting.mounted {
        None => Command::new(hearth),
        Some(first) => {
            let mut command = Command::new("unshare");
            let script = format!("set -e; {first}; exec \"$@\"");
            command.args(["--mount", "sh", "-c", &script, "sh"]).arg(hearth).env("DATA", &data);
            command
        }
    };
    command
        .args(["serve", "--listen", &listen.to_string(), "--config"])
        .arg(folder.path().join("hearth.yaml"))
        .arg("--data")
        .arg(data)
        .env("GITHUB_WEBHOOK_SECRET", SECRET)
        .env("GITHUB_TOKEN", TOKEN)
        .env("GITHUB_API_URL", &setting.api)
        .env_remove("RUST_LOG")
        .env_remove("HEARTH_JWT_SECRET")
        .envs(setting.env.iter().map(|(name, value)| (*name, value.as_str())))
        .stdout(Stdio::piped());
    if setting.is_heard {
        command.stderr(std::fs::File::create(folder.path().join("said")).expect("made"));
    }
    command
}

fn begin(folder: &TempDir, setting: &Setting, listen: SocketAddr) -> (Child, SocketAddr) {
    let mut child = command(folder, setting, listen).spawn().expect("started");
    let mut first = String::new();
    let said = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first);
    assert!(said.is_ok_and(|bytes| bytes > 0), "hearth serve has not said where it listens");
    let address = first.trim().strip_prefix("http://").and_then(|address| address.parse().ok());
    (child, address.unwrap_or_else(|| panic!("no address: {first}")))
}
