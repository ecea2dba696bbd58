//! Archives in the kernel's own form for initial RAM disks: cpio "newc".
//!
//! <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>

use std::io::{self, Write};

/// Everything in an archive begins at a multiple of this.
const ALIGNMENT: usize = 4;
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// What every header begins with, and its size: thirteen fields of eight digits follow.
const MAGIC: &str = "070701";
const HEADER: usize = 110;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// Writes one archive. All belongs to root and has no time, so that the same content is the same bytes.
pub(crate) struct Writer<W> {
    out: W,
    inode: u32,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.member(path, DIRECTORY | 0o755, 2, &[])
    }

    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.member(path, FILE | permissions, 1, content)
    }

    /// Writes the end and gives back the output; another archive may follow.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.member(TRAILER, 0, 1, &[])?;
        Ok(self.out)
    }

    fn member(&mut self, path: &str, mode: u32, links: u32, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, format!("{path}: over 4 GiB")))?;
        let name_size = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
        self.inode += 1;
        // inode, mode, uid, gid, links, time, size, device (2), device of a node (2), size of the name, checksum
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0];
        let mut header = MAGIC.to_owned();
        fields.iter().for_each(|field| header.push_str(&format!("{field:08x}")));
        header.push_str(path);
        header.push('\0');
        self.aligned(header.as_bytes())?;
        self.aligned(content)
    }

    fn aligned(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; ALIGNMENT][..bytes.len().next_multiple_of(ALIGNMENT) - bytes.len()])
    }
}

/// Where the first of several archives ends, right behind its trailer. `None`: there is no whole archive.
pub(crate) fn first_end(archives: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        let header = archives.get(at..at.checked_add(HEADER)?)?;
        let field = |index: usize| {
            let digits = header.get(6 + index * 8..14 + index * 8)?;
            usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        if !header.starts_with(MAGIC.as_bytes()) {
            return None;
        }
        let name_end = at.checked_add(HEADER)?.checked_add(field(11)?)?;
        let name = archives.get(at + HEADER..name_end.checked_sub(1)?)?;
        let content_end = name_end.next_multiple_of(ALIGNMENT).checked_add(field(6)?)?;
        at = content_end.checked_next_multiple_of(ALIGNMENT)?;
        if name == TRAILER.as_bytes() {
            return (at <= archives.len()).then_some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_archive_is_aligned_and_the_same_content_is_the_same_bytes() {
        let made = || {
            let mut writer = Writer::new(Vec::new());
            writer.directory("modules").unwrap();
            writer.file("modules/a.ko", 0o644, b"12345").unwrap();
            writer.finish().unwrap()
        };
        let archive = made();
        assert_eq!(archive, made());
        assert_eq!(archive.len() % ALIGNMENT, 0);
        let starts: Vec<usize> =
            (0..archive.len() - 6).filter(|at| &archive[*at..*at + 6] == b"070701").collect();
        assert_eq!(starts.len(), 3);
        assert!(starts.iter().all(|start| start % ALIGNMENT == 0), "{starts:?}");
        // mode and size of the file
        let header = &archive[starts[1]..];
        assert_eq!((&header[14..22], &header[54..62]), (&b"000081a4"[..], &b"00000005"[..]));
        assert!(archive.ends_with(b"TRAILER!!!\0\0\0\0"));
    }

    #[test]
    fn the_end_of_an_archive_is_found_and_a_cut_one_has_none() {
        let mut writer = Writer::new(Vec::new());
        writer.file("a", 0o644, b"12345").unwrap();
        let mut archives = writer.finish().unwrap();
        let end = archives.len();
        archives.extend(b"more");
        assert_eq!(first_end(&archives), Some(end));
        assert!((0..end).all(|cut| first_end(&archives[..cut]).is_none()));
        archives[54..62].copy_from_slice(b"ffffffff");
        assert_eq!(first_end(&archives), None);
    }
}
