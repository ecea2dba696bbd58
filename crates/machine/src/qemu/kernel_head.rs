//! The kernel of a machine that is restored. It has booted already, and runs in its memory; but QEMU makes a board
//! like the one that it booted on only if it is given a kernel, and keeps all of that for as long as it runs. So it
//! gets the head, which is all that it looks at (<https://docs.kernel.org/arch/x86/boot.html>).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How the header of a `bzImage` begins, and where.
const HEADER: (usize, &[u8]) = (0x202, b"HdrS");
/// Sectors of setup code after the first; 0 means 4.
const SETUP_SECTORS_AT: usize = 0x1f1;
const SECTOR_BYTES: usize = 512;
/// Where the header ends, in any version of the boot protocol.
const HEADER_END: usize = 2 * SECTOR_BYTES;

/// Writes the head of a kernel to `to`. The path of the kernel for QEMU: the head's, or the whole one's if it is not
/// of that form.
pub(super) fn keep(kernel: &Path, to: &Path) -> io::Result<PathBuf> {
    let mut file = File::open(kernel)?;
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(HEADER_END as u64).read_to_end(&mut start)?;
    let Some(length) = length(&start) else { return Ok(kernel.to_owned()) };
    let rest = (length - start.len()) as u64;
    let mut head = File::create_new(to)?;
    io::copy(&mut start.chain(file.take(rest)), &mut head)?;
    Ok(to.to_owned())
}

/// Bytes of the head: the setup code, and a sector of what it would load.
fn length(start: &[u8]) -> Option<usize> {
    let (at, word) = HEADER;
    if start.len() < HEADER_END || !start[at..].starts_with(word) {
        return None;
    }
    let sectors = match start[SETUP_SECTORS_AT] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    Some((1 + sectors + 1) * SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with so many sectors of setup code, as its header says it.
    fn kernel(said: u8) -> Vec<u8> {
        let mut kernel: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
        kernel[SETUP_SECTORS_AT] = said;
        kernel[HEADER.0..][..4].copy_from_slice(HEADER.1);
        kernel
    }

    #[test]
    fn the_head_is_the_setup_code_and_a_sector_and_what_is_no_such_kernel_stays_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, head) = (folder.path().join("whole"), folder.path().join("head"));
        for (said, sectors) in [(27, 29), (1, 3), (0, 6)] {
            std::fs::write(&whole, kernel(said)).unwrap();
            assert_eq!(keep(&whole, &head).unwrap(), head);
            assert_eq!(std::fs::read(&head).unwrap(), kernel(said)[..sectors * SECTOR_BYTES], "{said}");
            std::fs::remove_file(&head).unwrap();
        }
        for other in [&b"\x7fELF"[..], &[0; 4096]] {
            std::fs::write(&whole, other).unwrap();
            assert_eq!(keep(&whole, &head).unwrap(), whole);
            assert!(!head.exists());
        }
    }
}
