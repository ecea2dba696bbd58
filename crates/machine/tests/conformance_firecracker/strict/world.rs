//! What the server's VM is: the documented states, and which request leads from one to the next.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::description::{Description, Phase};

/// What Firecracker says to a call that comes too late.
const AFTER_START: &str = "The requested operation is not supported after starting the microVM.";
/// What it says to one that comes too early.
const BEFORE_START: &str = "The requested operation is not supported before starting the microVM.";

/// How the VM stands, as `GET /` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    NotStarted,
    Running,
    Paused,
}

/// What a request led to.
pub(crate) enum Answer {
    /// 204, and perhaps something for the server to do.
    Done(Deed),
    /// 200, with this body.
    Told(Value),
    /// 400, with this fault message.
    Refused(String),
    /// 400, after which the process ends.
    RefusedForGood(String),
}

/// What the server has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Nothing,
    /// Let the guest listen on this socket.
    OpenGuest(Option<PathBuf>),
}

/// The VM.
pub(crate) struct World {
    description: Description,
    root: PathBuf,
    id: String,
    state: State,
    configured: bool,
    boot_source: bool,
    vsock: Option<String>,
    /// Every request that was accepted, in order.
    pub(crate) accepted: Vec<String>,
}

impl World {
    /// A VM whose process has `root` as its working folder.
    pub(crate) fn new(description: Description, root: &Path, id: &str) -> Self {
        Self {
            description,
            root: root.to_owned(),
            id: id.to_owned(),
            state: State::NotStarted,
            configured: false,
            boot_source: false,
            vsock: None,
            accepted: Vec::new(),
        }
    }

    /// Judges a request and carries it out.
    pub(crate) fn request(&mut self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let description = self.description.clone();
        let operation = match description.operation(method, path) {
            Ok(operation) => operation,
            Err(reason) => return Answer::Refused(format!("Invalid request method and/or path: {reason}")),
        };
        let problems = operation.problems(&description, body);
        if !problems.is_empty() {
            let problems = problems.join("; ");
            return Answer::Refused(format!(
                "An error occurred when deserializing the json body: {problems}"
            ));
        }
        match (operation.phase(), self.state) {
            (Phase::BeforeBoot, State::Running | State::Paused) => {
                return Answer::Refused(AFTER_START.to_owned());
            }
            (Phase::AfterBoot, State::NotStarted) => return Answer::Refused(BEFORE_START.to_owned()),
            _ => {}
        }
        let answer = self.carry_out(method, operation.path, body.unwrap_or(&Value::Null));
        if !matches!(answer, Answer::Refused(_) | Answer::RefusedForGood(_)) {
            self.accepted.push(format!("{method} {path}"));
        }
        answer
    }

    fn carry_out(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        match (method, path) {
            ("GET", "/") => Answer::Told(self.describe()),
            ("PUT", "/actions") => self.act(body),
            ("PUT", "/snapshot/load") => self.load(body),
            ("PUT", "/snapshot/create") => self.create(body),
            ("PATCH", "/vm") => {
                self.state = if body["state"] == "Paused" { State::Paused } else { State::Running };
                done()
            }
            ("PUT", "/logger" | "/metrics") => done(),
            ("PUT", path) => self.configure(path, body),
            _ => done(),
        }
    }

    fn describe(&self) -> Value {
        let state = match self.state {
            State::NotStarted => "Not started",
            State::Running => "Running",
            State::Paused => "Paused",
        };
        json!({"app_name": "Firecracker", "id": self.id, "state": state, "vmm_version": "1.16.1"})
    }

    fn configure(&mut self, path: &str, body: &Value) -> Answer {
        for field in ["kernel_image_path", "initrd_path", "path_on_host"] {
            if let Some(refused) = self.missing(&body[field]) {
                return refused;
            }
        }
        self.configured = true;
        self.boot_source |= path == "/boot-source";
        if path == "/vsock" {
            self.vsock = body["uds_path"].as_str().map(str::to_owned);
        }
        done()
    }

    fn act(&mut self, body: &Value) -> Answer {
        if body["action_type"] != "InstanceStart" {
            return done();
        }
        if !self.boot_source {
            return Answer::Refused("Cannot start microvm without kernel configuration.".to_owned());
        }
        self.state = State::Running;
        Answer::Done(Deed::OpenGuest(self.vsock.as_ref().map(|path| self.root.join(path))))
    }

    fn create(&mut self, body: &Value) -> Answer {
        if self.state != State::Paused {
            return Answer::Refused("Create snapshot error: the microVM is not paused".to_owned());
        }
        let state = json!({"vsock": self.vsock, "strict": 1}).to_string();
        for (field, bytes) in [("snapshot_path", state.as_bytes()), ("mem_file_path", &[0; 4096])] {
            let file = body[field].as_str().unwrap_or_default();
            // What a snapshot brought belongs to others: the jail's user may not open it for writing.
            let written = std::fs::File::create_new(self.root.join(file));
            if let Err(error) = written.and_then(|mut file| std::io::Write::write_all(&mut file, bytes)) {
                return Answer::Refused(format!("Create snapshot error: {file}: {error}"));
            }
        }
        done()
    }

    fn load(&mut self, body: &Value) -> Answer {
        if self.configured {
            return Answer::RefusedForGood(
                "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources."
                    .to_owned(),
            );
        }
        let backend = &body["mem_backend"];
        if backend.is_null() == body["mem_file_path"].is_null() {
            let reason = "specify exactly one of `mem_backend` and `mem_file_path`";
            return Answer::RefusedForGood(format!("Bad request: {reason}"));
        }
        for path in [&body["snapshot_path"], &backend["backend_path"], &body["mem_file_path"]] {
            if let Some(Answer::Refused(reason)) = self.missing(path) {
                return Answer::RefusedForGood(format!("Load snapshot error: {reason}"));
            }
        }
        let text = std::fs::read(self.root.join(body["snapshot_path"].as_str().unwrap_or_default()));
        let Some(saved) = text.ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok()) else {
            return Answer::RefusedForGood("Load snapshot error: CRC mismatch".to_owned());
        };
        self.vsock = saved["vsock"].as_str().map(str::to_owned);
        self.state = if body["resume_vm"] == true { State::Running } else { State::Paused };
        Answer::Done(Deed::OpenGuest(self.vsock.as_ref().map(|path| self.root.join(path))))
    }

    fn missing(&self, path: &Value) -> Option<Answer> {
        let path = path.as_str()?;
        let error = std::fs::File::open(self.root.join(path)).err()?;
        Some(Answer::Refused(format!("Unable to open {path}: {error}")))
    }
}

fn done() -> Answer {
    Answer::Done(Deed::Nothing)
}
