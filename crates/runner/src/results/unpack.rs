//! Unpacks an artifact's zip. It comes from a job, so nothing in it is trusted.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Bytes of all files together: an artifact on GitHub may have 10 GB when it is packed.
const UNPACKED_BYTES: u64 = 20 * 1024 * 1024 * 1024;

/// Files of an artifact; GitHub advises against more than 10,000.
const ENTRIES: usize = 500_000;

/// The file type bits of a Unix mode, and their value for a link.
const TYPE_BITS: u32 = 0o170_000;
const LINK: u32 = 0o120_000;

/// Unpacks into an empty folder. Names that lead out of it, and links, are errors.
pub(super) fn unpack(file: File, into: &Path) -> io::Result<()> {
    unpack_bounded(file, into, UNPACKED_BYTES)
}

fn unpack_bounded(file: File, into: &Path, limit: u64) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(io::Error::other)?;
    if archive.len() > ENTRIES {
        return Err(io::Error::other(format!("it has more than {ENTRIES} files")));
    }
    let mut left = limit;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(io::Error::other)?;
        let shown = entry.name().to_owned();
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{shown:?}: {error}"));
        let Some(name) = entry.enclosed_name() else {
            return Err(named(io::Error::other("the name leads out of the artifact")));
        };
        if entry.unix_mode().is_some_and(|mode| mode & TYPE_BITS == LINK) {
            return Err(named(io::Error::other("links are not unpacked")));
        }
        let path = into.join(name);
        if entry.is_dir() {
            fs::create_dir_all(path).map_err(named)?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(named)?;
        }
        // The size that an entry claims is not what limits it.
        let mut output = File::create_new(path).map_err(named)?;
        let written = io::copy(&mut entry.take(left.saturating_add(1)), &mut output).map_err(named)?;
        if written > left {
            return Err(named(io::Error::other(format!("the artifact unpacks to more than {limit} bytes"))));
        }
        left -= written;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn unpacked(
        limit: u64,
        fill: impl FnOnce(&mut zip::ZipWriter<File>),
    ) -> (tempfile::TempDir, io::Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        fill(&mut writer);
        writer.finish().unwrap();
        let into = folder.path().join("in/to");
        fs::create_dir_all(&into).unwrap();
        let result = unpack_bounded(File::open(path).unwrap(), &into, limit);
        (folder, result)
    }

    fn file(writer: &mut zip::ZipWriter<File>, name: &str, text: &str) {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn files_and_folders_are_unpacked() {
        let (folder, result) = unpacked(100, |zip| file(zip, "a/b.txt", "text"));
        result.unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("in/to/a/b.txt")).unwrap(), "text");
    }

    #[test]
    fn names_that_climb_out_and_links_are_refused() {
        for name in ["../../out", "/out", "a/../../../out"] {
            let (folder, result) = unpacked(100, |zip| file(zip, name, "x"));
            let escaped = folder.path().join("out").exists() || Path::new("/out").exists();
            assert!(result.is_err() && !escaped, "{name}");
        }
        let link = |zip: &mut zip::ZipWriter<File>| {
            zip.add_symlink("link", "/etc", SimpleFileOptions::default()).unwrap();
            file(zip, "link/passwd", "x");
        };
        assert!(unpacked(100, link).1.unwrap_err().to_string().contains("links are not unpacked"));
    }

    #[test]
    fn a_bomb_ends_at_the_bound() {
        let (_folder, result) = unpacked(1000, |zip| file(zip, "bomb", &"0".repeat(100_000)));
        assert!(result.unwrap_err().to_string().contains("more than 1000 bytes"));
    }
}
