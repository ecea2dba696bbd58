//! Which kernel modules an image needs, and in which order they are loaded.
//!
//! A module says itself what it depends on, in the section `.modinfo` of its file; `depmod`
//! makes `modules.dep` of the same lines, but a kernel's package does not contain that.

use std::collections::BTreeSet;

use super::error::ImageError;

/// Modules that a machine needs, in this order. Those that the kernel has built in are left out.
pub(crate) const WANTED: &[Wanted] = &[
    required("virtio_mmio"),
    required("virtio_pci"),
    required("virtio_blk"),
    required("virtio_console"),
    required("virtio_net"),
    required("virtio_rng"),
    // Firecracker's way to ask for memory back.
    optional("virtio_balloon"),
    // Tells the kernel that its machine was restored: it reseeds its random numbers.
    optional("vmgenid"),
    required("vsock"),
    required("vmw_vsock_virtio_transport"),
    // The checksums of ext4 and erofs, which the kernel would ask a `modprobe` for; later ones have them built in.
    optional("crc32c_generic"),
    required("squashfs"),
    optional("erofs"),
    required("overlay"),
    required("ext4"),
];

/// A module that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: &'static str,
    /// Whether a kernel without it is of no use.
    pub(crate) required: bool,
}

const fn required(name: &'static str) -> Wanted {
    Wanted { name, required: true }
}

const fn optional(name: &'static str) -> Wanted {
    Wanted { name, required: false }
}

/// A module's name: in names of files, `-` and `_` are the same.
pub(crate) fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// What a kernel has of a module.
pub(crate) enum Found {
    /// A file, which needs these modules first.
    Module {
        /// Needs that it can't be loaded without.
        needs: Vec<String>,
        /// Needs that are loaded first where they are to be had.
        wishes: Vec<String>,
    },
    /// It is part of the kernel.
    BuiltIn,
    /// Nothing.
    Missing,
}

/// Names of the wanted modules and of all that they need, each after what it needs.
///
/// `find` is asked once for each name.
pub(crate) fn load_order(
    wanted: &[Wanted],
    find: &mut dyn FnMut(&str) -> Result<Found, ImageError>,
) -> Result<Vec<String>, ImageError> {
    let mut order = Order { find, seen: BTreeSet::new(), names: Vec::new() };
    for module in wanted {
        order.add(module.name, module.required, "the machine")?;
    }
    Ok(order.names)
}

struct Order<'a> {
    find: &'a mut dyn FnMut(&str) -> Result<Found, ImageError>,
    seen: BTreeSet<String>,
    names: Vec<String>,
}

impl Order<'_> {
    fn add(&mut self, name: &str, required: bool, by: &str) -> Result<(), ImageError> {
        let name = canonical(name);
        // Also what ends a circle of needs.
        if !self.seen.insert(name.clone()) {
            return Ok(());
        }
        match (self.find)(&name)? {
            Found::BuiltIn => Ok(()),
            Found::Missing if !required => Ok(()),
            Found::Missing => Err(ImageError::refused(
                "the kernel",
                format!("has no module {name}, which {by} needs; choose another --suite"),
            )),
            Found::Module { needs, wishes } => {
                wishes.iter().try_for_each(|wish| self.add(wish, false, &name))?;
                needs.iter().try_for_each(|need| self.add(need, true, &name))?;
                self.names.push(name);
                Ok(())
            }
        }
    }
}

/// What the file of a module says that it needs. `None`: it is no module.
pub(crate) fn needs(file: &[u8]) -> Option<Found> {
    let info = section(file, b".modinfo")?;
    let (mut needs, mut wishes) = (Vec::new(), Vec::new());
    for line in info.split(|byte| *byte == 0) {
        let Some((key, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once('=')) else {
            continue;
        };
        match key {
            "depends" => {
                needs.extend(value.split(',').filter(|name| !name.is_empty()).map(canonical));
            }
            "softdep" => wishes.extend(before(value)),
            _ => {}
        }
    }
    Some(Found::Module { needs, wishes })
}

/// The names between `pre:` and `post:`.
fn before(softdep: &str) -> Vec<String> {
    let words = softdep.split_whitespace().skip_while(|word| *word != "pre:").skip(1);
    words.take_while(|word| !word.ends_with(':')).map(canonical).collect()
}

/// A section of a little-endian 64-bit ELF file (<https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.sheader.html>).
fn section<'a>(file: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = number::<8>(file, 0x28)?;
    let (size, count) = (number::<2>(file, 0x3a)?, number::<2>(file, 0x3c)?);
    let header = |index: usize| table.checked_add(index.checked_mul(size)?);
    let content = |header: usize| {
        let start = number::<8>(file, header.checked_add(0x18)?)?;
        file.get(start..start.checked_add(number::<8>(file, header.checked_add(0x20)?)?)?)
    };
    let names = content(header(number::<2>(file, 0x3e)?)?)?;
    (0..count).filter_map(header).find_map(|header| {
        let called = names.get(number::<4>(file, header)?..)?;
        let called = called.split(|byte| *byte == 0).next()?;
        (called == name).then(|| content(header)).flatten()
    })
}

/// A little-endian number of so many bytes.
fn number<const BYTES: usize>(file: &[u8], at: usize) -> Option<usize> {
    let mut whole = [0; 8];
    whole[..BYTES].copy_from_slice(file.get(at..at.checked_add(BYTES)?)?);
    usize::try_from(u64::from_le_bytes(whole)).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The smallest file that is a module with these lines.
    pub(crate) fn module_file(lines: &[&str]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let info: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\0"].concat()).collect();
        let (names_at, info_at) = (0x40, 0x40 + names.len());
        let table = info_at + info.len();
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(0x40, 0);
        file[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        file[0x3a..0x40].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
        file.extend(names);
        file.extend(&info);
        for (name, start, size) in [(0_u32, 0, 0), (1, info_at, info.len()), (10, names_at, names.len())] {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(start as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            file.extend(header);
        }
        file
    }

    fn order(wanted: &[Wanted], kernel: &[(&str, &[&str])]) -> Result<Vec<String>, ImageError> {
        load_order(wanted, &mut |name| {
            let lines = kernel.iter().find(|(module, _)| canonical(module) == name).map(|(_, lines)| lines);
            Ok(match lines {
                Some(["builtin"]) => Found::BuiltIn,
                Some(lines) => needs(&module_file(lines)).expect("a module"),
                None => Found::Missing,
            })
        })
    }

    #[test]
    fn every_module_comes_after_what_it_needs_and_once() {
        let kernel: &[(&str, &[&str])] = &[
            ("virtio-net", &["license=GPL", "depends=net_failover,virtio"]),
            ("net_failover", &["depends=failover"]),
            ("failover", &["depends="]),
            ("virtio", &["depends="]),
            ("ext4", &["builtin"]),
            ("libcrc32c", &["softdep=pre: crc32c_generic unknown post: later", "depends="]),
            ("crc32c_generic", &[]),
        ];
        let wanted = [required("virtio_net"), required("virtio"), required("ext4"), required("libcrc32c")];
        let expected = ["failover", "net_failover", "virtio", "virtio_net", "crc32c_generic", "libcrc32c"];
        assert_eq!(order(&wanted, kernel).unwrap(), expected);
    }

    #[test]
    fn a_kernel_without_a_module_that_is_needed_is_refused_by_name() {
        let error = order(&[optional("erofs"), required("a")], &[("a", &["depends=b"])]).unwrap_err();
        assert!(error.to_string().contains("has no module b, which a needs"), "{error}");
    }

    #[test]
    fn a_circle_of_needs_ends() {
        let kernel: &[(&str, &[&str])] = &[("a", &["depends=b"]), ("b", &["depends=a"])];
        assert_eq!(order(&[required("a")], kernel).unwrap(), ["b", "a"]);
    }

    #[test]
    fn a_broken_file_is_no_module_wherever_it_is_cut() {
        let whole = module_file(&["depends=b"]);
        assert!(needs(&whole).is_some());
        for end in 0..whole.len() - 64 {
            // Never a panic; what is found before the cut may be right.
            let _ = needs(&whole[..end]);
        }
        assert!(needs(b"MZ no module").is_none());
        let mut far = whole;
        far[0x28..0x30].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(needs(&far).is_none());
    }
}
