//! The root as the machines mount it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::super::dress;
use super::super::error::ImageError;
use super::super::program::{Call, SQFSTAR, Tools};
use super::super::store::ROOT;
use super::super::tree::{Tree, Whiteouts};
use super::Compression;

/// The list of packages that the stage leaves, one a line.
const PACKAGES: &str = "packages";

/// Dresses the root in a tar file, and makes a read-only file system of it.
pub(super) fn make(
    tools: &Tools,
    tar: &Path,
    origin: &str,
    compression: Compression,
    folder: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), ImageError> {
    let mut tree = Tree::default();
    let file = File::open(tar).map_err(ImageError::io("opening", tar))?;
    tree.add_layer(file, Whiteouts::Plain, origin)?;
    dress::dress(&mut tree, origin)?;
    let packages = dress::packages(&tree)?;
    let list = folder.join(PACKAGES);
    fs::write(&list, packages.join("\n")).map_err(ImageError::io("writing", &list))?;
    say(&format!("{} files, {} packages", tree.iter().count(), packages.len()));
    let path = folder.join(ROOT);
    // No time of its own: the same tree is the same file. The top has no member in the archive.
    let call = Call::new(SQFSTAR)
        .args(["-comp", compression.name(), "-mkfs-time", "0", "-root-time", "0"])
        .args(["-root-mode", "0755", "-root-uid", "0", "-root-gid", "0", "-no-progress", "-quiet"])
        .args([&path]);
    let input = |to: &mut dyn Write| {
        let mut to = BufWriter::with_capacity(1 << 16, to);
        tree.write(&mut to)?;
        to.flush()
    };
    tools.run(&call, None, Some(&input), say)?;
    let bytes = fs::metadata(&path).map_err(ImageError::io("looking at", &path))?.len();
    say(&format!("{} MiB with {}", bytes >> 20, compression.name()));
    Ok(())
}

/// The packages of a finished stage.
pub(super) fn packages(folder: &Path) -> Result<Vec<String>, ImageError> {
    let path = folder.join(PACKAGES);
    let text = fs::read_to_string(&path).map_err(ImageError::io("reading", &path))?;
    Ok(text.lines().map(str::to_owned).collect())
}
