//! `cargo xtask picture pages`: pictures of the pages of a server, with made-up records, for the guide.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{cargo, check, root};

/// Where the guide looks for them.
const PICTURES: &str = "docs/guide/pages";

/// Largest picture: who reads the guide has it in a moment, and a clone stays small.
const MAX_BYTES: u64 = 150_000;

/// Serves the pages of the example, and has a browser take pictures of them.
pub(crate) fn run() -> Result<()> {
    check(&mut cargo(["build", "--quiet", "-p", "hearth-server", "--example", "pages"]))?;
    let mut serve =
        cargo(["run", "--quiet", "-p", "hearth-server", "--example", "pages", "--", "127.0.0.1:0"]);
    let mut serving = serve.stdout(Stdio::piped()).spawn().context("can't run the example")?;
    let taken = take(&mut serving);
    // An interrupt, so that it removes its folder; cargo has become the example.
    kill(Pid::from_raw(i32::try_from(serving.id())?), Signal::SIGINT)?;
    serving.wait()?;
    taken?;
    small_enough()
}

fn take(serving: &mut Child) -> Result<()> {
    let mut first = String::new();
    BufReader::new(serving.stdout.take().context("no pipe from the example")?).read_line(&mut first)?;
    let Some((url, token)) = first.trim().split_once(" token ") else {
        bail!("the example says {first:?} instead of its address")
    };
    let premises = serde_json::json!({
        "url": url, "tokens": {"admin": token}, "pictures": root().join(PICTURES),
    });
    let mut browser = Command::new("node")
        .arg(root().join("e2e/clients/src/browser.js"))
        .arg("pictures")
        .stdin(Stdio::piped())
        .spawn()
        .context("can't run node; cargo xtask setup installs it")?;
    browser.stdin.take().context("no pipe to the browser")?.write_all(premises.to_string().as_bytes())?;
    ensure!(browser.wait()?.success(), "no pictures were taken");
    Ok(())
}

fn small_enough() -> Result<()> {
    for entry in std::fs::read_dir(root().join(PICTURES))? {
        let entry = entry?;
        let bytes = entry.metadata()?.len();
        ensure!(bytes <= MAX_BYTES, "{} has {bytes} bytes", entry.path().display());
    }
    Ok(())
}
