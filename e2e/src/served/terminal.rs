//! Commands that speak to a server, as people type them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::process::Server;
use crate::invocation::binary;

/// What a command came to.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none where a signal has ended it.
    pub code: Option<i32>,
    /// What it has printed.
    pub out: String,
    /// What it has said beside.
    pub err: String,
}

impl Ended {
    /// What it has printed, as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// What a command of somebody who may read the data folder comes to, with this on its standard input.
    pub fn hearth(&self, args: &[&str], input: &str) -> Ended {
        run(Command::new(binary().expect("built")).env("HEARTH_DATA", self.data()), args, input)
    }

    /// What a command of somebody with this token comes to.
    pub fn hearth_as(&self, token: &str, args: &[&str]) -> Ended {
        let mut command = Command::new(binary().expect("built"));
        run(command.env("HEARTH_SERVER", self.url()).env("HEARTH_TOKEN", token), args, "")
    }

    /// Waits until there is a run.
    pub fn until_run(&self, run: u64) {
        self.until(&format!("/api/v1/runs/{run}"), |run| run["id"].is_u64());
    }
}

fn run(command: &mut Command, args: &[&str], input: &str) -> Ended {
    let pipes = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("started");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("read");
    let ended = child.wait_with_output().expect("ended");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: ended.status.code(), out: text(&ended.stdout), err: text(&ended.stderr) }
}
