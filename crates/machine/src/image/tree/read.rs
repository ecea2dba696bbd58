//! Reading layers into a tree.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use super::super::error::ImageError;
use super::bounded::Bounded;
use super::{Content, Kind, MAX_MEMBERS, Meta, Node, Tree};

/// The unit of tar files.
const BLOCK: u64 = 512;
/// Marks of OCI layers: <https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts>.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Longest path of a file, on Linux.
const PATH_BYTES: usize = 4096;
/// Most that all extended attributes are together; images have them for a few dozen files.
const ATTRIBUTES_BYTES: usize = 256 * 1024 * 1024;
/// How extended attributes are called in tar files.
const ATTRIBUTE: &str = "SCHILY.xattr.";

/// Whether names that begin with `.wh.` remove what lower layers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whiteouts {
    /// They are names as any other.
    Plain,
    /// As OCI layers have it.
    Obeyed,
}

impl Tree {
    /// Adds an uncompressed tar file on top. `origin` is for errors.
    ///
    /// # Errors
    /// At a member that climbs out, is of an unknown kind, or is cut; the tree is of no use then.
    pub(crate) fn add_layer(
        &mut self,
        mut layer: File,
        whiteouts: Whiteouts,
        origin: &str,
    ) -> Result<(), ImageError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ImageError::refused(origin, "ends in the middle: it is truncated")
            }
            _ => ImageError::refused(origin, format!("is no good tar file ({error})")),
        };
        let start = |layer: &mut File| layer.seek(SeekFrom::Start(0)).map_err(failed);
        if whiteouts == Whiteouts::Obeyed {
            // They mean the layers below only, wherever in the file they stand.
            start(&mut layer)?;
            let bounded = Bounded::new(&layer);
            for entry in Archive::new(&bounded).entries_with_seek().map_err(failed)? {
                let name = member_name(&entry.map_err(failed)?, origin)?;
                self.white_out(&name);
                bounded.member_begins();
            }
        }
        start(&mut layer)?;
        let handle = layer.try_clone().map_err(failed)?;
        let number = self.layers.len();
        self.layers.push(layer);
        let mut end = 0;
        let bounded = Bounded::new(&handle);
        for entry in Archive::new(&bounded).entries_with_seek().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            bounded.member_begins();
            end = entry.raw_file_position() + entry.size().next_multiple_of(BLOCK);
            let name = member_name(&entry, origin)?;
            self.members += 1;
            if self.members > MAX_MEMBERS {
                return Err(ImageError::refused(origin, format!("has more than {MAX_MEMBERS} members")));
            }
            if whiteouts == Whiteouts::Obeyed && is_whiteout(&name) {
                continue;
            }
            let at = format!("{origin}: {}", name.display());
            self.member(&mut entry, &name, number, &at)?;
        }
        // The digest of an OCI layer has shown that it is whole, and some builders (umoci 0.4) leave the marker out.
        let unmarked = whiteouts == Whiteouts::Obeyed && handle.metadata().map_err(failed)?.len() == end;
        if unmarked { Ok(()) } else { ends_properly(&handle, end).map_err(failed) }
    }

    fn member(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        name: &Path,
        layer: usize,
        origin: &str,
    ) -> Result<(), ImageError> {
        let refused = |reason: &str| ImageError::refused(origin, reason);
        let broken = |error: io::Error| ImageError::refused(origin, format!("has a broken header ({error})"));
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader || name.as_os_str().is_empty() {
            return Ok(());
        }
        let path = self.place(name).ok_or_else(|| refused("has no name"))?;
        let meta = meta(entry).map_err(broken)?;
        self.attribute_bytes +=
            meta.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.attribute_bytes > ATTRIBUTES_BYTES {
            return Err(refused(
                "is one of too many with extended attributes: they are more than 256 MiB together",
            ));
        }
        let header = entry.header();
        let number = |field: io::Result<Option<u32>>| field.ok().flatten().unwrap_or(0);
        let device = (number(header.device_major()), number(header.device_minor()));
        let kind = match kind {
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                let (offset, bytes) = (entry.raw_file_position(), entry.size());
                Kind::File(self.add(Content::Stored { layer, offset, bytes }))
            }
            EntryType::Symlink => Kind::Symlink(OsStr::from_bytes(&target(entry, origin)?).to_owned()),
            EntryType::Link => {
                let target = inside(&target(entry, origin)?, origin)?;
                let there = self.place(&target).and_then(|target| self.nodes.get(&target).cloned());
                let there = there.ok_or_else(|| refused("is a hard link to something that is not there"))?;
                if there.kind == Kind::Directory {
                    return Err(refused("is a hard link to a directory"));
                }
                self.put(&path, there);
                return Ok(());
            }
            EntryType::Char => Kind::Character { major: device.0, minor: device.1 },
            EntryType::Block => Kind::Block { major: device.0, minor: device.1 },
            EntryType::Fifo => Kind::Fifo,
            EntryType::GNUSparse => return Err(refused("is sparse; make the archive without --sparse")),
            _ => return Err(refused("is of a kind that no file has")),
        };
        self.put(&path, Node { kind, meta });
        Ok(())
    }

    /// Where a member goes: links on the way are followed, as when it is unpacked in a root of its
    /// own; its own name is not.
    fn place(&self, name: &Path) -> Option<PathBuf> {
        let last = name.file_name()?;
        let mut at = PathBuf::new();
        for part in name.parent().into_iter().flatten() {
            let next = at.join(part);
            at = match self.get(&next).map(|node| &node.kind) {
                // A link to nothing, or round and round, gives way to the folder that is wanted here.
                Some(Kind::Symlink(_)) => self.follow(&next).unwrap_or(next),
                _ => next,
            };
        }
        Some(at.join(last))
    }

    fn white_out(&mut self, name: &Path) {
        if !is_whiteout(name) {
            return;
        }
        let Some(place) = self.place(name) else { return };
        let folder = place.parent().unwrap_or(Path::new("")).to_owned();
        let last = place.file_name().unwrap_or_default().as_bytes();
        if last == OPAQUE {
            for below in self.below(&folder) {
                self.nodes.remove(&below);
            }
        } else if let Some(hidden) = last.strip_prefix(WHITEOUT) {
            self.remove(&folder.join(OsStr::from_bytes(hidden)));
        }
    }
}

fn is_whiteout(name: &Path) -> bool {
    let last = name.file_name().map(OsStr::as_bytes).unwrap_or_default();
    last.strip_prefix(WHITEOUT).is_some_and(|hidden| !hidden.is_empty())
}

fn member_name(entry: &Entry<'_, impl Read>, origin: &str) -> Result<PathBuf, ImageError> {
    inside(&entry.path_bytes(), origin)
}

/// The name without `.`, if it stays below where it starts. A leading `/` is the root of the tree, as tar and
/// container engines take it: some builders write it.
fn inside(name: &[u8], origin: &str) -> Result<PathBuf, ImageError> {
    let refused = |reason| {
        let member = String::from_utf8_lossy(name);
        ImageError::refused(format!("{origin}: {member}"), reason)
    };
    if name.len() > PATH_BYTES {
        let begins = String::from_utf8_lossy(&name[..60]);
        return Err(ImageError::refused(
            format!("{origin}: {begins}…"),
            "has a longer name than any file has",
        ));
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(refused("climbs out by `..`")),
        }
    }
    Ok(path)
}

fn target(entry: &Entry<'_, impl Read>, origin: &str) -> Result<Vec<u8>, ImageError> {
    let target = entry.link_name_bytes().ok_or_else(|| ImageError::refused(origin, "links to nothing"))?;
    if target.len() > PATH_BYTES {
        return Err(ImageError::refused(origin, "leads to a longer path than any file has"));
    }
    Ok(target.into_owned())
}

fn meta(entry: &mut Entry<'_, impl Read>) -> io::Result<Meta> {
    let header = entry.header();
    let mode = header.mode()? & 0o7777;
    let (uid, gid, mtime) = (header.uid()?, header.gid()?, header.mtime()?);
    let mut meta = Meta { mode, uid, gid, mtime, attributes: Vec::new() };
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            let (Ok(key), value) = (extension.key(), extension.value_bytes()) else { continue };
            let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            match (key, number()) {
                ("uid", Some(uid)) => meta.uid = uid,
                ("gid", Some(gid)) => meta.gid = gid,
                _ => {
                    if let Some(name) = key.strip_prefix(ATTRIBUTE) {
                        meta.attributes.push((name.to_owned(), value.to_vec()));
                    }
                }
            }
        }
    }
    Ok(meta)
}

/// A whole tar file ends with blocks of zeros; one that was cut between two members does not.
fn ends_properly(mut layer: &File, end: u64) -> io::Result<()> {
    let mut block = [1; BLOCK as usize];
    layer.seek(SeekFrom::Start(end))?;
    layer.read_exact(&mut block)?;
    if block.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
