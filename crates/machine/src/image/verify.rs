//! Whether an image is still what its manifest says.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::hash;
use super::manifest::FileRecord;
use super::store::{Image, ROOT};

/// Notes that the root was found whole, beside the files of the image.
pub(crate) const MEMO: &str = "verified.json";

/// How thoroughly an image is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Before each use: kernel and initial RAM disk are read; the root is read once, and again when
    /// its file is not the same any more by size and time of modification.
    Memo,
    /// Everything is read.
    Full,
}

/// The file that was read when the root was last found whole.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Memo {
    sha256: String,
    bytes: u64,
    modified_ns: i128,
}

/// Compares the files of an image with its manifest.
pub(crate) fn files(image: &Image, depth: Depth) -> Result<(), ImageError> {
    for (name, record) in image.manifest.named_files() {
        let path = image.folder.join(name);
        let damaged = |reason: String| ImageError::Damaged {
            image: image.id.short().to_owned(),
            file: name.to_owned(),
            reason,
        };
        let found = fs::metadata(&path).map_err(|error| damaged(format!("can't be read ({error})")))?;
        if found.len() != record.bytes {
            return Err(damaged(format!("has {} bytes instead of {}", found.len(), record.bytes)));
        }
        let memo = memo(record, &found);
        let memo_path = image.folder.join(MEMO);
        if name == ROOT && depth == Depth::Memo && is_noted(&memo, &memo_path) {
            continue;
        }
        let sha256 = hash::of_file(&path)?.sha256;
        if sha256 != record.sha256 {
            return Err(damaged(format!("has the SHA-256 {sha256} instead of {}", record.sha256)));
        }
        if name == ROOT {
            note(&memo, &memo_path);
        }
    }
    Ok(())
}

fn memo(record: &FileRecord, found: &fs::Metadata) -> Memo {
    Memo {
        sha256: record.sha256.clone(),
        bytes: found.len(),
        modified_ns: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
    }
}

fn is_noted(memo: &Memo, path: &Path) -> bool {
    let noted = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Memo>(&text).ok());
    noted.as_ref() == Some(memo)
}

/// Where it can't be noted, the next use reads the root again.
fn note(memo: &Memo, path: &Path) {
    let Some(folder) = path.parent() else { return };
    let Ok(text) = serde_json::to_vec(memo) else { return };
    if let Ok(mut file) = tempfile::NamedTempFile::new_in(folder)
        && file.write_all(&text).is_ok()
    {
        let _ = file.persist(path);
    }
}
