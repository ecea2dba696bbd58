//! Images: what a virtual machine boots from.
//!
//! An image is a kernel, an initial RAM disk with modules and the agent, and a read-only root
//! file system, in a folder named by the hash of its manifest. [`ImageStore`] keeps them, and
//! finds out before use whether one is what its manifest says.
#![allow(dead_code, reason = "building uses the rest, which comes next")]

mod cpio;
mod error;
mod hash;
mod initrd;
mod manifest;
mod modules;
mod scratch;
mod store;
mod verify;

pub use error::ImageError;
pub use manifest::{FileRecord, Files, ImageId, Manifest, RootKind};
pub use store::{DEFAULT_NAME, Image, ImageStore, Listed, Removed};
pub use verify::Depth;
