//! The initial RAM disk: the agent as `/init`, and the modules that it loads.
//!
//! Two archives, one after the other, as the kernel allows: modules first, which are the
//! kernel's, and the agent last, which is this program's. Neither is compressed: that costs a
//! few MiB on disk, and saves an emulated processor the work at each boot.

use std::io::{self, Write};

use super::cpio::{self, Writer};

/// The folder of the modules, and the file in it with their names, one a line, in the order of loading.
const MODULES: &str = "modules";
const ORDER: &str = "modules/order";
/// Where the agent mounts things before it changes to the root.
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "sys", "run", "mnt"];

/// A module, uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its canonical name; the file is `modules/<name>.ko`.
    pub(crate) name: String,
    /// The file.
    pub(crate) content: Vec<u8>,
}

/// Writes the initial RAM disk with these modules, which are loaded in this order.
pub(crate) fn write<W: Write>(out: W, modules: &[Module], agent: &[u8]) -> io::Result<W> {
    let mut archive = Writer::new(out);
    for folder in MOUNT_POINTS {
        archive.directory(folder)?;
    }
    archive.directory(MODULES)?;
    let order: String = modules.iter().map(|module| format!("{}.ko\n", module.name)).collect();
    archive.file(ORDER, 0o644, order.as_bytes())?;
    for module in modules {
        archive.file(&format!("{MODULES}/{}.ko", module.name), 0o644, &module.content)?;
    }
    write_agent(archive.finish()?, agent)
}

/// The same initial RAM disk with another agent. `None`: it is none that [`write()`] has made.
pub(crate) fn with_agent(initrd: &[u8], agent: &[u8]) -> Option<Vec<u8>> {
    let modules = initrd.get(..cpio::first_end(initrd)?)?;
    let mut renewed = Vec::with_capacity(initrd.len());
    renewed.extend(modules);
    write_agent(renewed, agent).ok()
}

fn write_agent<W: Write>(out: W, agent: &[u8]) -> io::Result<W> {
    let mut archive = Writer::new(out);
    archive.file("init", 0o755, agent)?;
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_programs_read_both_archives() {
        let modules = [
            Module { name: "virtio".to_owned(), content: b"first".to_vec() },
            Module { name: "virtio_blk".to_owned(), content: b"second".to_vec() },
        ];
        let initrd = write(Vec::new(), &modules, b"the agent").unwrap();
        let text = String::from_utf8(initrd).unwrap();
        // In the order of loading, before the files themselves; the agent in the archive that comes last.
        let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("no {needle:?}"));
        assert!(at("virtio.ko\nvirtio_blk.ko\n") < at("modules/virtio.ko\0"));
        assert!(at("modules/virtio_blk.ko\0") < at("TRAILER!!!"));
        assert!(at("TRAILER!!!") < at("init\0") && at("init\0") < at("the agent"));
        assert_eq!(text.matches("TRAILER!!!").count(), 2);
    }

    #[test]
    fn another_agent_leaves_the_modules_as_they_are() {
        let modules = [Module { name: "virtio".to_owned(), content: b"module".to_vec() }];
        let old = write(Vec::new(), &modules, b"old").unwrap();
        let new = write(Vec::new(), &modules, b"a newer one").unwrap();
        assert_eq!(with_agent(&old, b"a newer one"), Some(new));
        assert_eq!(with_agent(&old, b"old"), Some(old));
        assert_eq!(with_agent(b"something else", b"old"), None);
    }
}
