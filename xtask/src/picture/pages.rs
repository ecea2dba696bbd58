//! `cargo xtask picture pages`: pictures of the pages of a server, with made-up records, for the guide.

use anyhow::{Result, ensure};

use crate::browser::{Build, play};
use crate::command::root;

/// Where the guide looks for them.
const PICTURES: &str = "docs/guide/pages";

/// Largest picture: who reads the guide has it in a moment, and a clone stays small.
const MAX_BYTES: u64 = 150_000;

/// Serves the pages of the example, and has a browser take pictures of them.
pub(crate) fn run() -> Result<()> {
    let folder = root().join(PICTURES);
    play("pictures", Build::Debug, &folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let bytes = entry.metadata()?.len();
        ensure!(bytes <= MAX_BYTES, "{} has {bytes} bytes", entry.path().display());
    }
    Ok(())
}
