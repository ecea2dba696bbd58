//! The kernel that Debian makes for virtual machines, and the modules that ours need.
//!
//! Its package is taken apart, not installed: its scripts would want a boot loader and an initial
//! RAM disk of their own, and a root that is no Debian can't install it at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::super::error::ImageError;
use super::super::initrd::Module;
use super::super::modules::{Found, WANTED, canonical, load_order, needs};
use super::super::packed::Packing;
use super::super::program::{APT_CACHE, APT_GET, Call, DPKG_DEB, Program, Tools};
use super::super::store::KERNEL;
use super::super::tree::{Tree, Whiteouts};

/// The package that always depends on the newest kernel for virtual machines.
const NEWEST: &str = "linux-image-cloud-amd64";
/// What the names of those kernels begin with.
const IMAGE: &str = "linux-image-";
/// Files that the stage leaves beside the kernel.
const VERSION: &str = "version";
const ORDER: &str = "order";
/// Largest module, unpacked: many times the largest of Debian's.
const MAX_MODULE_BYTES: u64 = 256 * 1024 * 1024;
/// Where a kernel's package has its modules; Debian 13 has moved them.
const MODULE_FOLDERS: [&str; 2] = ["usr/lib/modules", "lib/modules"];

/// Fetches the newest kernel of these sources and takes out what is needed.
pub(super) fn fetch(
    tools: &Tools,
    sources: &[String],
    folder: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), ImageError> {
    let apt = Apt::new(tools, sources, &folder.join("apt"))?;
    apt.run(APT_GET, &["update"], say)?;
    let depends = apt.run(APT_CACHE, &["depends", NEWEST], say)?;
    let newest = newest(&String::from_utf8_lossy(&depends)).ok_or_else(|| {
        ImageError::refused(sources.join("; "), format!("have no package {NEWEST}, which names the kernel"))
    })?;
    say(&newest);
    apt.run(APT_GET, &["download", &newest], say)?;
    let package = apt.downloaded()?;
    let data = folder.join("data.tar");
    let file = File::options().read(true).write(true).create_new(true).open(&data);
    let file = file.map_err(ImageError::io("making", &data))?;
    tools.run(&Call::new(DPKG_DEB).args(["--fsys-tarfile"]).args([&package]), Some(&file), None, say)?;
    let mut tree = Tree::default();
    tree.add_layer(file, Whiteouts::Plain, &newest)?;
    take_out(tools, &tree, &newest, folder)?;
    fs::remove_file(&data).map_err(ImageError::io("removing", &data))?;
    fs::remove_dir_all(&apt.folder).map_err(ImageError::io("removing", &apt.folder))
}

/// The release of the kernel in a finished stage.
pub(super) fn version(folder: &Path) -> Result<String, ImageError> {
    read_text(&folder.join(VERSION))
}

/// The modules in a finished stage, in the order of loading.
pub(super) fn modules(folder: &Path) -> Result<Vec<Module>, ImageError> {
    let order = read_text(&folder.join(ORDER))?;
    let read = |name: &str| {
        let path = folder.join(format!("{name}.ko"));
        let content = fs::read(&path).map_err(ImageError::io("reading", &path))?;
        Ok(Module { name: name.to_owned(), content })
    };
    order.lines().map(read).collect()
}

fn read_text(path: &Path) -> Result<String, ImageError> {
    fs::read_to_string(path).map_err(ImageError::io("reading", path))
}

/// The kernel that `apt-cache depends` says the newest is.
fn newest(depends: &str) -> Option<String> {
    let of_line = |line: &str| {
        let name = line.trim().strip_prefix("Depends: ")?.trim();
        name.starts_with(IMAGE).then(|| name.to_owned())
    };
    depends.lines().find_map(of_line)
}

/// Writes kernel, version, and the needed modules into the stage's folder.
fn take_out(tools: &Tools, tree: &Tree, package: &str, folder: &Path) -> Result<(), ImageError> {
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).map_err(ImageError::io("writing", &path))
    };
    let kernel = tree.iter().find_map(|(path, _)| {
        let version = path.to_str()?.strip_prefix("boot/vmlinuz-")?;
        Some((path.to_owned(), version.to_owned()))
    });
    let (path, version) = kernel.ok_or_else(|| ImageError::refused(package, "has no kernel in /boot"))?;
    write(KERNEL, &read(tree, package, &path)?)?;
    write(VERSION, version.as_bytes())?;
    let kernel = Kernel::new(tree, package, &version)?;
    let mut files = Vec::new();
    let order = load_order(WANTED, &mut |name| {
        let Some(path) = kernel.file(name) else {
            return Ok(if kernel.has_built_in(name) { Found::BuiltIn } else { Found::Missing });
        };
        let content = uncompressed(tools, &path, &read(tree, package, &path)?)?;
        let found = needs(&content)
            .ok_or_else(|| ImageError::refused(package, format!("{} is no module", path.display())))?;
        files.push((name.to_owned(), content));
        Ok(found)
    })?;
    for (name, content) in &files {
        write(&format!("{name}.ko"), content)?;
    }
    write(ORDER, order.join("\n").as_bytes())
}

fn read(tree: &Tree, package: &str, path: &Path) -> Result<Vec<u8>, ImageError> {
    let refused = |reason: String| ImageError::refused(format!("{package}: {}", path.display()), reason);
    let content = tree.content(path).map_err(|error| refused(format!("can't be read ({error})")))?;
    content.ok_or_else(|| refused("is not in the package".to_owned()))
}

/// The modules of one kernel in its package.
struct Kernel {
    files: Vec<(String, PathBuf)>,
    built_in: Vec<String>,
}

impl Kernel {
    fn new(tree: &Tree, package: &str, version: &str) -> Result<Self, ImageError> {
        let folders = MODULE_FOLDERS.iter().map(|folder| Path::new(folder).join(version));
        let folder = folders.into_iter().find(|folder| tree.get(folder).is_some());
        let folder = folder.ok_or_else(|| ImageError::refused(package, "has no modules"))?;
        let list = read(tree, package, &folder.join("modules.builtin"))?;
        let built_in =
            String::from_utf8_lossy(&list).lines().filter_map(|line| name_of(Path::new(line))).collect();
        let files =
            tree.below(&folder).into_iter().filter_map(|path| Some((name_of(&path)?, path))).collect();
        Ok(Self { files, built_in })
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.files.iter().find(|(found, _)| found == name).map(|(_, path)| path.clone())
    }

    fn has_built_in(&self, name: &str) -> bool {
        self.built_in.iter().any(|found| found == name)
    }
}

/// The name of the module in a file, compressed or not.
fn name_of(path: &Path) -> Option<String> {
    let (name, rest) = path.file_name()?.to_str()?.split_once(".ko")?;
    ["", ".xz", ".zst", ".gz"].contains(&rest).then(|| canonical(name))
}

fn uncompressed(tools: &Tools, path: &Path, content: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut module = Vec::new();
    let packing = Packing::of_name(path);
    packing.unpack(tools, &path.display().to_string(), content, MAX_MODULE_BYTES, &mut module)?;
    Ok(module)
}

/// An apt with folders of its own: what it fetches touches nothing of the host's.
struct Apt<'a> {
    tools: &'a Tools,
    folder: PathBuf,
    options: Vec<String>,
}

impl<'a> Apt<'a> {
    fn new(tools: &'a Tools, sources: &[String], folder: &Path) -> Result<Self, ImageError> {
        for part in ["state", "lists/partial", "cache/archives/partial", "packages"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(ImageError::io("making", &path))?;
        }
        let (list, status) = (folder.join("sources.list"), folder.join("state/status"));
        let mut text = sources.join("\n");
        text.push('\n');
        fs::write(&list, text).map_err(ImageError::io("writing", &list))?;
        fs::write(&status, "").map_err(ImageError::io("writing", &status))?;
        let place = |name: &str, path: &str| format!("{name}={}", folder.join(path).display());
        let options = vec![
            place("Dir::State", "state"),
            place("Dir::State::status", "state/status"),
            place("Dir::State::lists", "lists"),
            place("Dir::Cache", "cache"),
            place("Dir::Etc::sourcelist", "sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            "Dir::Etc::preferences=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            "APT::Architecture=amd64".to_owned(),
            "APT::Architectures=amd64".to_owned(),
            // Only the owner may enter the folder; apt's own user could not write there.
            "APT::Sandbox::User=".to_owned(),
            // Programs that the host runs after its own updates.
            "APT::Update::Post-Invoke=".to_owned(),
            "APT::Update::Post-Invoke-Success=".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
            "APT::Color=0".to_owned(),
        ];
        Ok(Self { tools, folder: folder.to_owned(), options })
    }

    /// Runs one of apt's programs; what it prints.
    fn run(&self, program: Program, args: &[&str], say: &mut dyn FnMut(&str)) -> Result<Vec<u8>, ImageError> {
        let options = self.options.iter().flat_map(|option| ["-o".to_owned(), option.clone()]);
        let call = Call::new(program).args(options).args(args.iter().copied());
        let printed = self.folder.join("printed");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&printed);
        let file = file.map_err(ImageError::io("making", &printed))?;
        self.tools.run(&call.folder(&self.folder.join("packages")), Some(&file), None, say)?;
        fs::read(&printed).map_err(ImageError::io("reading", &printed))
    }

    /// The package that was downloaded.
    fn downloaded(&self) -> Result<PathBuf, ImageError> {
        let folder = self.folder.join("packages");
        let mut entries = fs::read_dir(&folder).map_err(ImageError::io("reading", &folder))?.flatten();
        let package =
            entries.find(|entry| entry.path().extension().is_some_and(|extension| extension == "deb"));
        package.map(|entry| entry.path()).ok_or_else(|| {
            ImageError::refused(APT_GET.name, "said that it had downloaded the kernel, and there is none")
        })
    }
}
