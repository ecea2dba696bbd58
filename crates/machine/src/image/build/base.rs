//! The first stage: any root file system, as one tar file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::super::apt::{self, Suite};
use super::super::error::ImageError;
use super::super::hash;
use super::super::oci::Layout;
use super::super::packed::Packing;
use super::super::program::{APT_CONFIG, Call, MMDEBSTRAP, Tools};

/// The file that the stage leaves.
pub(super) const TAR: &str = "root.tar";

/// What a job can't start without.
const BARE: [&str; 4] = ["ca-certificates", "iproute2", "netbase", "sudo"];
/// What workflows take for granted on GitHub's machines, as far as Debian has it and it is small.
const COMMON: [&str; 29] = [
    "build-essential",
    "bzip2",
    "curl",
    "file",
    "git",
    "gnupg",
    "iputils-ping",
    "jq",
    "less",
    "lsb-release",
    "nodejs",
    "openssh-client",
    "patch",
    "pkg-config",
    "procps",
    "psmisc",
    "python-is-python3",
    "python3",
    "python3-pip",
    "python3-venv",
    "rsync",
    "time",
    "tzdata",
    "unzip",
    "wget",
    "xz-utils",
    "zip",
    "zlib1g-dev",
    "zstd",
];

/// The names of all packages that are asked for, sorted.
pub(super) fn packages(bare: bool, extra: &[String]) -> Result<Vec<String>, ImageError> {
    let common = if bare { &[][..] } else { &COMMON[..] };
    let mut all: Vec<String> = BARE.iter().chain(common).map(|name| (*name).to_owned()).collect();
    for name in extra {
        // https://www.debian.org/doc/debian-policy/ch-controlfields.html#source
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.');
        if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || !name.bytes().all(allowed) {
            return Err(ImageError::refused(format!("--package {name}"), "is no name of a package"));
        }
        all.push(name.clone());
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Installs packages into a root of their own.
pub(super) fn from_packages(
    tools: &Tools,
    suite: Suite,
    packages: &[String],
    sources: &[String],
    folder: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), ImageError> {
    let dump = tools.output(&Call::new(APT_CONFIG).args(["dump"]))?;
    let is_root = rustix::process::geteuid().is_root();
    let mode = if is_root { "root" } else { "unshare" };
    let mut call = Call::new(MMDEBSTRAP)
        .walled()
        .args([format!("--mode={mode}"), "--variant=minbase".to_owned(), "--format=tar".to_owned()])
        .args([format!("--include={}", packages.join(","))]);
    for option in apt::carried_options(&String::from_utf8_lossy(&dump)) {
        call = call.args([format!("--aptopt={option}")]);
    }
    if is_root {
        // apt's own user could not enter the folder.
        call = call.args(["--aptopt=APT::Sandbox::User \"root\""]);
        // What a killed build leaves there is removed with the stage's folder. An ordinary user's
        // can't lie there: nobody else, so none of the ids in its user namespace, may enter.
        call = call.environment("TMPDIR", folder);
    }
    call = call.args([suite.name(), "-"]).args(sources);
    let path = folder.join(TAR);
    let file = File::create_new(&path).map_err(ImageError::io("making", &path))?;
    tools.run(&call, Some(&file), None, say)
}

/// Takes a copy of a tar file, which must still be what was hashed.
pub(super) fn from_tar(tools: &Tools, from: &Path, sha256: &str, folder: &Path) -> Result<(), ImageError> {
    let mut source = File::open(from).map_err(ImageError::io("opening", from))?;
    let path = folder.join(TAR);
    let mut copy = File::create_new(&path).map_err(ImageError::io("making", &path))?;
    let packing = Packing::of_file(&mut source).map_err(ImageError::io("reading", from))?;
    let unpacked = packing.unpack(tools, &from.display().to_string(), source, u64::MAX, &mut copy)?;
    let found = if packing == Packing::Plain { unpacked } else { hash::of_file(from)? };
    if found.sha256 != sha256 {
        return Err(ImageError::refused(
            from.display().to_string(),
            "has changed while it was read; try again",
        ));
    }
    Ok(())
}

/// Puts the layers of an image together.
pub(super) fn from_oci(tools: &Tools, layout: &Layout, folder: &Path) -> Result<(), ImageError> {
    let layers = folder.join("layers");
    std::fs::create_dir(&layers).map_err(ImageError::io("making", &layers))?;
    let tree = layout.flatten(tools, &layers)?;
    let path = folder.join(TAR);
    let file = File::create_new(&path).map_err(ImageError::io("making", &path))?;
    let mut out = BufWriter::new(file);
    tree.write(&mut out).and_then(|()| out.flush()).map_err(ImageError::io("writing", &path))?;
    std::fs::remove_dir_all(&layers).map_err(ImageError::io("removing", &layers))
}
