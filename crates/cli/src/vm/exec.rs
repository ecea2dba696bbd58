//! `hearth vm exec`: a command, with its output as it comes.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::{Context, Result, bail};
use server::client::{Client, Lines, Method};
use server::machines::wire::{Exec, ExecLine, Output};

use crate::args::VmExecArgs;

/// Bytes of standard input that a request takes.
const STDIN_BYTES: u64 = 1024 * 1024;

/// Runs it. Its exit code.
pub(super) async fn exec(client: &Client, wanted: VmExecArgs) -> Result<u8> {
    let path = format!("{}/exec", super::machine(&wanted.id));
    let body = Exec {
        argv: wanted.argv,
        env: environment(&wanted.env)?,
        working_dir: wanted.workdir,
        user: wanted.user,
        stdin: if wanted.stdin { Some(standard_input()?) } else { None },
        timeout_seconds: wanted.timeout,
    };
    let answer = client.succeed(Method::POST, &path, serde_json::to_vec(&body)?).await?;
    let mut lines = Lines::new(answer.into_body());
    while let Some(line) = lines.next().await? {
        match line {
            ExecLine::Started { .. } => {}
            ExecLine::Stdout(output) => show(&mut std::io::stdout(), output)?,
            ExecLine::Stderr(output) => show(&mut std::io::stderr(), output)?,
            ExecLine::Exited { exit_code, timed_out, .. } => {
                if timed_out {
                    eprintln!("hearth: the command was killed: its time was up");
                }
                // A code that does not fit must not become a success.
                return Ok(u8::try_from(exit_code).unwrap_or(u8::MAX));
            }
            ExecLine::Error { error } => bail!("{error}"),
        }
    }
    bail!("the server broke off: nobody knows how the command ended")
}

fn environment(given: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |given: &String| {
        let (name, value) =
            given.split_once('=').with_context(|| format!("--env {given}: write NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

fn standard_input() -> Result<String> {
    let mut input = String::new();
    std::io::stdin()
        .take(STDIN_BYTES + 1)
        .read_to_string(&mut input)
        .context("can't read standard input as text")?;
    if input.len() as u64 > STDIN_BYTES {
        bail!(
            "standard input has more than {STDIN_BYTES} bytes; copy it into the machine with `hearth vm cp`"
        );
    }
    Ok(input)
}

/// Writes output as it was. A reader that has gone away is no error.
fn show(to: &mut impl Write, output: Output) -> Result<()> {
    let bytes = output.into_bytes().context("the server sent output that is not base64")?;
    let _ = to.write_all(&bytes).and_then(|()| to.flush());
    Ok(())
}
