//! Archives from machines, made anew: only members that stay below wherever they are unpacked.
//!
//! The stream is written again, not passed on, so that two readers of tar can't differ about it.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Builder, Entry, EntryType, Header};

/// Permission bits that are kept: none that change user or group.
const PERMISSIONS: u32 = 0o777;

/// Symbolic links that are remembered; a tree with more is refused. A large `node_modules` has thousands.
const LINKS: usize = 100_000;

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
    let mut sieve = Sieve { links: HashSet::new(), to: Builder::new(to) };
    let mut archive = Archive::new(from);
    for entry in archive.entries()? {
        sieve.member(entry?)?;
    }
    sieve.to.into_inner()?.flush()?;
    Ok(())
}

struct Sieve<W: Write> {
    /// Where a member may not go through.
    links: HashSet<PathBuf>,
    to: Builder<W>,
}

impl<W: Write> Sieve<W> {
    fn member(&mut self, mut entry: Entry<'_, impl Read>) -> Result<(), Refused> {
        let name = entry.path()?.into_owned();
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
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.links.remove(&path);
                header.set_entry_type(EntryType::Regular);
                header.set_size(entry.size());
                let size = entry.size();
                self.to.append_data(&mut header, &path, Whole { from: &mut entry, left: size })?;
            }
            EntryType::Directory => self.to.append_data(&mut header, &path, io::empty())?,
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| refused("links to nothing"))?.into_owned();
                if self.links.len() == LINKS {
                    return Err(refused("is one symbolic link too many"));
                }
                self.links.insert(path.clone());
                self.to.append_link(&mut header, &path, target)?;
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or_else(|| refused("links to nothing"))?;
                let target = inside(&target).map_err(refused)?;
                if target.ancestors().any(|folder| self.links.contains(folder)) {
                    return Err(refused("links through a symbolic link"));
                }
                self.to.append_link(&mut header, &path, target)?;
            }
            EntryType::XGlobalHeader => {}
            _ => return Err(refused("is a device or a pipe")),
        }
        Ok(())
    }
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

/// The path without `.`, if it stays below where it starts.
fn inside(name: &Path) -> Result<PathBuf, &'static str> {
    let mut path = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("climbs out by `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("is an absolute path"),
        }
    }
    Ok(path)
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
    fn an_archive_that_breaks_off_or_is_none_is_refused() {
        let mut tar = Builder::new(Vec::new());
        member(&mut tar, EntryType::Regular, "x", "", &[7; 2000]);
        let whole = tar.into_inner().unwrap();
        assert!(matches!(sift(&whole[..1500], io::sink()), Err(Refused::Broken(_))));
        assert!(matches!(sift(&[9; 4096][..], io::sink()), Err(Refused::Broken(_))));
    }
}
