//! Files in memory, for what a program insists on reading from a file and no disk may hold.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use rustix::fs::{MemfdFlags, Mode};

/// A file without a name on any disk. It is gone with its owner, even one that is killed.
#[derive(Debug)]
pub(crate) struct MemoryFile(File);

impl MemoryFile {
    /// Holds these bytes, for this user alone.
    pub(crate) fn new(bytes: &[u8]) -> io::Result<Self> {
        let file = rustix::fs::memfd_create("hearth", MemfdFlags::CLOEXEC)?;
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(bytes)?;
        Ok(MemoryFile(file))
    }

    /// Where other processes of this user find it while it lives. It needs no quotes in a shell.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_can_read_it_while_it_lives() {
        let file = MemoryFile::new(b"key\n").unwrap();
        let read = || std::process::Command::new("cat").arg(file.path()).output().unwrap();
        assert_eq!(read().stdout, b"key\n");
        assert_eq!(read().stdout, b"key\n", "each reads it from the start");
    }
}
