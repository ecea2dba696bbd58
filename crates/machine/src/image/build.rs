//! Building an image: stages that are kept when they are finished, so that a build that was
//! killed goes on where it was.
//!
//! ```text
//! Base ──► Kernel ──► Root ──► Initrd ──► Store ──► (built)
//!   │         │         │         │         │
//!   └─────────┴─────────┴────┬────┴─────────┘
//!                            ▼
//!                   failed, or killed: the finished stages stay in `images/build`,
//!                   and the next build with the same inputs begins after them
//! ```
//!
//! A stage works in a folder of its own, which gets its name, made of a hash of the stage's
//! inputs, when it is finished. A build that has succeeded removes them all: the next one
//! takes new packages.

mod base;
mod kept;
mod kernel;
mod root;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::apt::{self, Suite};
use super::dress;
use super::error::ImageError;
use super::hash;
use super::initrd;
use super::manifest::{Content, Files, Manifest, RootKind};
use super::oci::Layout;
use super::packed::Packing;
use super::program::{
    APT_CACHE, APT_CONFIG, APT_GET, DPKG_DEB, MMDEBSTRAP, NEWUIDMAP, Program, SQFSTAR, Tools, XZ,
};
use super::scratch::{make_private, try_lock};
use super::store::{INITRD, Image, ImageStore, KERNEL, MANIFEST, ROOT};
use kept::Kept;

/// What an image is to be made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The name that it gets.
    pub name: String,
    /// Where the root comes from.
    pub base: Base,
    /// The release of Debian that a root of packages is from.
    pub suite: Suite,
    /// The release of Debian that the kernel is from.
    pub kernel: Suite,
    /// Sources of packages instead of the host's own: addresses, or lines of a `sources.list`.
    pub mirrors: Vec<String>,
    /// How the root is compressed.
    pub compression: Compression,
    /// A program of the root that becomes the machine's first process: an absolute path. Else the agent is that.
    pub init: Option<String>,
}

/// Where a root file system comes from.
#[derive(Clone, Debug)]
pub enum Base {
    /// Packages of Debian.
    Packages {
        /// Without what GitHub's machines have: only what a job can't start without.
        bare: bool,
        /// Further packages.
        extra: Vec<String>,
    },
    /// A tar file (also with gzip), as `docker export` writes it.
    Tar(PathBuf),
    /// A folder in the OCI image layout.
    Oci(PathBuf),
}

/// How a root is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Quick to read.
    #[default]
    Lz4,
    /// Small.
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// A part of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A root file system as one tar file
    Base,
    /// The kernel and the modules that machines need
    Kernel,
    /// The root as a read-only file system
    Root,
    /// The initial RAM disk
    Initrd,
    /// Taking the image into the store
    Store,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Stage; 5] = [Stage::Base, Stage::Kernel, Stage::Root, Stage::Initrd, Stage::Store];

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Base => "base",
            Stage::Kernel => "kernel",
            Stage::Root => "root",
            Stage::Initrd => "initrd",
            Stage::Store => "store",
        }
    }
}

/// What a build tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A stage begins.
    Began(Stage),
    /// Something happened in it, in words for people.
    Said(Stage, String),
    /// It has ended.
    Ended(Stage, Duration),
    /// It was finished by an earlier build, which was interrupted.
    Reused(Stage),
}

/// Where a build stands: what is finished, and so what comes next.
#[derive(Debug)]
enum State {
    Base,
    Kernel { base: Kept },
    Root { base: Kept, kernel: Kept },
    Initrd { kernel: Kept, root: Kept },
    Store { kernel: Kept, root: Kept, initrd: Kept },
    Built(Image),
}

/// Builds an image with this agent, and names it. Blocks the thread until it is done.
///
/// # Errors
/// When an input can't be used, a program is missing or fails, the disk is full, or another
/// process builds in this store. What was finished is kept for the next try.
pub fn build(
    store: &ImageStore,
    recipe: &Recipe,
    agent: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<Image, ImageError> {
    build_with(Tools::of_host(), store, recipe, agent, progress)
}

fn build_with(
    tools: Tools,
    store: &ImageStore,
    recipe: &Recipe,
    agent: &[u8],
    progress: &mut dyn FnMut(Progress),
) -> Result<Image, ImageError> {
    super::store::check_name(&recipe.name)?;
    tools.must_have(&needed(recipe, rustix::process::geteuid().is_root()))?;
    let folder = store.build_folder();
    make_private(&folder)?;
    let lock = folder.join("lock");
    let held = try_lock(&lock).map_err(ImageError::io("locking", &lock))?;
    let Some(_held) = held else { return Err(ImageError::Busy { folder }) };
    kept::forget_old(&folder)?;
    let mut builder = Builder { store, recipe, agent, tools, progress, folder };
    let mut state = State::Base;
    loop {
        state = match builder.step(state)? {
            State::Built(image) => {
                store.name(&recipe.name, &image.id)?;
                kept::forget_all(&builder.folder)?;
                return Ok(image);
            }
            next => next,
        };
    }
}

/// The programs that a build needs, so that none is missed after minutes. A base that can't be read is the base's stage's
/// to tell.
fn needed(recipe: &Recipe, is_root: bool) -> Vec<Program> {
    let mut all = vec![APT_CONFIG, APT_GET, APT_CACHE, DPKG_DEB, SQFSTAR];
    // Its modules are packed.
    all.extend((recipe.kernel == Suite::Trixie).then_some(XZ));
    match &recipe.base {
        Base::Packages { .. } => {
            all.push(MMDEBSTRAP);
            // mmdebstrap's own way to many ids for a user who may not just take them.
            all.extend((!is_root).then_some(NEWUIDMAP));
        }
        Base::Tar(path) => {
            let packing = File::open(path).and_then(|mut file| Packing::of_file(&mut file));
            all.extend(packing.ok().and_then(Packing::program));
        }
        Base::Oci(folder) => {
            let layout = Layout::open(folder).ok();
            all.extend(layout.iter().flat_map(Layout::programs));
        }
    }
    all
}

struct Builder<'a> {
    store: &'a ImageStore,
    recipe: &'a Recipe,
    agent: &'a [u8],
    tools: Tools,
    progress: &'a mut dyn FnMut(Progress),
    folder: PathBuf,
}

impl Builder<'_> {
    /// Carries out the next stage.
    fn step(&mut self, state: State) -> Result<State, ImageError> {
        Ok(match state {
            State::Base => State::Kernel { base: self.base()? },
            State::Kernel { base } => State::Root { kernel: self.kernel()?, base },
            State::Root { base, kernel } => State::Initrd { root: self.root(&base)?, kernel },
            State::Initrd { kernel, root } => State::Store { initrd: self.initrd(&kernel)?, kernel, root },
            State::Store { kernel, root, initrd } => State::Built(self.put(&kernel, &root, &initrd)?),
            State::Built(image) => State::Built(image),
        })
    }

    fn sources(&self, suite: Suite) -> Result<Vec<String>, ImageError> {
        apt::sources(suite, &self.recipe.mirrors, std::path::Path::new("/etc/apt"))
    }

    fn base(&mut self) -> Result<Kept, ImageError> {
        match &self.recipe.base {
            Base::Packages { bare, extra } => {
                let packages = base::packages(*bare, extra)?;
                let suite = self.recipe.suite;
                let sources = self.sources(suite)?;
                let inputs = ["packages", suite.name(), &packages.join(","), &sources.join("\n")];
                self.stage(Stage::Base, &inputs, |tools, folder, say| {
                    base::from_packages(tools, suite, &packages, &sources, folder, say)
                })
            }
            Base::Tar(path) => {
                let found = hash::of_file(path)?;
                self.stage(Stage::Base, &["tar", &found.sha256], |tools, folder, _| {
                    base::from_tar(tools, path, &found.sha256, folder)
                })
            }
            Base::Oci(folder) => {
                let layout = Layout::open(folder)?;
                self.stage(Stage::Base, &["oci", layout.digest()], |tools, folder, _| {
                    base::from_oci(tools, &layout, folder)
                })
            }
        }
    }

    fn kernel(&mut self) -> Result<Kept, ImageError> {
        let suite = self.recipe.kernel;
        let sources = self.sources(suite)?;
        self.stage(Stage::Kernel, &[suite.name(), &sources.join("\n")], |tools, folder, say| {
            kernel::fetch(tools, &sources, folder, say)
        })
    }

    fn root(&mut self, base: &Kept) -> Result<Kept, ImageError> {
        let compression = self.recipe.compression;
        let inputs = [base.key(), dress::VERSION, compression.name()];
        let (tar, origin) = (base.file(base::TAR), self.recipe.base.origin());
        self.stage(Stage::Root, &inputs, |tools, folder, say| {
            root::make(tools, &tar, &origin, compression, folder, say)
        })
    }

    fn initrd(&mut self, kernel: &Kept) -> Result<Kept, ImageError> {
        let agent = self.agent;
        let inputs = [kernel.key(), &hash::of_bytes(agent)];
        self.stage(Stage::Initrd, &inputs, |_, folder, say| {
            let modules = kernel::modules(&kernel.folder())?;
            let path = folder.join(INITRD);
            let out = File::create_new(&path).map_err(ImageError::io("making", &path))?;
            let out = std::io::BufWriter::new(out);
            let out = initrd::write(out, &modules, agent).map_err(ImageError::io("writing", &path))?;
            out.into_inner().map_err(|error| ImageError::io("writing", &path)(error.into_error()))?;
            say(&format!("{} modules and the agent", modules.len()));
            Ok(())
        })
    }

    /// Puts the files together. They are linked, not moved: a killed build finds them again.
    fn put(&mut self, kernel: &Kept, root: &Kept, initrd: &Kept) -> Result<Image, ImageError> {
        (self.progress)(Progress::Began(Stage::Store));
        let began = Instant::now();
        let place = self.store.scratch()?;
        let take = |from: &Kept, name: &str| {
            let (from, to) = (from.file(name), place.path().join(name));
            fs::hard_link(&from, &to).map_err(ImageError::io("linking", &from))?;
            hash::of_file(&to)
        };
        let files =
            Files { kernel: take(kernel, KERNEL)?, initrd: take(initrd, INITRD)?, root: take(root, ROOT)? };
        let content = Content {
            kernel_version: kernel::version(&kernel.folder())?,
            files,
            root_kind: RootKind::Squashfs,
            suite: match self.recipe.base {
                Base::Packages { .. } => self.recipe.suite.name(),
                Base::Tar(_) => "(tar)",
                Base::Oci(_) => "(oci)",
            }
            .to_owned(),
            packages: root::packages(&root.folder())?,
            init: self.recipe.init.clone(),
        };
        let manifest = Manifest::new(content, now_unix_ms());
        let path = place.path().join(MANIFEST);
        fs::write(&path, manifest.to_json()).map_err(ImageError::io("writing", &path))?;
        let image = Image { id: manifest.id.clone(), manifest, folder: place.path().to_owned() };
        let image = self.store.keep(image)?;
        (self.progress)(Progress::Ended(Stage::Store, began.elapsed()));
        Ok(image)
    }

    /// Carries a stage out, unless it is kept for the same inputs.
    fn stage(
        &mut self,
        stage: Stage,
        inputs: &[&str],
        work: impl FnOnce(&Tools, &std::path::Path, &mut dyn FnMut(&str)) -> Result<(), ImageError>,
    ) -> Result<Kept, ImageError> {
        let kept = Kept::new(&self.folder, stage, inputs);
        if kept.is_finished() {
            (self.progress)(Progress::Reused(stage));
            return Ok(kept);
        }
        (self.progress)(Progress::Began(stage));
        let began = Instant::now();
        let progress = &mut *self.progress;
        let tools = &self.tools;
        kept.make(|folder| {
            work(tools, folder, &mut |line| progress(Progress::Said(stage, line.to_owned())))
        })?;
        (self.progress)(Progress::Ended(stage, began.elapsed()));
        Ok(kept)
    }
}

impl Base {
    /// For errors.
    fn origin(&self) -> String {
        match self {
            Base::Packages { .. } => "the root made of packages".to_owned(),
            Base::Tar(path) | Base::Oci(path) => path.display().to_string(),
        }
    }
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
