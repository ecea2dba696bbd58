//! `hearth vm cp`: files and folders, into a machine and out of it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use guest::archive;
use server::client::{Body, Client, Method, escaped, reader, stream};
use server::machines::wire::KIND_HEADER;
use tokio::io::DuplexStream;
use tokio_util::io::SyncIoBridge;

/// Bytes on their way between the disk and the connection.
const PIPE_BYTES: usize = 256 * 1024;

/// The largest file that is sent as one; larger ones go as a stream, and are nowhere in memory as a whole.
const WHOLE_BYTES: u64 = 16 * 1024 * 1024;

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Here(&'a Path),
    Machine { id: &'a str, path: &'a str },
}

impl Place<'_> {
    /// `ID:PATH`, unless a slash comes before the colon: then it is a path of here.
    fn of(given: &str) -> Place<'_> {
        match given.split_once(':') {
            Some((id, path)) if !id.is_empty() && !id.contains('/') => {
                Place::Machine { id, path: if path.is_empty() { "." } else { path } }
            }
            _ => Place::Here(Path::new(given)),
        }
    }
}

/// Copies in one direction or the other.
pub(super) async fn copy(client: &Client, from: &str, to: &str) -> Result<()> {
    match (Place::of(from), Place::of(to)) {
        (Place::Here(from), Place::Machine { id, path }) => copy_in(client, from, id, path).await,
        (Place::Machine { id, path }, Place::Here(to)) => copy_out(client, id, path, to).await,
        (Place::Here(_), Place::Here(_)) => bail!("neither is a path of a machine: write ID:PATH"),
        (Place::Machine { .. }, Place::Machine { .. }) => {
            bail!("both are paths of machines: copy to a folder here first")
        }
    }
}

async fn copy_in(client: &Client, from: &Path, id: &str, path: &str) -> Result<()> {
    let found = fs::metadata(from).with_context(|| format!("can't copy {}", from.display()))?;
    let machine = super::machine(id);
    if found.is_dir() {
        let target = format!("{machine}/archive?path={}", escaped(path));
        let from = from.to_owned();
        client.succeed(Method::PUT, &target, packed(move |to| archive::pack(&from, to))).await?;
        return Ok(());
    }
    let path = match (path.ends_with('/') || path == ".", from.file_name()) {
        (true, Some(name)) => format!("{path}/{}", name.to_string_lossy()),
        _ => path.to_owned(),
    };
    if found.len() > WHOLE_BYTES {
        let (folder, name) = parted(&path).with_context(|| format!("{path} names no file"))?;
        let target = format!("{machine}/archive?path={}", escaped(folder));
        let (from, name) = (from.to_owned(), PathBuf::from(name));
        let body = packed(move |to| archive::pack_file_as(&from, &name, to));
        client.succeed(Method::PUT, &target, body).await?;
        return Ok(());
    }
    let data = fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
    let mode = found.permissions().mode() & 0o777;
    client
        .succeed(Method::PUT, &format!("{machine}/files?path={}&mode={mode:o}", escaped(&path)), data)
        .await?;
    Ok(())
}

/// The folder and the name in it that a path of a machine has.
fn parted(path: &str) -> Option<(&str, &str)> {
    let (folder, name) = match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", path),
    };
    (!["", ".", ".."].contains(&name)).then_some((folder, name))
}

/// A tar stream. One that can't be packed to its end breaks off.
fn packed(pack: impl FnOnce(SyncIoBridge<DuplexStream>) -> io::Result<()> + Send + 'static) -> Body {
    let (to, packed) = tokio::io::duplex(PIPE_BYTES);
    let packing = tokio::task::spawn_blocking(move || pack(SyncIoBridge::new(to)));
    stream(packed, async { packing.await.map_err(std::io::Error::other)? })
}

async fn copy_out(client: &Client, id: &str, path: &str, to: &Path) -> Result<()> {
    let source = format!("{}/archive?path={}", super::machine(id), escaped(path));
    let answer = client.succeed(Method::GET, &source, Body::empty()).await?;
    let is_file = answer.headers().get(KIND_HEADER).is_some_and(|kind| kind == "file");
    let tar = reader(answer.into_body());
    let to = to.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || {
        let tar = SyncIoBridge::new(tar);
        if is_file { unpack_file(&to, tar) } else { Ok(archive::unpack(&to, tar)?) }
    });
    unpacking.await?.with_context(|| format!("can't copy {path} of {id}"))
}

/// Puts the one file of an archive where it was wanted, when all of it is there.
fn unpack_file(to: &Path, tar: impl std::io::Read) -> Result<()> {
    let (folder, name): (PathBuf, _) = if to.is_dir() {
        (to.to_owned(), None)
    } else {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (folder.to_owned(), to.file_name())
    };
    let scratch = tempfile::Builder::new().prefix(".hearth-").tempdir_in(&folder)?;
    archive::unpack(scratch.path(), tar)?;
    let entry = fs::read_dir(scratch.path())?.next().context("the machine sent no file")??;
    if !entry.file_type()?.is_file() {
        bail!("the machine sent something that is no file");
    }
    let name = name.map_or_else(|| entry.file_name(), ToOwned::to_owned);
    fs::rename(entry.path(), folder.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_folder_and_a_name() {
        assert_eq!(parted("big"), Some((".", "big")));
        assert_eq!(parted("/big"), Some(("/", "big")));
        assert_eq!(parted("a/b/big"), Some(("a/b", "big")));
        for none in ["a/", "a/..", "."] {
            assert_eq!(parted(none), None, "{none}");
        }
    }

    #[test]
    fn a_colon_after_a_slash_is_part_of_a_name() {
        let machine = |id, path| Place::Machine { id, path };
        assert_eq!(Place::of("vm-1:/etc/hosts"), machine("vm-1", "/etc/hosts"));
        assert_eq!(Place::of("vm-1:a:b"), machine("vm-1", "a:b"));
        assert_eq!(Place::of("vm-1:"), machine("vm-1", "."));
        assert_eq!(Place::of("./a:b"), Place::Here(Path::new("./a:b")));
        assert_eq!(Place::of(":a"), Place::Here(Path::new(":a")));
    }
}
