//! SHA-256 of what goes by.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::ImageError;
use super::manifest::FileRecord;

/// Bytes read at once: few calls, and small beside any machine's memory.
const CHUNK: usize = 256 * 1024;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SHA-256 of parts, each with its length before it: no two lists of parts are alike.
pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

/// SHA-256 of bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Hash and size of a file.
pub(crate) fn of_file(path: &Path) -> Result<FileRecord, ImageError> {
    let mut file = File::open(path).map_err(ImageError::io("opening", path))?;
    copy(&mut file, &mut io::sink()).map_err(ImageError::io("reading", path))
}

/// Copies all there is; hash and size of it.
pub(crate) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<FileRecord> {
    let mut digest = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(FileRecord { sha256: hex(&digest.finalize()), bytes }),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
}
