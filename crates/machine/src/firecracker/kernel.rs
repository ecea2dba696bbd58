//! The kernel as Firecracker wants it: an ELF file, where distributions pack it into a `bzImage`.
//!
//! The header of a `bzImage` says where the packed kernel is
//! (<https://docs.kernel.org/arch/x86/boot.html>, `payload_offset`).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::image::Image;
use crate::vm::{Doing, Failure};

/// How an ELF file begins.
const ELF: &[u8] = b"\x7fELF";
/// How the header of a `bzImage` begins, and where.
const HEADER: (usize, &[u8]) = (0x202, b"HdrS");
/// The version of the boot protocol, which has a payload's place from 2.8 on.
const PROTOCOL_AT: usize = 0x206;
const PROTOCOL: u16 = 0x0208;
/// Sectors of setup code before the protected-mode code; 0 means 4.
const SETUP_SECTORS_AT: usize = 0x1f1;
const SECTOR_BYTES: usize = 512;
/// Where the payload is, seen from the protected-mode code, and how long.
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
/// The kernel's build appends the unpacked size to the payload.
const SIZE_BYTES: usize = 4;

/// Largest unpacked kernel: Debian's are 53 and 66 MB; a damaged size must not take the host's memory.
const KERNEL_BYTES: usize = 512 * 1024 * 1024;
/// What one block of the legacy LZ4 format unpacks to, at most (lz4's `LEGACY_BLOCKSIZE`).
const LZ4_BLOCK_BYTES: usize = 8 * 1024 * 1024;

/// How payloads begin, and the programs that unpack them.
const PACKERS: [(&[u8], &str); 4] =
    [(b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2")];
const LZ4_LEGACY: &[u8] = b"\x02\x21\x4c\x18";

/// What ends the names of unpacked kernels: `<SHA-256 of the packed one>-<bytes>.elf`.
const EXTENSION: &str = ".elf";

/// The unpacked kernel of an image, in `<data>/kernels`, where it is kept from its first use on.
pub(super) async fn kept(data: &Path, image: &Image) -> Result<PathBuf, Failure> {
    const OPERATION: &str = "unpacking its kernel";
    let folder = folder(data);
    let (kernel, hash) = (image.kernel(), image.manifest.files.kernel.sha256.clone());
    let kept = tokio::task::spawn_blocking(move || {
        let before = of_kernel(&folder, &hash).doing(OPERATION)?;
        if let Some(whole) = before.iter().find(|path| is_whole(path)) {
            return Ok(whole.clone());
        }
        let packed = fs::read(&kernel).doing(OPERATION)?;
        let unpacked =
            elf(&packed).map_err(|reason| format!("{} {reason}", kernel.display())).doing(OPERATION)?;
        let path = folder.join(format!("{hash}-{}{EXTENSION}", unpacked.len()));
        keep(&path, &unpacked).doing(OPERATION)?;
        for damaged in before.iter().filter(|damaged| **damaged != path) {
            fs::remove_file(damaged).or_else(gone_already).doing(OPERATION)?;
        }
        Ok(path)
    });
    kept.await.doing(OPERATION)?
}

/// Removes the unpacked kernels of all but these packed ones, named by their SHA-256.
pub(crate) fn forget_others(data: &Path, hashes: &[String]) -> io::Result<()> {
    for (path, hash) in unpacked(&folder(data))? {
        if !hashes.contains(&hash) {
            fs::remove_file(path).or_else(gone_already)?;
        }
    }
    Ok(())
}

fn folder(data: &Path) -> PathBuf {
    data.join("kernels")
}

/// The unpacked kernels in their folder, each with the hash of the packed one.
fn unpacked(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)) else { continue };
        let hash = name.split_once('-').map_or(name, |(hash, _)| hash);
        found.push((entry.path(), hash.to_owned()));
    }
    Ok(found)
}

/// The files that are, or were, this kernel unpacked.
fn of_kernel(folder: &Path, hash: &str) -> io::Result<Vec<PathBuf>> {
    let found = unpacked(folder)?.into_iter();
    Ok(found.filter(|(_, of)| of == hash).map(|(path, _)| path).collect())
}

/// Whether a file has the size in its name, and begins as an ELF file: what was cut off, or lost with the power, has
/// not. Files of before, which have no size in their names, are unpacked again.
fn is_whole(path: &Path) -> bool {
    let name = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.split_once('-'));
    let bytes = name.and_then(|(_, bytes)| bytes.parse::<u64>().ok());
    let mut begin = [0; ELF.len()];
    let read = File::open(path).and_then(|mut file| {
        file.read_exact(&mut begin)?;
        file.metadata()
    });
    read.is_ok_and(|found| Some(found.len()) == bytes) && begin == ELF
}

/// Writes a file whole, and not only into the memory of this host.
fn keep(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    // Two may unpack at once: whoever is last moves the same bytes to the same place.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn gone_already(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The ELF file in a kernel. The error says what the file is instead.
fn elf(kernel: &[u8]) -> Result<Vec<u8>, String> {
    if kernel.starts_with(ELF) {
        return Ok(kernel.to_vec());
    }
    let payload = payload(kernel)?;
    let unpacked = if let Some(blocks) = payload.strip_prefix(LZ4_LEGACY) {
        unpack_lz4(blocks)?
    } else {
        let packer = PACKERS.iter().find(|(magic, _)| payload.starts_with(magic));
        let (_, program) = packer.ok_or("is packed in a way that is not known here")?;
        unpack_by(program, payload)?
    };
    if unpacked.starts_with(ELF) { Ok(unpacked) } else { Err("holds no ELF file".to_owned()) }
}

/// The packed kernel in a `bzImage`.
fn payload(kernel: &[u8]) -> Result<&[u8], String> {
    let no_kernel = || "is neither an ELF file nor a bzImage".to_owned();
    let bytes = |range: Range<usize>| kernel.get(range).ok_or_else(no_kernel);
    let word = |at: usize| -> Result<usize, String> {
        let bytes = bytes(at..at + 4)?.try_into().map_err(|_| no_kernel())?;
        usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| no_kernel())
    };
    let (at, magic) = HEADER;
    if bytes(at..at + magic.len())? != magic {
        return Err(no_kernel());
    }
    let protocol = bytes(PROTOCOL_AT..PROTOCOL_AT + 2)?;
    if u16::from_le_bytes([protocol[0], protocol[1]]) < PROTOCOL {
        return Err("is a bzImage of before Linux 2.6.26, which does not say where its kernel is".to_owned());
    }
    let setup = match bytes(SETUP_SECTORS_AT..SETUP_SECTORS_AT + 1)?[0] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let begin = (setup + 1) * SECTOR_BYTES + word(PAYLOAD_OFFSET_AT)?;
    let length = word(PAYLOAD_LENGTH_AT)?;
    let end = begin + length.saturating_sub(SIZE_BYTES);
    kernel.get(begin..end).ok_or_else(|| "is cut off".to_owned())
}

/// Unpacks the legacy LZ4 format: blocks, each after its packed size.
fn unpack_lz4(mut blocks: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = |what: &str| format!("its LZ4 payload is damaged: {what}");
    let mut unpacked = Vec::new();
    let mut block = vec![0; LZ4_BLOCK_BYTES];
    while let Some((size, rest)) = blocks.split_first_chunk::<4>() {
        let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
        // Another archive may follow the first: its magic is no size.
        let packed = rest.get(..size).ok_or_else(|| damaged("a block is cut off"))?;
        let length = lz4_flex::block::decompress_into(packed, &mut block)
            .map_err(|error| damaged(&error.to_string()))?;
        unpacked.extend_from_slice(&block[..length]);
        if unpacked.len() > KERNEL_BYTES {
            return Err(damaged("it has no end"));
        }
        blocks = &rest[size..];
    }
    Ok(unpacked)
}

/// Lets a program unpack what few kernels are packed with.
fn unpack_by(program: &str, packed: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("is packed with {program}, which can't be run: {error}");
    let mut command = Command::new(program);
    command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    let stdin = child.stdin.take();
    let unpacked = std::thread::scope(|scope| {
        scope.spawn(move || {
            // One that stops reading has its reasons, which its exit code tells.
            stdin.map(|mut stdin| stdin.write_all(packed))
        });
        let mut unpacked = Vec::new();
        let stdout = child.stdout.take().map(|out| std::io::Read::take(out, KERNEL_BYTES as u64));
        let read = stdout.map(|mut out| std::io::Read::read_to_end(&mut out, &mut unpacked));
        read.transpose().map(|_| unpacked)
    });
    let unpacked = unpacked.map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    // What follows the payload is none of theirs; some complain of it after all is unpacked.
    if unpacked.is_empty() {
        return Err(format!("is packed with {program}, which ended with {status}"));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageStore;
    use crate::image::store::tests::made_of;

    /// A `bzImage` as far as its header goes, around this payload.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 3 * SECTOR_BYTES];
        image[SETUP_SECTORS_AT] = 1;
        image[HEADER.0..HEADER.0 + 4].copy_from_slice(HEADER.1);
        image[PROTOCOL_AT..PROTOCOL_AT + 2].copy_from_slice(&0x020f_u16.to_le_bytes());
        image[PAYLOAD_OFFSET_AT..PAYLOAD_OFFSET_AT + 4].copy_from_slice(&512_u32.to_le_bytes());
        let length = u32::try_from(payload.len() + SIZE_BYTES).unwrap();
        image[PAYLOAD_LENGTH_AT..PAYLOAD_LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(&[0; SIZE_BYTES]);
        image
    }

    fn lz4(blocks: &[&[u8]]) -> Vec<u8> {
        let mut payload = LZ4_LEGACY.to_vec();
        for block in blocks {
            let packed = lz4_flex::block::compress(block);
            payload.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_le_bytes());
            payload.extend_from_slice(&packed);
        }
        payload
    }

    #[test]
    fn a_kernel_of_several_lz4_blocks_is_unpacked_whole() {
        let first = [ELF, &[7; 5000]].concat();
        let unpacked = elf(&image(&lz4(&[&first, b"the end"]))).unwrap();
        assert_eq!(unpacked, [first.as_slice(), b"the end"].concat());
    }

    #[test]
    fn kernels_that_programs_unpack_and_kernels_that_are_not_packed_are_taken() {
        let kernel = [ELF, b" kernel"].concat();
        let mut gzip = Command::new("gzip");
        let mut gzip = gzip.arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        gzip.stdin.take().unwrap().write_all(&kernel).unwrap();
        let packed = gzip.wait_with_output().unwrap().stdout;
        assert_eq!(elf(&image(&packed)).unwrap(), kernel);
        assert_eq!(elf(&kernel).unwrap(), kernel);
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_what_it_is() {
        let whole = image(&lz4(&[ELF]));
        for (kernel, reason) in [
            (b"#!/bin/sh".to_vec(), "neither an ELF file nor a bzImage"),
            (whole[..whole.len() - 6].to_vec(), "is cut off"),
            (image(&lz4(&[b"MZ"])), "holds no ELF file"),
            (image(b"\x1f\x8bno gzip"), "is packed with gzip, which ended with"),
            (image(b"????"), "packed in a way that is not known"),
            (image(&[LZ4_LEGACY, &[0xff; 8]].concat()), "a block is cut off"),
        ] {
            let error = elf(&kernel).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
    /// An image of this store with this kernel.
    fn image_with(store: &ImageStore, kernel: &[u8]) -> Image {
        store.put(&made_of(store, kernel, b"root", b"initrd", 1)).unwrap()
    }

    #[tokio::test]
    async fn an_unpacked_kernel_that_was_cut_or_emptied_is_unpacked_again() {
        let data = tempfile::tempdir().unwrap();
        let store = ImageStore::open(data.path()).unwrap();
        let kernel = [ELF, &[7; 5000]].concat();
        let image = image_with(&store, &kernel);
        let first = kept(data.path(), &image).await.unwrap();
        let whole = fs::metadata(&first).unwrap().modified().unwrap();
        assert_eq!(kept(data.path(), &image).await.unwrap(), first);
        assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), whole, "it is unpacked once");
        for damaged in [&kernel[..100], &vec![0; kernel.len()], b""] {
            fs::write(&first, damaged).unwrap();
            let again = kept(data.path(), &image).await.unwrap();
            assert_eq!(fs::read(again).unwrap(), kernel);
        }
        // As it was called without its size, which nobody can check.
        let elder = data.path().join("kernels").join(format!("{}.elf", image.manifest.files.kernel.sha256));
        fs::write(&elder, &kernel[..10]).unwrap();
        fs::remove_file(&first).unwrap_or_default();
        let again = kept(data.path(), &image).await.unwrap();
        assert_eq!(fs::read(again).unwrap(), kernel);
        assert_eq!(fs::read_dir(data.path().join("kernels")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn an_unpacked_kernel_goes_with_the_last_image_that_has_it() {
        let data = tempfile::tempdir().unwrap();
        let store = ImageStore::open(data.path()).unwrap();
        let (one, other) = (image_with(&store, b"\x7fELF one"), image_with(&store, b"\x7fELF other"));
        let gone = kept(data.path(), &one).await.unwrap();
        let stays = kept(data.path(), &other).await.unwrap();
        store.remove(one.id.as_str()).unwrap();
        assert!(!gone.exists() && stays.exists());
        store.remove(other.id.as_str()).unwrap();
        assert!(!stays.exists());
    }
}
