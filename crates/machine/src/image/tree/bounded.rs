//! A layer of which each header takes little memory: the library that reads it holds names and attributes of any length.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Most that is read for one member, its content apart: names are a few hundred bytes, and Linux bounds an extended
/// attribute at 64 KiB.
const MEMBER_BYTES: u64 = 4 * 1024 * 1024;

/// Reads headers from a layer. Contents are passed over by seeking, which costs nothing of the bound.
pub(super) struct Bounded<'a> {
    layer: &'a File,
    left: Cell<u64>,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(layer: &'a File) -> Self {
        Self { layer, left: Cell::new(MEMBER_BYTES) }
    }

    /// What is read from here on is of the next member.
    pub(super) fn member_begins(&self) {
        self.left.set(MEMBER_BYTES);
    }
}

impl Read for &Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left.get()).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            return Err(io::Error::other("a member has names and attributes of more than 4 MiB"));
        }
        let read = Read::read(&mut &*self.layer, &mut buffer[..most])?;
        self.left.set(self.left.get() - read as u64);
        Ok(read)
    }
}

impl Seek for &Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        Seek::seek(&mut &*self.layer, to)
    }
}
