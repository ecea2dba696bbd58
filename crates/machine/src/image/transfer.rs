//! Images as one file: a tar with the manifest first, then the files that it names.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tar::{Archive, Builder, EntryType, Header};

use super::error::ImageError;
use super::hash;
use super::manifest::{FileRecord, MAX_MANIFEST_BYTES, Manifest};
use super::store::{Image, ImageStore, MANIFEST};
use super::verify::{self, Depth};

impl ImageStore {
    /// Writes a verified image as one file, which is there whole or not at all.
    ///
    /// # Errors
    /// When the image is damaged, when something has the file's name already, or it can't be written.
    pub fn export(&self, image: &Image, to: &Path) -> Result<(), ImageError> {
        verify::files(image, Depth::Full)?;
        let failed = || ImageError::io("writing", to);
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed())?;
        write(image, &mut BufWriter::new(file.as_file_mut())).map_err(failed())?;
        file.as_file().sync_all().map_err(failed())?;
        file.persist_noclobber(to).map_err(|error| failed()(error.error))?;
        Ok(())
    }

    /// Takes in a file that [`ImageStore::export`] has written.
    ///
    /// # Errors
    /// When it holds anything but a manifest and the files that it names, as it names them.
    pub fn import(&self, from: &Path) -> Result<Image, ImageError> {
        let place = self.scratch()?;
        let file = File::open(from).map_err(ImageError::io("opening", from))?;
        let manifest = Import { origin: from, folder: place.path().to_owned() }.read(file)?;
        self.keep(Image { id: manifest.id.clone(), manifest, folder: place.path().to_owned() })
    }
}

fn write(image: &Image, out: &mut impl Write) -> io::Result<()> {
    let mut archive = Builder::new(out);
    let manifest = image.manifest.to_json();
    archive.append(&header(MANIFEST, manifest.len() as u64)?, manifest.as_slice())?;
    for (name, record) in image.manifest.named_files() {
        let file = File::open(image.folder.join(name))?;
        archive.append(&header(name, record.bytes)?, file.take(record.bytes))?;
    }
    archive.into_inner()?.flush()
}

fn header(name: &str, bytes: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(header)
}

/// An import under way.
struct Import<'a> {
    origin: &'a Path,
    folder: PathBuf,
}

impl Import<'_> {
    fn refused(&self, reason: impl Into<String>) -> ImageError {
        ImageError::refused(self.origin.display().to_string(), reason)
    }

    fn broken(&self) -> impl Fn(io::Error) -> ImageError {
        |error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.refused("ends in the middle: it is truncated"),
            _ => self.refused(format!("is no good tar file ({error})")),
        }
    }

    fn read(&self, file: File) -> Result<Manifest, ImageError> {
        let mut archive = Archive::new(file);
        let mut members = archive.entries().map_err(self.broken())?;
        let mut next = |name: &str| -> Result<tar::Entry<'_, File>, ImageError> {
            let member =
                members.next().ok_or_else(|| self.refused(format!("ends before {name}: it is truncated")))?;
            let member = member.map_err(self.broken())?;
            // Compared, and never used as a path.
            if *member.path_bytes() != *name.as_bytes() || member.header().entry_type() != EntryType::Regular
            {
                let found = String::from_utf8_lossy(&member.path_bytes()).into_owned();
                return Err(self.refused(format!(
                    "has {found:?} where the file {name} must be: it is no exported image"
                )));
            }
            Ok(member)
        };
        let mut text = Vec::new();
        let mut member = next(MANIFEST)?;
        if member.size() > MAX_MANIFEST_BYTES {
            return Err(self.refused("has a manifest that is larger than any"));
        }
        member.read_to_end(&mut text).map_err(self.broken())?;
        let manifest = Manifest::parse(&text, self.origin)?;
        for (name, record) in manifest.named_files() {
            let mut member = next(name)?;
            if member.size() != record.bytes {
                return Err(self.damaged(
                    &manifest,
                    name,
                    format!("has {} bytes instead of {}", member.size(), record.bytes),
                ));
            }
            let found = self.copy(&mut member, name)?;
            if found != *record {
                return Err(self.damaged(
                    &manifest,
                    name,
                    format!("has the SHA-256 {} instead of {}", found.sha256, record.sha256),
                ));
            }
        }
        if members.next().is_some() {
            return Err(self.refused("has more than an image: it is no exported image"));
        }
        let path = self.folder.join(MANIFEST);
        fs::write(&path, manifest.to_json()).map_err(ImageError::io("writing", &path))?;
        Ok(manifest)
    }

    fn copy(&self, member: &mut impl Read, name: &str) -> Result<FileRecord, ImageError> {
        let path = self.folder.join(name);
        let mut file = File::create_new(&path).map_err(ImageError::io("making", &path))?;
        hash::copy(member, &mut file).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.broken()(error),
            _ => ImageError::io("copying to", &path)(error),
        })
    }

    fn damaged(&self, manifest: &Manifest, file: &str, reason: String) -> ImageError {
        let image = format!("{} in {}", manifest.id.short(), self.origin.display());
        ImageError::Damaged { image, file: file.to_owned(), reason }
    }
}

#[cfg(test)]
#[path = "transfer/tests.rs"]
mod tests;
