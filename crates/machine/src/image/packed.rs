//! Unpacking of what others have packed: by a library where there is one, else by the program of the format.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;

use flate2::read::MultiGzDecoder;

use super::error::ImageError;
use super::hash;
use super::manifest::FileRecord;
use super::program::{Call, Program, Tools, XZ, ZSTD};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

/// What packed files begin with; zstd's may begin with a frame to be skipped, of sixteen kinds.
const MAGIC: [(&[u8], Packing); 3] =
    [(b"\x1f\x8b", Packing::Gzip), (b"\xfd7zXZ\0", Packing::Xz), (b"\x28\xb5\x2f\xfd", Packing::Zstd)];
const SKIPPED_FRAME: &[u8] = b"\x2a\x4d\x18";

impl Packing {
    /// By how a file begins; it is read from its beginning again.
    pub(crate) fn of_file(file: &mut File) -> io::Result<Self> {
        let mut head = Vec::new();
        Read::by_ref(file).take(6).read_to_end(&mut head)?;
        file.rewind()?;
        Ok(Self::of_head(&head))
    }

    fn of_head(head: &[u8]) -> Self {
        if matches!(head, [0x50..=0x5f, rest @ ..] if rest.starts_with(SKIPPED_FRAME)) {
            return Self::Zstd;
        }
        let known = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
        known.map_or(Self::Plain, |(_, packing)| *packing)
    }

    /// By the end of a file's name.
    pub(crate) fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("xz") => Self::Xz,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// By a layer's type, such as `application/vnd.oci.image.layer.v1.tar+gzip`. `None`: it is no such type.
    pub(crate) fn of_layer(media_type: &str) -> Option<Self> {
        match media_type.rsplit(['.', '+']).next()? {
            "tar" => Some(Self::Plain),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The program that unpacks it, where that is not done here.
    pub(crate) fn program(self) -> Option<Program> {
        match self {
            Self::Plain | Self::Gzip => None,
            Self::Xz => Some(XZ),
            Self::Zstd => Some(ZSTD),
        }
    }

    /// Writes what `from` unpacks to, `limit` bytes at most; hash and size of it. `name` is what errors call it.
    ///
    /// # Errors
    /// When it is damaged or longer, can't be written, or a program is missing.
    pub(crate) fn unpack(
        self,
        tools: &Tools,
        name: &str,
        from: impl Read + Send,
        limit: u64,
        to: &mut impl Write,
    ) -> Result<FileRecord, ImageError> {
        let mut copy = |from: &mut dyn Read| {
            let copied = hash::copy(&mut from.take(limit.saturating_add(1)), to);
            let copied = copied.map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => ImageError::io("unpacking", Path::new(name))(error),
                _ => ImageError::refused(name, format!("can't be unpacked ({error})")),
            })?;
            if copied.bytes > limit {
                return Err(ImageError::refused(name, format!("unpacks to more than {limit} bytes")));
            }
            Ok(copied)
        };
        let Some(program) = self.program() else {
            return if self == Self::Gzip {
                copy(&mut MultiGzDecoder::new(from))
            } else {
                copy(&mut { from })
            };
        };
        by_program(tools, program, from, &mut copy).map_err(|error| match error {
            ImageError::Program { .. } => ImageError::refused(name, format!("can't be unpacked ({error})")),
            other => other,
        })
    }
}

/// Gives `copy` what a program unpacks `from` to.
fn by_program(
    tools: &Tools,
    program: Program,
    from: impl Read + Send,
    copy: &mut dyn FnMut(&mut dyn Read) -> Result<FileRecord, ImageError>,
) -> Result<FileRecord, ImageError> {
    let failed = ImageError::io("making a pipe to", Path::new(program.name));
    let (mut unpacked, into) = io::pipe().map_err(failed)?;
    let from = Mutex::new(from);
    let input = |to: &mut dyn Write| {
        let mut from = from.lock().map_err(|_| io::ErrorKind::Other)?;
        io::copy(&mut *from, to).map(drop)
    };
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            // The program has a copy of this end: what is read ends when both are closed.
            let into = File::from(OwnedFd::from(into));
            tools.run(&Call::new(program).args(["-dc"]), Some(&into), Some(&input), &mut |_| {})
        });
        let copied = copy(&mut unpacked);
        // A program whose output nobody reads any more ends.
        drop(unpacked);
        let ran = running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        copied.and_then(|copied| ran.map(|()| copied))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As the program packs it.
    pub(in super::super) fn pack(program: Program, text: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        let input = |to: &mut dyn Write| to.write_all(text);
        let call = Call::new(program).args(["-c"]);
        Tools::of_host().run(&call, Some(&file), Some(&input), &mut |_| {}).unwrap();
        let mut packed = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut packed)).unwrap();
        packed
    }

    fn unpacked(packed: &[u8], limit: u64) -> Result<Vec<u8>, ImageError> {
        let mut text = Vec::new();
        let packing = Packing::of_head(packed);
        packing.unpack(&Tools::of_host(), "root.tar", packed, limit, &mut text).map(|_| text)
    }

    #[test]
    fn what_the_programs_pack_is_unpacked_however_long_it_is() {
        let long = b"more than a pipe holds\n".repeat(100_000);
        for program in [XZ, ZSTD] {
            let packed = pack(program, &long);
            assert!(packed.len() < long.len() / 100);
            assert!(unpacked(&packed, u64::MAX).unwrap() == long, "{program:?}");
        }
    }

    #[test]
    fn frames_that_zstd_skips_are_no_part_of_it() {
        let table = [b"\x5e\x2a\x4d\x18\x05\x00\x00\x00".as_slice(), b"table"].concat();
        let frames = [table.clone(), pack(ZSTD, b"one "), table, pack(ZSTD, b"two")].concat();
        assert_eq!(unpacked(&frames, u64::MAX).unwrap(), b"one two");
    }

    #[test]
    fn what_is_cut_is_named_with_the_words_of_its_program() {
        for program in [XZ, ZSTD] {
            let whole = pack(program, &b"text ".repeat(1000));
            let error = unpacked(&whole[..whole.len() - 3], u64::MAX).unwrap_err().to_string();
            assert!(error.contains("root.tar: can't be unpacked"), "{error}");
            assert!(error.contains(&format!("{} failed", program.name)), "{error}");
        }
    }

    #[test]
    fn what_unpacks_to_more_than_it_may_is_stopped() {
        let (zeros, mut gzip) = (vec![0; 8 << 20], Vec::new());
        let mut encoder = flate2::read::GzEncoder::new(zeros.as_slice(), flate2::Compression::fast());
        encoder.read_to_end(&mut gzip).unwrap();
        for packed in [zeros.clone(), gzip, pack(XZ, &zeros), pack(ZSTD, &zeros)] {
            let error = unpacked(&packed, 1 << 20).unwrap_err().to_string();
            assert_eq!(error, "root.tar: unpacks to more than 1048576 bytes");
        }
        assert_eq!(unpacked(&zeros, zeros.len() as u64).unwrap().len(), zeros.len());
    }
}
