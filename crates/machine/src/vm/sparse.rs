//! Copies of files with holes: only what was written takes time and place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// What a page of zeros is left out by: the smallest that memory is used by.
const PAGE_BYTES: usize = 4096;

/// Copies `from` to `to`, which is empty, leaving out holes and pages of zeros. The bytes written.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<u64> {
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut buffer = vec![0; PIECE_BYTES];
    let (mut at, mut written) = (0, 0);
    while let Some((begin, end)) = next_data(from, at, length)? {
        at = begin;
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            from.read_exact_at(&mut buffer[..piece], at)?;
            written += write_pages(to, at, &buffer[..piece])?;
            at += piece as u64;
        }
    }
    Ok(written)
}

/// The next range at or after `at` that is no hole.
fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    let begin = match seek(file, SeekFrom::Data(at)) {
        Ok(begin) => begin,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some((begin, seek(file, SeekFrom::Hole(begin))?)))
}

/// Writes runs of pages that are not all zeros.
fn write_pages(to: &File, at: u64, data: &[u8]) -> io::Result<u64> {
    let mut written = 0;
    let (mut run, mut offset) = (0, 0);
    for page in data.chunks(PAGE_BYTES) {
        let zeros = page.iter().all(|byte| *byte == 0);
        if zeros {
            to.write_all_at(&data[run..offset], at + run as u64)?;
            written += (offset - run) as u64;
            run = offset + page.len();
        }
        offset += page.len();
    }
    to.write_all_at(&data[run..], at + run as u64)?;
    Ok(written + (data.len() - run) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_and_holes_are_not_written() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.set_len(64 * 1024 * 1024).unwrap();
        from.write_all_at(b"first", 10).unwrap();
        from.write_all_at(&[7; 3 * PAGE_BYTES], 5_000_000).unwrap();
        from.write_all_at(b"last", 64 * 1024 * 1024 - 4).unwrap();
        from.write_all_at(&[0; 1_000_000], 30_000_000).unwrap();
        let written = copy(&from, &to).unwrap();
        assert!(written <= 16 * PAGE_BYTES as u64, "{written}");
        let mut read = [0; 5];
        for (at, expected) in [(10, &b"first"[..]), (64 * 1024 * 1024 - 4, b"last"), (5_000_000, &[7; 5])] {
            let read = &mut read[..expected.len()];
            to.read_exact_at(read, at).unwrap();
            assert_eq!(read, expected);
        }
        assert_eq!(to.metadata().unwrap().len(), from.metadata().unwrap().len());
    }

    #[test]
    fn an_empty_file_is_copied() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        assert_eq!(copy(&from, &to).unwrap(), 0);
    }
}
