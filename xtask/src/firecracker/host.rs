//! The emulated host: a kernel with its modules, and a disk.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::RESULT;
use super::archive::Archive;
use crate::command::{check, output, program};

/// Packages that are unpacked, never installed. The kernel's name follows from the second.
const PACKAGES: [&str; 2] = ["busybox-static", "linux-image-cloud-amd64"];
/// What the host's kernel needs beyond what is built in; what they depend on comes along.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_blk", "ext4", "kvm_amd", "tun"];
/// What Hearth calls.
const PROGRAMS: [&str; 2] = ["usr/sbin/mke2fs", "usr/bin/git"];
/// Size of the disk; a sparse file.
const DISK: &str = "6G";

/// What the disk's init does: mounts what a host has, runs both suites, and switches off. Memory is scarce, so
/// what they write goes to the disk.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/opt:/usr/bin:/bin:/usr/sbin:/sbin TMPDIR=/data/tmp HOME=/data/home
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 -o favordynmods cgroup /sys/fs/cgroup || mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
ulimit -n 4096
mkdir -p $TMPDIR $HOME
export HEARTH_FIRECRACKER=/opt/firecracker HEARTH_TEST_DATA=/data RUST_BACKTRACE=0
/opt/suite --ignored --nocapture --test-threads=1 FILTER
driver=$?
export HEARTH_VM_DATA=/data HEARTH_TEST_PROGRAM=/opt/hearth HEARTH_TEST_MACHINE=vm
/opt/debug --nocapture --test-threads=1 FILTER
echo "RESULT$((driver | $?))"
sync
echo o > /proc/sysrq-trigger
sleep 60
"#;

/// What the initial RAM disk does: loads modules, and goes over to the disk.
const FIRST_INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for name in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$name || echo \"no $name\"; done
/bin/busybox mount -t ext4 /dev/vda /disk
/bin/busybox mount --move /dev /disk/dev
exec /bin/busybox switch_root /disk /init
";

/// What runs on the host.
pub(super) struct Tested {
    /// Tests of the driver.
    pub(super) driver: PathBuf,
    /// Tests of machines that are kept, by the program that people call.
    pub(super) debug: PathBuf,
    /// That program.
    pub(super) hearth: PathBuf,
}

/// A host's parts, unpacked.
pub(super) struct Host {
    folder: PathBuf,
    unpacked: PathBuf,
    /// The kernel.
    pub(super) kernel: PathBuf,
}

impl Host {
    /// Fetches the packages, if they are not there yet.
    pub(super) fn fetch(folder: &Path) -> Result<Self> {
        let unpacked = folder.join("unpacked");
        if !unpacked.exists() {
            let scratch = folder.join("fetching");
            let _ = fs::remove_dir_all(&scratch);
            fs::create_dir_all(scratch.join("tree"))?;
            let kernel = kernel_package()?;
            println!("fetching {} and {kernel}", PACKAGES[0]);
            check(program("apt-get", ["download", PACKAGES[0], &kernel]).current_dir(&scratch))?;
            for entry in fs::read_dir(&scratch)?.flatten() {
                if entry.path().extension() == Some(OsStr::new("deb")) {
                    let mut unpack = program("dpkg-deb", ["--extract"]);
                    check(unpack.arg(entry.path()).arg(scratch.join("tree")))?;
                }
            }
            fs::rename(scratch.join("tree"), &unpacked)?;
            fs::remove_dir_all(&scratch)?;
        }
        let kernels = fs::read_dir(unpacked.join("boot"))?.flatten().map(|entry| entry.path());
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        };
        let kernel = kernels.into_iter().find(named).context("the kernel's package has no kernel")?;
        Ok(Self { folder: folder.to_owned(), unpacked, kernel })
    }

    /// The initial RAM disk.
    pub(super) fn initrd(&self) -> Result<PathBuf> {
        let mut archive = Archive::default();
        for folder in ["bin", "dev", "disk", "modules"] {
            archive.folder(folder);
        }
        archive.file("init", FIRST_INIT.as_bytes());
        archive.file("bin/busybox", &fs::read(self.busybox())?);
        let mut order = String::new();
        for path in self.modules()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            archive.file(&format!("modules/{name}"), &fs::read(&path)?);
            order.push_str(&format!("{name}\n"));
        }
        archive.file("modules/order", order.as_bytes());
        let path = self.folder.join("initrd");
        fs::write(&path, archive.finish())?;
        Ok(path)
    }

    /// The disk, with all that the suite needs.
    pub(super) fn disk(
        &self,
        tested: &Tested,
        firecracker: &Path,
        data: &Path,
        only: Option<&str>,
    ) -> Result<PathBuf> {
        let tree = self.folder.join("tree");
        let _ = fs::remove_dir_all(&tree);
        for folder in
            ["bin", "dev", "proc", "sys", "tmp", "run", "opt", "etc", "data", "usr/sbin", "usr/bin", "sbin"]
        {
            fs::create_dir_all(tree.join(folder))?;
        }
        let init = INIT.replace("FILTER", only.unwrap_or_default()).replace("RESULT", RESULT);
        write_program(&tree.join("init"), init.as_bytes())?;
        fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        self.install_busybox(&tree)?;
        for (program, name) in
            [(&tested.driver, "suite"), (&tested.debug, "debug"), (&tested.hearth, "hearth")]
        {
            install(program, &tree, &Path::new("opt").join(name))?;
        }
        install(firecracker, &tree, Path::new("opt/firecracker"))?;
        let jailer = firecracker.with_file_name(
            firecracker.file_name().unwrap_or_default().to_string_lossy().replacen(
                "firecracker",
                "jailer",
                1,
            ),
        );
        install(&jailer, &tree, Path::new("opt/jailer"))?;
        for name in PROGRAMS {
            install(&Path::new("/").join(name), &tree, Path::new(name))?;
        }
        let images = tree.join("data");
        check(program("cp", ["--archive"]).arg(data.join("images")).arg(&images))?;
        let disk = self.folder.join("disk.img");
        let _ = fs::remove_file(&disk);
        let mut make = program("/usr/sbin/mke2fs", ["-q", "-t", "ext4", "-E", "root_owner=0:0", "-d"]);
        check(make.arg(&tree).arg(&disk).arg(DISK))?;
        Ok(disk)
    }

    fn busybox(&self) -> PathBuf {
        ["bin/busybox", "usr/bin/busybox"]
            .map(|path| self.unpacked.join(path))
            .into_iter()
            .find(|path| path.exists())
            .unwrap_or_default()
    }

    /// Busybox, and a link for each of the programs that it is.
    fn install_busybox(&self, tree: &Path) -> Result<()> {
        let busybox = self.busybox();
        install(&busybox, tree, Path::new("bin/busybox"))?;
        let applets = output(program(&busybox.to_string_lossy(), ["--list"]).env_clear())?;
        for applet in applets.lines().filter(|applet| !["busybox", "mke2fs"].contains(applet)) {
            symlink("busybox", tree.join("bin").join(applet))?;
        }
        Ok(())
    }

    /// The files of the modules, each after those that it needs.
    fn modules(&self) -> Result<Vec<PathBuf>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.unpacked.join("lib/modules"), self.unpacked.join("usr/lib/modules")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(name) =
                    entry.file_name().to_str().and_then(|name| name.strip_suffix(".ko"))
                {
                    files.insert(name.replace('-', "_"), path);
                }
            }
        }
        let mut order = Vec::new();
        for name in MODULES {
            add(name, &files, &mut order)?;
        }
        Ok(order)
    }
}

/// Adds a module after what it depends on. One that is not there is built in.
fn add(name: &str, files: &BTreeMap<String, PathBuf>, order: &mut Vec<PathBuf>) -> Result<()> {
    let Some(path) = files.get(&name.replace('-', "_")).filter(|path| !order.contains(path)) else {
        return Ok(());
    };
    let content = fs::read(path)?;
    // The section `.modinfo` is made of words like `depends=mbcache,jbd2`, each with a zero after it.
    let words = content.split(|byte| *byte == 0);
    let depends = words.filter_map(|word| std::str::from_utf8(word).ok()?.strip_prefix("depends=")).next();
    for needed in depends.unwrap_or_default().split(',').filter(|needed| !needed.is_empty()) {
        add(needed, files, order)?;
    }
    order.push(path.clone());
    Ok(())
}

/// The package that `linux-image-cloud-amd64` stands for now.
fn kernel_package() -> Result<String> {
    let depends = output(&mut program("apt-cache", ["depends", PACKAGES[1]]))?;
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let package = package.with_context(|| format!("apt-cache knows no kernel behind {}", PACKAGES[1]))?;
    Ok(format!("linux-image-{package}"))
}

/// Copies a program, and the libraries that it is linked with.
fn install(from: &Path, tree: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| from.display().to_string())?;
    write_program(&tree.join(to), &content)?;
    // A static program has none, which `ldd` takes for a failure.
    let Ok(listed) = output(program("ldd", [from.as_os_str()]).env("LC_ALL", "C")) else { return Ok(()) };
    for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
        let place = tree.join(library.trim_start_matches('/'));
        if !place.exists() {
            fs::create_dir_all(place.parent().context("a library without a folder")?)?;
            write_program(&place, &fs::read(library)?)?;
        }
    }
    Ok(())
}

fn write_program(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
