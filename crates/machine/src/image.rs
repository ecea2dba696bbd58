//! Images: what a virtual machine boots from.
//!
//! An image is a kernel, an initial RAM disk with modules and the agent, and a read-only root
//! file system, in a folder named by the hash of its manifest. [`build()`] makes one from packages
//! of Debian, a tar file, or an OCI layout; [`ImageStore`] keeps them, and finds out before use
//! whether one is what its manifest says. `docs/reference/image-format.md` describes every file.

mod apt;
mod build;
mod cpio;
mod dress;
mod error;
mod hash;
mod initrd;
mod manifest;
mod modules;
mod oci;
mod packed;
mod program;
mod renewal;
pub(crate) mod scratch;
pub(crate) mod store;
mod transfer;
mod tree;
mod verify;

pub use apt::Suite;
pub use build::{Base, Compression, Progress, Recipe, Stage, build};
pub use error::ImageError;
pub use manifest::{FileRecord, Files, ImageId, Manifest, RootKind};
pub use store::{DEFAULT_NAME, Image, ImageStore, Listed, Removed};
pub use verify::Depth;
