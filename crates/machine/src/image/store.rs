//! Where images are kept: `<data>/images`.
//!
//! ```text
//! images/<id>/{manifest.json,kernel,initrd,root.sqfs}   never changed once it is there
//! images/<id>/verified.json                             when the root was last found whole
//! images/names/<name>                                   the id that the name means
//! images/build/                                         finished stages of a build (see `build`)
//! images/lock                                           held while an image gets another agent
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::manifest::{ImageId, MAX_MANIFEST_BYTES, Manifest};
use super::scratch::{Scratch, make_private};
use super::verify::{self, Depth};
use crate::firecracker::kernel;
use crate::templates;
use crate::vm::folder;

/// The image that machines boot when nothing else is asked for.
pub const DEFAULT_NAME: &str = "default";
/// Names of an image's files.
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const KERNEL: &str = "kernel";
pub(crate) const INITRD: &str = "initrd";
pub(crate) const ROOT: &str = "root.sqfs";

/// Longest name: long enough for people, and far below what a file's name may be.
const MAX_NAME: usize = 64;
/// Fewest digits that stand for an id: fewer are too easily another's as well.
const MIN_DIGITS: usize = 6;

/// The images of one data folder. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct ImageStore {
    images: PathBuf,
    data: PathBuf,
}

/// An image that is kept.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// What it is.
    pub manifest: Manifest,
    /// Where its files are.
    pub folder: PathBuf,
}

impl Image {
    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join(KERNEL)
    }

    /// The initial RAM disk.
    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        self.folder.join(INITRD)
    }

    /// The root file system.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join(ROOT)
    }
}

/// One line of a list.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: ImageId,
    /// Its names.
    pub names: Vec<String>,
    /// The image, or why it can't be read.
    pub image: Result<Image, ImageError>,
}

/// What a removal has removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Names that are no more.
    pub names: Vec<String>,
    /// The image, unless another name still means it.
    pub image: Option<ImageId>,
}

impl ImageStore {
    /// Opens the store of a data folder, making its folders where they are missing.
    ///
    /// # Errors
    /// When they can't be made.
    pub fn open(data: &Path) -> Result<Self, ImageError> {
        let store = Self { images: data.join("images"), data: data.to_owned() };
        make_private(&store.images)?;
        make_private(&store.names_folder())?;
        Ok(store)
    }

    /// The image with this name, this id, or an id that begins so.
    ///
    /// Its manifest is checked, its files are not: see [`ImageStore::verify`].
    ///
    /// # Errors
    /// When there is none, when several begin so, and when the manifest is damaged.
    pub fn get(&self, name_or_id: &str) -> Result<Image, ImageError> {
        let id = self.resolve(name_or_id)?;
        self.read(&id)
    }

    /// All images, by id.
    ///
    /// # Errors
    /// When the folder can't be read; an image that can't be read is listed with its error.
    pub fn list(&self) -> Result<Vec<Listed>, ImageError> {
        let names = self.names()?;
        let listed = self.ids()?.into_iter().map(|id| {
            let named = names.iter().filter(|(_, meant)| **meant == id);
            let names = named.map(|(name, _)| name.clone()).collect();
            Listed { names, image: self.read(&id), id }
        });
        Ok(listed.collect())
    }

    /// Makes sure that an image's files are what its manifest says.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] names the file that differs.
    pub fn verify(&self, image: &Image, depth: Depth) -> Result<(), ImageError> {
        verify::files(image, depth)
    }

    /// Takes in a folder of this file system with `manifest.json` and the files that it names.
    /// The folder is moved; an image that is there already stays, and the folder is removed.
    ///
    /// # Errors
    /// When the files are not what the manifest says, or can't be moved.
    pub fn put(&self, folder: &Path) -> Result<Image, ImageError> {
        let manifest = read_manifest(folder)?;
        let image = Image { id: manifest.id.clone(), manifest, folder: folder.to_owned() };
        verify::files(&image, Depth::Full)?;
        self.keep(image)
    }

    /// As [`Self::put`], for files whose hashes were just taken.
    pub(crate) fn keep(&self, image: Image) -> Result<Image, ImageError> {
        for name in [MANIFEST, KERNEL, INITRD, ROOT] {
            let path = image.folder.join(name);
            // What a manifest promises must not be lost with the power.
            File::open(&path).and_then(|file| file.sync_all()).map_err(ImageError::io("writing", &path))?;
        }
        let place = self.folder(&image.id);
        if let Ok(there) = self.read(&image.id)
            && verify::files(&there, Depth::Memo).is_ok()
        {
            fs::remove_dir_all(&image.folder).map_err(ImageError::io("removing", &image.folder))?;
            return Ok(there);
        }
        if place.exists() {
            // Damaged, or it would have been taken above.
            let aside = Scratch::new_in(&self.images)?;
            fs::rename(&place, aside.path()).map_err(ImageError::io("moving aside", &place))?;
        }
        if let Err(error) = fs::rename(&image.folder, &place) {
            // Another process may have put the same image there meanwhile.
            return match self.read(&image.id) {
                Ok(there) if verify::files(&there, Depth::Memo).is_ok() => Ok(there),
                _ => Err(ImageError::io("moving the image to", &place)(error)),
            };
        }
        File::open(&self.images)
            .and_then(|folder| folder.sync_all())
            .map_err(ImageError::io("writing", &self.images))?;
        Ok(Image { folder: place, ..image })
    }

    /// Gives an image a name; the image that had it before loses it.
    ///
    /// # Errors
    /// When the name is none, and when it can't be written.
    pub fn name(&self, name: &str, id: &ImageId) -> Result<(), ImageError> {
        check_name(name)?;
        let path = self.names_folder().join(name);
        let written = tempfile::Builder::new().prefix(".name-").tempfile_in(self.names_folder()).and_then(
            |mut file| {
                file.write_all(format!("{id}\n").as_bytes())?;
                file.as_file().sync_all()?;
                file.persist(&path).map_err(|error| error.error)
            },
        );
        written.map(drop).map_err(ImageError::io("writing", &path))
    }

    /// Removes a name, and with its last name the image; an id removes the image with all its names.
    ///
    /// # Errors
    /// When there is no such image, when a machine or a snapshot needs it, and when it can't be removed.
    pub fn remove(&self, name_or_id: &str) -> Result<Removed, ImageError> {
        let id = self.resolve(name_or_id)?;
        let mut names = self.names_of(&id)?;
        let by_name = names.iter().any(|name| name == name_or_id);
        let last = !by_name || names.len() == 1;
        let templates = if last { self.templates_unless_needed(&id)? } else { Vec::new() };
        if !last {
            names = vec![name_or_id.to_owned()];
        }
        for name in &names {
            let path = self.names_folder().join(name);
            fs::remove_file(&path).map_err(ImageError::io("removing", &path))?;
        }
        if last {
            let folder = self.folder(&id);
            // First out of sight, then away: nobody finds half of an image.
            let aside = Scratch::new_in(&self.images)?;
            match fs::rename(&folder, aside.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                moved => moved.map_err(ImageError::io("removing", &folder))?,
            }
        }
        for template in templates {
            // One that stays is of no use, and goes when there are newer ones.
            let _ = fs::remove_dir_all(template);
        }
        if last {
            self.forget_kernels();
        }
        Ok(Removed { names, image: last.then_some(id) })
    }

    /// The names of an image.
    pub(crate) fn names_of(&self, id: &ImageId) -> Result<Vec<String>, ImageError> {
        Ok(self.names()?.into_iter().filter(|(_, meant)| meant == id).map(|(name, _)| name).collect())
    }

    /// A folder for an image that is being made. It is removed if its maker dies.
    pub(crate) fn scratch(&self) -> Result<Scratch, ImageError> {
        Scratch::new_in(&self.images)
    }

    /// Where builds keep what they have finished.
    pub(crate) fn build_folder(&self) -> PathBuf {
        self.images.join("build")
    }

    /// Locked while an image is replaced by another.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.images.join("lock")
    }

    fn folder(&self, id: &ImageId) -> PathBuf {
        self.images.join(id.as_str())
    }

    fn names_folder(&self) -> PathBuf {
        self.images.join("names")
    }

    fn read(&self, id: &ImageId) -> Result<Image, ImageError> {
        let folder = self.folder(id);
        let manifest = read_manifest(&folder)?;
        if manifest.id != *id {
            return Err(ImageError::Damaged {
                image: id.to_string(),
                file: MANIFEST.to_owned(),
                reason: format!("is that of image {}", manifest.id),
            });
        }
        Ok(Image { id: manifest.id.clone(), manifest, folder })
    }

    fn resolve(&self, wanted: &str) -> Result<ImageId, ImageError> {
        let names = self.names()?;
        if let Some(id) = names.get(wanted) {
            return Ok(id.clone());
        }
        let mut ids = self.ids()?;
        ids.retain(|id| wanted.len() >= MIN_DIGITS && id.as_str().starts_with(wanted));
        match ids.as_slice() {
            [id] => Ok(id.clone()),
            [] => {
                let known = names.into_keys().collect();
                Err(ImageError::NotFound { wanted: wanted.to_owned(), known })
            }
            several => Err(ImageError::Name {
                name: wanted.to_owned(),
                reason: format!("is how {} ids begin; give more digits", several.len()),
            }),
        }
    }

    fn ids(&self) -> Result<Vec<ImageId>, ImageError> {
        let failed = || ImageError::io("reading", &self.images);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.images).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            ids.extend(entry.file_name().to_str().and_then(ImageId::parse));
        }
        ids.sort();
        Ok(ids)
    }

    /// Every name with the id that it means.
    fn names(&self) -> Result<BTreeMap<String, ImageId>, ImageError> {
        let folder = self.names_folder();
        let failed = || ImageError::io("reading", &folder);
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let content = fs::read_to_string(entry.path()).unwrap_or_default();
            // Not one of ours, or on its way: a name always holds a whole id.
            if let (Ok(()), Some(id)) = (check_name(&name), ImageId::parse(content.trim_end())) {
                names.insert(name, id);
            }
        }
        Ok(names)
    }

    /// Removes the unpacked kernels of images that are no more. One that stays goes with the next image.
    fn forget_kernels(&self) {
        let Ok(listed) = self.list() else { return };
        let images = listed.into_iter().filter_map(|listed| listed.image.ok());
        let named: Vec<String> = images.map(|image| image.manifest.files.kernel.sha256).collect();
        let _ = kernel::forget_others(&self.data, &named);
    }

    /// Refuses while a machine lives whose root the image is, or a snapshot holds the memory of one. Templates are
    /// no reason, since they can be made again: these are returned.
    fn templates_unless_needed(&self, id: &ImageId) -> Result<Vec<PathBuf>, ImageError> {
        #[derive(serde::Deserialize)]
        struct Snapshot {
            image: String,
        }
        let machines = folder::machines_of(&self.data, id.as_str());
        let machines = machines.map_err(ImageError::io("looking for machines in", &self.data))?;
        let mut users: Vec<String> = machines.iter().map(|machine| format!("machine {machine}")).collect();
        let mut again = Vec::new();
        for entry in fs::read_dir(self.data.join("snapshots")).into_iter().flatten().flatten() {
            let manifest = fs::read(entry.path().join(MANIFEST)).unwrap_or_default();
            if serde_json::from_slice::<Snapshot>(&manifest).is_ok_and(|found| found.image == id.as_str()) {
                match entry.file_name().to_string_lossy() {
                    name if name.starts_with(templates::PREFIX) => again.push(entry.path()),
                    name => users.push(format!("snapshot {name}")),
                }
            }
        }
        if users.is_empty() {
            return Ok(again);
        }
        users.sort();
        Err(ImageError::InUse { image: id.short().to_owned(), users: users.join(", ") })
    }
}

/// Reads the manifest in a folder.
pub(crate) fn read_manifest(folder: &Path) -> Result<Manifest, ImageError> {
    let path = folder.join(MANIFEST);
    let mut text = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(MAX_MANIFEST_BYTES).read_to_end(&mut text))
        .map_err(ImageError::io("reading", &path))?;
    Manifest::parse(&text, folder)
}

/// Names are files of their own, and must not be taken for ids or options.
pub(crate) fn check_name(name: &str) -> Result<(), ImageError> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let fault = if !starts || !name.bytes().all(allowed) {
        "is no name for an image; use letters, digits, and . _ - in between"
    } else if name.len() > MAX_NAME {
        "is too long for a name; at most 64 characters"
    } else if ImageId::parse(name).is_some() {
        "is an id, and no name"
    } else {
        return Ok(());
    };
    Err(ImageError::Name { name: name.to_owned(), reason: fault.to_owned() })
}

#[cfg(test)]
#[path = "store/tests.rs"]
pub(crate) mod tests;
