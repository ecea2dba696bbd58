//! Commands that speak to a server, as people type them.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

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

/// A command that goes on.
pub struct Begun {
    child: Child,
    reader: BufReader<ChildStdout>,
    out: String,
}

impl Begun {
    /// Waits until it has printed this line.
    pub fn until(&mut self, line: &str) {
        loop {
            let begin = self.out.len();
            assert!(self.reader.read_line(&mut self.out).expect("text") > 0, "no {line:?}: {}", self.out);
            if self.out[begin..].trim_end() == line {
                return;
            }
        }
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        self.reader.read_to_string(&mut self.out).expect("text");
        let ended = self.child.wait_with_output().expect("ended");
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        Ended { code: ended.status.code(), out: self.out, err }
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

    /// The same, while it goes on.
    pub fn begin(&self, args: &[&str]) -> Begun {
        let mut command = Command::new(binary().expect("built"));
        let command =
            command.args(args).env("HEARTH_SERVER", self.url()).env("HEARTH_TOKEN", self.admin_token());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let reader = BufReader::new(child.stdout.take().expect("piped"));
        Begun { child, reader, out: String::new() }
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
