//! One overlay for all of the host's folders that lie on its root file system.
//!
//! An overlay costs some 120 µs of processor time, and most hosts have ten folders to show. So
//! a machine of root's has one for its root and all of them. Its top layer is the skeleton, where
//! a shown folder points (`trusted.overlay.redirect`, which only the host's root can write) to
//! its place in the layers below: the host's whole root file system, as the machine may read it.
//!
//! ```text
//! whole/                 the overlay, in which no process of the machine is
//!   skeleton/            the machine's root; opaque: it has nothing but what is in the skeleton
//!     usr/               points to /usr of the veil
//!     var/lib/dpkg/      points to /.hearth-ID/var-lib-dpkg of the databases
//!   usr/, home/, ...     the host's: out of reach, since the machine's root is below
//! ```
//!
//! So it is still an allow-list: what nothing points to is not there. Package databases are not
//! veiled, and therefore in a layer of their own, under a name that the host doesn't have: a
//! pointer to them finds nothing in the veil, and one to a veiled folder nothing among them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, StatxFlags, XattrFlags};
use rustix::io;

use super::mounted::Piece;
use super::mounts::{self, Marks};
use super::shown::flat;
use super::tree::{Builder, ROOT, SKELETON, TOP_LAYER};
use super::visible;

/// Where the overlay is mounted.
pub(super) const WHOLE: &str = "whole";
/// The machine's root in it, which is the skeleton.
const ROOT_IN_WHOLE: &str = "whole/skeleton";
/// The top layer of the databases, and their folder in it, which is opaque too.
const POINTERS: &str = "pointers";
const POINTING: &str = "pointers/machine";
/// Where the overlay of the databases is mounted, and the same folder in it.
const DATABASES: &str = "databases";
const DATABASES_LAYER: &str = "databases/machine";

impl Builder<'_> {
    /// Those of the host's folders that one overlay can show.
    pub(super) fn together(&self, pieces: &[Piece]) -> Vec<String> {
        // The veil enters the host's root folder on behalf of nobody.
        let open = fs::metadata("/").is_ok_and(|root| root.permissions().mode() & 0o001 != 0);
        let root = mount_of(Path::new("/"));
        let without = self.config.without.idmap || self.config.without.pointers;
        if self.users.is_none() || without || root.is_none() || !open {
            return Vec::new();
        }
        let names = pieces.iter().filter_map(|piece| match piece {
            Piece::Whole(name) | Piece::Part(name) => Some(name),
            Piece::Fixed(_) | Piece::Link(_) => None,
        });
        // Pointers don't follow links.
        let plain = |path: &Path| fs::canonicalize(path).is_ok_and(|real| real == path);
        let here = |name: &&String| {
            let path = Path::new("/").join(name);
            plain(&path) && mount_of(&path) == root
        };
        names.filter(here).cloned().collect()
    }

    /// Lays the overlay that shows these folders, and the machine's root out of it.
    pub(super) fn overlay_together(&self, names: &[String], upper: (&str, &str)) -> io::Result<()> {
        let veil = self.veiled(ROOT, "/")?.ok_or(io::Errno::NOSYS)?;
        let (databases, veiled): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| visible::STATE.contains(&name.as_str()));
        let mut layers = vec![TOP_LAYER, &veil];
        for name in veiled {
            point(&format!("{SKELETON}/{name}"), &format!("/{name}"))?;
        }
        if !databases.is_empty() {
            self.databases(&databases)?;
            layers.push(DATABASES_LAYER);
        }
        close(SKELETON)?;
        folder(WHOLE)?;
        mounts::overlay(&layers, Some(upper), Marks::Pointing, Path::new(WHOLE))?;
        mounts::bind_own(Path::new(ROOT_IN_WHOLE), Path::new(ROOT))
    }

    /// Makes the layer of the package databases.
    fn databases(&self, names: &[&String]) -> io::Result<()> {
        let mark = format!(".hearth-{}", self.config.id);
        for made in [POINTERS, POINTING, &format!("{POINTING}/{mark}"), DATABASES] {
            folder(made)?;
        }
        for name in names {
            let place = format!("{POINTING}/{mark}/{}", flat(name));
            folder(&place)?;
            point(&place, &format!("/{name}"))?;
            point(&format!("{SKELETON}/{name}"), &format!("/{mark}/{}", flat(name)))?;
        }
        close(POINTING)?;
        let host = format!("lower/{ROOT}");
        mounts::overlay(&[POINTERS, &host], None, Marks::Pointing, Path::new(DATABASES))
    }
}

/// The mount that a path is on, links followed; `None` on kernels that don't say.
fn mount_of(path: &Path) -> Option<u64> {
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
}

fn folder(path: &str) -> io::Result<()> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))
}

/// Lets a folder of a layer show what lies at `target` of the layers below.
fn point(folder: &str, target: &str) -> io::Result<()> {
    rustix::fs::setxattr(folder, "trusted.overlay.redirect", target.as_bytes(), XattrFlags::empty())
}

/// Lets a folder of a layer show nothing of the layers below.
fn close(folder: &str) -> io::Result<()> {
    rustix::fs::setxattr(folder, "trusted.overlay.opaque", b"y", XattrFlags::empty())
}
