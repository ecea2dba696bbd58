//! `hearth backup`, `hearth restore`: the data folder of a server, copied and put back.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scheduler::identity::{KEY_FILE as OIDC_KEY, OLD_KEY_FILE as OLD_OIDC_KEY};
use store::backup;

use crate::args::{BackupArgs, PlaceArgs, RestoreArgs};
use crate::config::Config;
use crate::data::{self, DataFolder};
use crate::exit;
use crate::serve::FIRST_TOKEN;

/// What a backup has beside the database and the key: logs, what runs have left, the administrator's token, and what
/// signs who jobs are.
const PARTS: [&str; 5] = ["logs", ARTIFACTS, FIRST_TOKEN, OIDC_KEY, OLD_OIDC_KEY];

/// Where artifacts are: the largest part, and the one that can most easily be made anew.
const ARTIFACTS: &str = "runs";

/// Writes a backup, whether or not a server has the folder.
pub(crate) fn backup(args: &BackupArgs) -> Result<u8> {
    let data = place(&args.places)?;
    let folder = data::existing(data.clone());
    let folder = folder.with_context(|| match data {
        Some(data) => format!("there is no data folder {}", data.display()),
        None => "there is no data folder; name one with --data".to_owned(),
    })?;
    let parts = PARTS.into_iter().filter(|part| !args.without_artifacts || *part != ARTIFACTS);
    backup::write_beside(&folder, &parts.collect::<Vec<_>>(), &args.to)?;
    say!("{}", args.to.display());
    eprintln!("hearth: it has the key of the secrets in it: keep it as you keep {}", folder.display());
    Ok(exit::SUCCESS)
}

/// Puts a backup in the place of what is there.
pub(crate) fn restore(args: &RestoreArgs) -> Result<u8> {
    if !args.from.is_dir() {
        bail!("{} is no folder; a backup is one, as `hearth backup` has written it", args.from.display());
    }
    let data = DataFolder::open(place(&args.places)?)?;
    backup::restore(&args.from, data.root())?;
    say!("{}", data.root().display());
    let replaced = data.root().join(backup::REPLACED_FOLDER);
    if is_filled(&replaced) {
        eprintln!("hearth: what was there before is in {}: remove it when all is well", replaced.display());
    } else {
        // A next restore finds no trace of this one.
        let _ = std::fs::remove_dir(&replaced);
    }
    Ok(exit::SUCCESS)
}

/// The data folder that is named or configured.
fn place(places: &PlaceArgs) -> Result<Option<PathBuf>> {
    let config = Config::load(places.config.as_deref())?;
    Ok(places.data.clone().or(config.data))
}

fn is_filled(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}
