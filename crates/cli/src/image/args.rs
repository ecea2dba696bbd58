//! The command line of `hearth image`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::PlaceArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make an image of packages, a tar file, or an OCI layout; an interrupted build goes on where it was
    Build(BuildArgs),
    /// List the images
    Ls(ListArgs),
    /// Show the manifest of an image
    Inspect(InspectArgs),
    /// Remove names, and images without another name
    Rm(RemoveArgs),
    /// Write an image as one file
    Export(ExportArgs),
    /// Take in a file that `export` has written
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Name of the image; machines boot `default` unless told otherwise
    #[arg(long, value_name = "NAME", default_value = machine::image::DEFAULT_NAME)]
    pub(crate) name: String,

    /// Release of Debian that packages are from
    #[arg(long, value_enum, default_value_t = SuiteName::Trixie)]
    pub(crate) suite: SuiteName,

    /// Release of Debian that the kernel is from; QEMU 7.2, as in Debian 12, boots that of bookworm only
    #[arg(long, value_enum, default_value_t = SuiteName::Bookworm)]
    pub(crate) kernel: SuiteName,

    /// Further package (repeatable)
    #[arg(long = "package", value_name = "PACKAGE", conflicts_with_all = ["from_tar", "from_oci"])]
    pub(crate) packages: Vec<String>,

    /// Only what a job can't start without: no compilers, git, python, or node
    #[arg(long, conflicts_with_all = ["from_tar", "from_oci"])]
    pub(crate) bare: bool,

    /// Root file system from a tar file, as `docker export` writes it; may be packed with gzip, xz, or zstd
    #[arg(long, value_name = "FILE", conflicts_with = "from_oci")]
    pub(crate) from_tar: Option<PathBuf>,

    /// Root file system from a folder in the OCI image layout
    #[arg(long, value_name = "DIR")]
    pub(crate) from_oci: Option<PathBuf>,

    /// Program of the image that becomes the first process of its machines, such as /sbin/init [default: Hearth's agent]
    #[arg(long, value_name = "PATH", value_parser = init)]
    pub(crate) init: Option<String>,

    /// Mirror of Debian, or a line of a sources.list, instead of the host's own (repeatable)
    #[arg(long = "mirror", value_name = "URL")]
    pub(crate) mirrors: Vec<String>,

    /// How the root is compressed
    #[arg(long, value_enum, default_value_t = CompressionName::Lz4)]
    pub(crate) compression: CompressionName,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

/// A path that fits on a kernel's command line.
fn init(text: &str) -> Result<String, String> {
    let fits = text.starts_with('/') && text.chars().all(|letter| letter.is_ascii_graphic() && letter != '"');
    fits.then(|| text.to_owned()).ok_or_else(|| "not an absolute path without blanks and quotes".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Name, id, or how the id begins
    pub(crate) image: String,

    /// Read all files and compare them with the manifest first
    #[arg(long)]
    pub(crate) verify: bool,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Names or ids
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Name, id, or how the id begins
    pub(crate) image: String,

    /// File to write; it must not exist
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// File to read
    pub(crate) file: PathBuf,

    /// Name that the image gets
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

/// Releases of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuiteName {
    /// Debian 12, kernel 6.1
    Bookworm,
    /// Debian 13, kernel 6.12
    Trixie,
}

impl From<SuiteName> for machine::image::Suite {
    fn from(name: SuiteName) -> Self {
        match name {
            SuiteName::Bookworm => Self::Bookworm,
            SuiteName::Trixie => Self::Trixie,
        }
    }
}

/// Ways to compress a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionName {
    /// Quick to read
    Lz4,
    /// Small
    Zstd,
}

impl From<CompressionName> for machine::image::Compression {
    fn from(name: CompressionName) -> Self {
        match name {
            CompressionName::Lz4 => Self::Lz4,
            CompressionName::Zstd => Self::Zstd,
        }
    }
}
