//! Writing a tree as a tar file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::{ContentId, Kind, Meta, Tree};

/// Bytes of a name that fit into a header.
const NAME: usize = 100;
/// The largest number in the eight octal digits of an owner.
const MAX_OWNER: u64 = 0o777_7777;

impl Tree {
    /// Writes all there is, every directory before what is in it. The same tree is the same bytes.
    pub(crate) fn write(&self, out: impl Write) -> io::Result<()> {
        let mut archive = Builder::new(out);
        let mut written: BTreeMap<ContentId, &Path> = BTreeMap::new();
        for (path, node) in self.iter() {
            match &node.kind {
                Kind::Directory => member(&mut archive, path, EntryType::Directory, &node.meta, b"", None)?,
                Kind::Symlink(to) => {
                    member(&mut archive, path, EntryType::Symlink, &node.meta, to.as_bytes(), None)?;
                }
                Kind::Character { major, minor } => {
                    let device = Some((*major, *minor));
                    member(&mut archive, path, EntryType::Char, &node.meta, b"", device)?;
                }
                Kind::Block { major, minor } => {
                    let device = Some((*major, *minor));
                    member(&mut archive, path, EntryType::Block, &node.meta, b"", device)?;
                }
                Kind::Fifo => member(&mut archive, path, EntryType::Fifo, &node.meta, b"", None)?,
                Kind::File(id) => match written.get(id) {
                    Some(first) => {
                        let first = first.as_os_str().as_bytes();
                        member(&mut archive, path, EntryType::Link, &node.meta, first, None)?;
                    }
                    None => {
                        written.insert(*id, path);
                        let mut header = header(EntryType::Regular, &node.meta);
                        header.set_size(self.contents[id.0].bytes());
                        extended(&mut archive, &mut header, path, &node.meta, b"")?;
                        archive.append(&header, self.open(*id)?)?;
                    }
                },
            }
        }
        archive.into_inner()?.flush()
    }
}

fn member(
    archive: &mut Builder<impl Write>,
    path: &Path,
    kind: EntryType,
    meta: &Meta,
    link: &[u8],
    device: Option<(u32, u32)>,
) -> io::Result<()> {
    let mut header = header(kind, meta);
    if let Some((major, minor)) = device {
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    extended(archive, &mut header, path, meta, link)?;
    archive.append(&header, io::empty())
}

fn header(kind: EntryType, meta: &Meta) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(meta.mode);
    header.set_uid(meta.uid.min(MAX_OWNER));
    header.set_gid(meta.gid.min(MAX_OWNER));
    header.set_mtime(meta.mtime);
    header.set_size(0);
    header
}

/// Puts names into the header, and what does not fit there before it.
fn extended(
    archive: &mut Builder<impl Write>,
    header: &mut Header,
    path: &Path,
    meta: &Meta,
    link: &[u8],
) -> io::Result<()> {
    let mut name = path.as_os_str().as_bytes().to_vec();
    if header.entry_type().is_dir() {
        name.push(b'/');
    }
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    if name.len() > NAME {
        records.push(("path".to_owned(), name.clone()));
    }
    if link.len() > NAME {
        records.push(("linkpath".to_owned(), link.to_vec()));
    }
    for (key, owner) in [("uid", meta.uid), ("gid", meta.gid)] {
        if owner > MAX_OWNER {
            records.push((key.to_owned(), owner.to_string().into_bytes()));
        }
    }
    let attributes = meta.attributes.iter();
    records.extend(attributes.map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.clone())));
    archive.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
    let old = header.as_old_mut();
    for (field, value) in [(&mut old.name, &name[..]), (&mut old.linkname, link)] {
        let fits = value.len().min(NAME);
        field[..fits].copy_from_slice(&value[..fits]);
    }
    header.set_cksum();
    Ok(())
}
