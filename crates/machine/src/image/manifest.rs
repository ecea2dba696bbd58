//! The manifest: what an image is.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ImageError;
use super::hash;

/// The format that this version writes, and the only one that it reads.
const FORMAT: u32 = 1;
/// Largest manifest that is read: a thousand packages are some 40 KiB.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// What names an image: SHA-256, in hexadecimal digits, of its manifest without `id` and `made_unix_ms`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(String);

impl ImageId {
    /// Takes a text for an id if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 64 && digits).then(|| Self(text.to_owned()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits that people are shown.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Tells the agent of the image's own init.
const INIT: &str = "hearth.init=";

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// The image's id.
    pub id: ImageId,
    /// The kernel's release (`6.1.0-56-cloud-amd64`).
    pub kernel_version: String,
    /// What the kernel's command line must say for this image; drivers add what is theirs.
    pub cmdline: String,
    /// Its files.
    pub files: Files,
    /// File system of the root.
    pub root_kind: RootKind,
    /// Release of Debian that a root made of packages is from; `(tar)` or `(oci)` for one from elsewhere.
    pub suite: String,
    /// Packages in the root with their versions (`git=1:2.39.5-0`), sorted; empty where none are recorded.
    pub packages: Vec<String>,
    /// When it was built, in milliseconds since 1970.
    pub made_unix_ms: u64,
}

/// The files of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The kernel, as a boot loader would take it (`bzImage`).
    pub kernel: FileRecord,
    /// The initial RAM disk.
    pub initrd: FileRecord,
    /// The root file system.
    pub root: FileRecord,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
}

/// File systems that a root can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootKind {
    /// squashfs
    Squashfs,
    /// erofs
    Erofs,
}

impl RootKind {
    /// As the kernel calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RootKind::Squashfs => "squashfs",
            RootKind::Erofs => "erofs",
        }
    }
}

impl Manifest {
    /// The manifest of these files, with the id that they give it.
    pub(crate) fn new(content: Content, made_unix_ms: u64) -> Self {
        let Content { kernel_version, files, root_kind, suite, packages, init } = content;
        let init = init.map(|init| format!(" {INIT}{init}")).unwrap_or_default();
        let cmdline = format!("root=/dev/vda rootfstype={} ro{init}", root_kind.name());
        let id = ImageId(String::new());
        let format = FORMAT;
        let mut manifest =
            Manifest { format, id, kernel_version, cmdline, files, root_kind, suite, packages, made_unix_ms };
        manifest.id = manifest.computed_id();
        manifest
    }

    /// The image's own init, where it has one that becomes the first process.
    #[must_use]
    pub fn init(&self) -> Option<&str> {
        self.cmdline.split(' ').find_map(|word| word.strip_prefix(INIT))
    }

    /// Reads a manifest, and makes sure that its id is its own. `origin` is for errors.
    pub(crate) fn parse(text: &[u8], origin: &Path) -> Result<Self, ImageError> {
        let damaged = |reason: String| ImageError::Damaged {
            image: origin.display().to_string(),
            file: "manifest.json".to_owned(),
            reason,
        };
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let version: Versioned =
            serde_json::from_slice(text).map_err(|error| damaged(format!("is not to be read ({error})")))?;
        if version.format != FORMAT {
            return Err(damaged(format!(
                "has format {}, and this version of Hearth knows {FORMAT} only",
                version.format
            )));
        }
        let manifest: Manifest =
            serde_json::from_slice(text).map_err(|error| damaged(format!("is not to be read ({error})")))?;
        if manifest.id != manifest.computed_id() {
            return Err(damaged(format!(
                "has the id {}, but what it says makes {}",
                manifest.id,
                manifest.computed_id()
            )));
        }
        Ok(manifest)
    }

    /// As it is kept.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// The files by their names in the image's folder, the smallest checks first.
    pub(crate) fn named_files(&self) -> [(&'static str, &FileRecord); 3] {
        [
            (super::store::KERNEL, &self.files.kernel),
            (super::store::INITRD, &self.files.initrd),
            (super::store::ROOT, &self.files.root),
        ]
    }

    fn computed_id(&self) -> ImageId {
        // Fields are written in the order of the structure, which is part of the format.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.shift_remove("id");
            fields.shift_remove("made_unix_ms");
        }
        ImageId(hash::of_bytes(value.to_string().as_bytes()))
    }
}

/// What an image is made of.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) kernel_version: String,
    pub(crate) files: Files,
    pub(crate) root_kind: RootKind,
    pub(crate) suite: String,
    pub(crate) packages: Vec<String>,
    /// An absolute path without blanks.
    pub(crate) init: Option<String>,
}
