//! What can go wrong with images, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why an image could not be had, made, or kept.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No image has this name or id.
    #[error("there is no image {wanted:?}{}", there_are(known))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Names that there are.
        known: Vec<String>,
    },
    /// A name that no image can have, or an id that several have.
    #[error("{name:?} {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An image is not what its manifest says.
    #[error("image {image}: {file} {reason}; build or import the image again")]
    Damaged {
        /// Its id, or the file that it was read from.
        image: String,
        /// Which of its files.
        file: String,
        /// How it differs.
        reason: String,
    },
    /// Something still needs the image.
    #[error("image {image} is in use by {users}; remove what uses it first")]
    InUse {
        /// Its id.
        image: String,
        /// By what.
        users: String,
    },
    /// Another process builds in the same data folder.
    #[error(
        "another process builds an image in {folder} right now; wait for its end, or name another --data"
    )]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// An archive, a layout, or an option that can't become an image.
    #[error("{object}: {reason}")]
    Refused {
        /// Which, with the member it is about.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A program that building needs is not installed.
    #[error(
        "{program} is not installed; install the package {package} (Debian, Ubuntu: apt-get install {package})"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program that building needs has failed.
    #[error("{program} failed ({status}){}", last_words(said))]
    Program {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: Vec<String>,
    },
    /// The system refused something.
    #[error("{operation} {}: {source}{}", object.display(), remedy(source))]
    Io {
        /// What was being done.
        operation: &'static str,
        /// With what.
        object: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ImageError {
    /// For `map_err` of something that was done with a file.
    pub(crate) fn io(operation: &'static str, object: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, object: object.to_owned(), source }
    }

    /// An input that can't be used.
    pub(crate) fn refused(object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused { object: object.into(), reason: reason.into() }
    }
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() {
        "; there are none yet: make one with `hearth image build`".to_owned()
    } else {
        format!("; there are: {}", names.join(", "))
    }
}

fn last_words(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let full = lines.iter().any(|line| line.contains("No space left on device"));
    let remedy = if full { DISK_FULL } else { "" };
    format!("{remedy}; its last words:\n  {}", lines.join("\n  "))
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DISK_FULL,
        _ => "",
    }
}

/// An image of the default packages needs about 2 GiB while it is built (docs/guide/images.md).
const DISK_FULL: &str = " (make room, or name a data folder on another disk with --data)";
