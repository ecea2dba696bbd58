//! Archives from machines, made anew: only members that stay below wherever they are unpacked.
//!
//! The stream is written again, not passed on, so that two readers of tar can't differ about it. Of the
//! format's extensions only those are taken that an agent uses: others would let a few bytes stand for many.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use guest::archive::inside;
use tar::{Archive, Builder, Entry, EntryType, Header};

/// Permission bits that are kept: none that change user or group.
const PERMISSIONS: u32 = 0o777;

/// Bytes of the names of symbolic links that are remembered; a tree with more is refused. A large `node_modules`
/// has thousands, each of some hundred bytes.
const LINK_BYTES: usize = 32 * 1024 * 1024;

/// Longest name of a member, and of what a link leads to: Linux's own bound.
const NAME_BYTES: u64 = 4096;

/// Why an archive is not passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// A member has no place below a destination.
    #[error("the machine's archive has a member {member:?} that {reason}")]
    Member {
        /// Its name.
        member: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is no tar stream, or it broke off.
    #[error("the machine's archive is broken: {0}")]
    Broken(#[from] io::Error),
}

/// Copies a tar stream, member by member.
pub(super) fn sift(from: impl Read, to: impl Write) -> Result<(), Refused> {
    let mut sieve = Sieve {
        links: HashSet::new(),
        link_bytes: 0,
        long_name: None,
        long_target: None,
        to: Builder::new(to),
    };
    let mut archive = Archive::new(from);
    // Read raw: the library takes long names of any length into memory.
    for entry in archive.entries()?.raw(true) {
        sieve.member(entry?)?;
    }
    sieve.to.into_inner()?.flush()?;
    Ok(())
}

struct Sieve<W: Write> {
    /// Where a member may not go through.
    links: HashSet<PathBuf>,
    link_bytes: usize,
    /// What the next member is called, where its header has no room for that.
    long_name: Option<PathBuf>,
    /// What the next member leads to, where its header has no room for that.
    long_target: Option<PathBuf>,
    to: Builder<W>,
}

impl<W: Write> Sieve<W> {
    /// Keeps the name that this entry holds for the next, if it is one of that kind.
    fn keeps_name(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<bool, Refused> {
        let kept = match entry.header().entry_type() {
            EntryType::GNULongName => &mut self.long_name,
            EntryType::GNULongLink => &mut self.long_target,
            _ => return Ok(false),
        };
        *kept = Some(long(entry)?);
        Ok(true)
    }

    fn member(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), Refused> {
        if self.keeps_name(&mut entry)? {
            return Ok(());
        }
        let name = self.long_name.take().map_or_else(|| entry.path().map(Into::into), Ok)?;
        let target = self.long_target.take().map_or_else(|| target(&entry), |long| Ok(Some(long)))?;
        let refused = |reason| Refused::Member { member: name.clone(), reason };
        let path = inside(&name).map_err(refused)?;
        if path.as_os_str().is_empty() {
            // The root itself, as `tar c .` has it.
            return Ok(());
        }
        if path.ancestors().skip(1).any(|folder| self.links.contains(folder)) {
            return Err(refused("goes through a symbolic link"));
        }
        let kind = entry.header().entry_type();
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(entry.header().mode()? & PERMISSIONS);
        header.set_mtime(entry.header().mtime()?);
        header.set_size(0);
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                self.links.remove(&path);
                header.set_entry_type(EntryType::Regular);
                header.set_size(entry.size());
                let size = entry.size();
                self.to.append_data(&mut header, &path, Whole { from: &mut entry, left: size })?;
            }
            EntryType::Directory => self.to.append_data(&mut header, &path, io::empty())?,
            EntryType::Symlink => {
                let target = target.ok_or_else(|| refused("links to nothing"))?;
                self.link_bytes += path.as_os_str().len();
                if self.link_bytes > LINK_BYTES {
                    return Err(refused("is one symbolic link too many"));
                }
                self.links.insert(path.clone());
                self.to.append_link(&mut header, &path, target)?;
            }
            EntryType::Link => {
                let target = target.ok_or_else(|| refused("links to nothing"))?;
                let target = inside(&target).map_err(refused)?;
                if target.ancestors().any(|folder| self.links.contains(folder)) {
                    return Err(refused("links through a symbolic link"));
                }
                self.to.append_link(&mut header, &path, target)?;
            }
            EntryType::XGlobalHeader => {}
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return Err(refused("is a device or a pipe"));
            }
            _ => return Err(refused("no agent packs")),
        }
        Ok(())
    }
}

/// What a link leads to, by its header.
fn target(entry: &Entry<'_, impl Read>) -> io::Result<Option<PathBuf>> {
    Ok(entry.link_name()?.map(Into::into))
}

/// A name that has a member of its own; NUL ends it.
fn long(entry: &mut Entry<'_, impl Read>) -> Result<PathBuf, Refused> {
    if entry.size() > NAME_BYTES + 1 {
        let member = entry.path()?.into_owned();
        return Err(Refused::Member { member, reason: "is a name longer than any" });
    }
    let mut name = Vec::new();
    entry.read_to_end(&mut name)?;
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    Ok(OsString::from_vec(name).into())
}

/// Exactly so many bytes: a member that ends early would shift all that follow.
struct Whole<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member of any name: the library refuses to write the bad ones.
    fn member(tar: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, target: &str, data: &[u8]) {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_mtime(1);
        header.set_size(data.len() as u64);
        header.set_cksum();
        tar.append(&header, data).unwrap();
    }

    /// Kind, name, target, content.
    type Member = (EntryType, &'static str, &'static str, &'static [u8]);

    fn sifted(members: &[Member]) -> Result<Vec<u8>, Refused> {
        let mut tar = Builder::new(Vec::new());
        for (kind, name, target, data) in members {
            member(&mut tar, *kind, name, target, data);
        }
        let mut out = Vec::new();
        sift(&tar.into_inner().unwrap()[..], &mut out).map(|()| out)
    }

    #[test]
    fn a_good_tree_arrives_whole_and_without_bits_that_change_the_user() {
        let long = "d/".repeat(60) + "file";
        let mut tar = Builder::new(Vec::new());
        member(&mut tar, EntryType::Directory, "d", "", b"");
        member(&mut tar, EntryType::Regular, "d/tool", "", b"#!/bin/sh");
        member(&mut tar, EntryType::Symlink, "link", "/anywhere", b"");
        member(&mut tar, EntryType::Link, "hard", "d/tool", b"");
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        header.set_mtime(1);
        tar.append_data(&mut header, &long, &b"abc"[..]).unwrap();
        let mut out = Vec::new();
        sift(&tar.into_inner().unwrap()[..], &mut out).unwrap();
        let mut archive = Archive::new(&out[..]);
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut data = String::new();
            entry.read_to_string(&mut data).unwrap();
            assert_eq!(entry.header().mode().unwrap() & 0o7000, 0);
            found.push((entry.path().unwrap().display().to_string(), data));
        }
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["d", "d/tool", "link", "hard", &long]);
        assert_eq!((found[1].1.as_str(), found[4].1.as_str()), ("#!/bin/sh", "abc"));
    }

    #[test]
    fn a_member_that_climbs_out_is_refused() {
        use EntryType::{Fifo, Link, Regular, Symlink};
        let bad: &[&[Member]] = &[
            &[(Regular, "../x", "", b"")],
            &[(Regular, "a/../../x", "", b"")],
            &[(Regular, "/etc/passwd", "", b"")],
            &[(Symlink, "d", "/etc", b""), (Regular, "d/passwd", "", b"")],
            &[(Symlink, "d", "..", b""), (Regular, "./d/x/y", "", b"")],
            &[(Link, "x", "../x", b"")],
            &[(Link, "x", "/etc/shadow", b"")],
            &[(Symlink, "d", "/etc", b""), (Link, "x", "d/shadow", b"")],
            &[(Fifo, "x", "", b"")],
        ];
        for members in bad {
            assert!(matches!(sifted(members), Err(Refused::Member { .. })), "{members:?}");
        }
        assert!(sifted(&[(Regular, "..x", "", b"1")]).is_ok());
    }

    #[test]
    fn a_few_bytes_that_stand_for_many_are_refused_before_they_are_read() {
        // Of these members only the header is there: who went on would say that the archive is broken.
        let mut name = Header::new_gnu();
        name.set_entry_type(EntryType::GNULongName);
        let mut attributes = Header::new_ustar();
        attributes.set_entry_type(EntryType::XHeader);
        let mut sparse = Header::new_gnu();
        sparse.set_entry_type(EntryType::GNUSparse);
        for mut header in [name, attributes, sparse] {
            header.set_path("x").unwrap();
            header.set_mode(0o644);
            header.set_mtime(1);
            header.set_size(1 << 33);
            header.set_cksum();
            let refused = sift(&header.as_bytes()[..], io::sink());
            assert!(matches!(refused, Err(Refused::Member { .. })), "{refused:?}");
        }
    }

    #[test]
    fn a_link_leads_where_it_did_however_long_that_is_to_say() {
        let long = "t/".repeat(100) + "target";
        let mut tar = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        header.set_mtime(1);
        header.set_size(0);
        tar.append_link(&mut header, "d/".repeat(60) + "link", &long).unwrap();
        let mut out = Vec::new();
        sift(&tar.into_inner().unwrap()[..], &mut out).unwrap();
        let mut archive = Archive::new(&out[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().components().count(), 61);
        assert_eq!(entry.link_name().unwrap().unwrap().to_str(), Some(long.as_str()));
    }

    #[test]
    fn an_archive_that_breaks_off_or_is_none_is_refused() {
        let mut tar = Builder::new(Vec::new());
        member(&mut tar, EntryType::Regular, "x", "", &[7; 2000]);
        let whole = tar.into_inner().unwrap();
        assert!(matches!(sift(&whole[..1500], io::sink()), Err(Refused::Broken(_))));
        assert!(matches!(sift(&[9; 4096][..], io::sink()), Err(Refused::Broken(_))));
    }
}
