//! A browser over pages with made-up records: those of the server's example.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{cargo, check, root};
use crate::setup;

/// How the example is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Quickly.
    Debug,
    /// As users have it, for what is measured.
    Release,
}

/// Plays a story of `e2e/clients/src/browser`; what it prints.
pub(crate) fn play(story: &str, build: Build, pictures: &Path) -> Result<String> {
    setup::run()?;
    let mut example = vec!["--quiet", "-p", "hearth-server", "--example", "pages"];
    if build == Build::Release {
        example.push("--release");
    }
    check(cargo(["build"]).args(&example))?;
    let mut serve = cargo(["run"]);
    serve.args(&example).args(["--", "127.0.0.1:0"]);
    let mut serving = serve.stdout(Stdio::piped()).spawn().context("can't run the example")?;
    let said = drive(&mut serving, story, pictures);
    // An interrupt, so that it removes its folder; cargo has become the example.
    kill(Pid::from_raw(i32::try_from(serving.id())?), Signal::SIGINT)?;
    serving.wait()?;
    said
}

fn drive(serving: &mut Child, story: &str, pictures: &Path) -> Result<String> {
    let mut first = String::new();
    BufReader::new(serving.stdout.take().context("no pipe from the example")?).read_line(&mut first)?;
    let Some((url, token)) = first.trim().split_once(" token ") else {
        bail!("the example says {first:?} instead of its address")
    };
    let premises = serde_json::json!({"url": url, "tokens": {"admin": token}, "pictures": pictures});
    let mut browser = Command::new("node")
        .arg(root().join("e2e/clients/src/browser.js"))
        .arg(story)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't run node; cargo xtask setup installs it")?;
    browser.stdin.take().context("no pipe to the browser")?.write_all(premises.to_string().as_bytes())?;
    let played = browser.wait_with_output()?;
    ensure!(played.status.success(), "the story {story} failed");
    Ok(String::from_utf8(played.stdout)?)
}
