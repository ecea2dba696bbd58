//! Builds with made-up programs: what they do is chosen by files beside them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::modules::WANTED;
use super::super::modules::tests::module_file;
use super::super::packed::tests::pack;
use super::super::program::{XZ, ZSTD};
use super::super::tree::tests::{FILE, Member, tar_of};
use super::super::verify::Depth;
use super::*;

/// A data folder and programs that stand for Debian's.
struct Bench {
    folder: tempfile::TempDir,
    store: ImageStore,
}

/// `mmdebstrap` gives `root.tar`, `dpkg-deb` gives `kernel.tar`; `sqfstar` keeps what it reads.
/// Each fails when a file `<name>.fails` lies beside it, and counts its calls in `<name>.calls`.
const PROGRAMS: [(&str, &str); 6] = [
    ("apt-config", ""),
    ("mmdebstrap", "echo 'I: installing' >&2; cat \"$here/root.tar\""),
    ("apt-get", "case \"$*\" in *download*) touch kernel.deb;; esac"),
    ("apt-cache", "echo 'linux-image-cloud-amd64'; echo '  Depends: linux-image-6.1.0-9-cloud-amd64'"),
    ("dpkg-deb", "cat \"$here/kernel.tar\""),
    ("sqfstar", "for last; do :; done; cat > \"$last\""),
];

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).unwrap();
        for (name, script) in PROGRAMS {
            let path = programs.join(name);
            let counted = "here=$(dirname \"$0\"); echo >> \"$0.calls\"";
            let knob = "if [ -e \"$0.fails\" ]; then cat \"$0.fails\" >&2; exit 3; fi";
            fs::write(&path, format!("#!/bin/sh\n{counted}\n{knob}\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let bench = Self { store: ImageStore::open(&folder.path().join("data")).unwrap(), folder };
        bench.give("root.tar", &tar_of(&system()));
        bench.give("kernel.tar", &kernel_tar("lib/modules"));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("bin").join(name)
    }

    fn give(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn calls(&self, name: &str) -> usize {
        fs::read(self.path(&format!("{name}.calls"))).map_or(0, |calls| calls.len())
    }

    fn build(&self, recipe: &Recipe, agent: &[u8]) -> (Result<Image, ImageError>, Vec<Progress>) {
        let mut told = Vec::new();
        let tools = Tools::first_in(&self.folder.path().join("bin"));
        let built = build_with(tools, &self.store, recipe, agent, &mut |progress| told.push(progress));
        (built, told)
    }
}

fn recipe(base: Base) -> Recipe {
    Recipe {
        name: "default".to_owned(),
        base,
        suite: Suite::Trixie,
        kernel: Suite::Bookworm,
        mirrors: vec!["http://mirror.example/debian".to_owned()],
        compression: Compression::Lz4,
        init: None,
    }
}

fn bare() -> Recipe {
    recipe(Base::Packages { bare: true, extra: Vec::new() })
}

fn system() -> Vec<Member<'static>> {
    let status = "Package: sudo\nStatus: install ok installed\nVersion: 1.9\n";
    vec![
        ("bin/sh", FILE, 0o755, 0, "#!"),
        ("etc/passwd", FILE, 0o644, 0, "root:x:0:0::/root:/bin/sh\n"),
        ("var/lib/dpkg/status", FILE, 0o644, 0, status),
    ]
}

/// A kernel's package with all that is wanted; `ext4` is built in.
fn kernel_tar(modules: &str) -> Vec<u8> {
    let folder = format!("{modules}/6.1.0-9-cloud-amd64");
    let module = String::from_utf8(module_file(&["depends="])).unwrap();
    let files: Vec<(String, String)> = WANTED
        .iter()
        .filter(|wanted| wanted.name != "ext4")
        .map(|wanted| {
            (format!("{folder}/kernel/{}.ko", wanted.name.replace("virtio_", "virtio-")), module.clone())
        })
        .chain([
            (format!("{folder}/modules.builtin"), "kernel/fs/ext4/ext4.ko\n".to_owned()),
            ("boot/vmlinuz-6.1.0-9-cloud-amd64".to_owned(), "bzImage".to_owned()),
        ])
        .collect();
    tar_of(
        &files.iter().map(|(name, text)| (name.as_str(), FILE, 0o644, 0, text.as_str())).collect::<Vec<_>>(),
    )
}

fn stages(told: &[Progress], which: fn(&Progress) -> Option<Stage>) -> Vec<Stage> {
    told.iter().filter_map(which).collect()
}

fn reused(progress: &Progress) -> Option<Stage> {
    if let Progress::Reused(stage) = progress { Some(*stage) } else { None }
}

fn ended(progress: &Progress) -> Option<Stage> {
    if let Progress::Ended(stage, _) = progress { Some(*stage) } else { None }
}

#[test]
fn a_build_says_which_program_is_missing_before_it_begins() {
    let bench = Bench::new();
    fs::remove_file(bench.path("sqfstar")).unwrap();
    let tools = Tools::only_in(&bench.folder.path().join("bin"));
    let mut told = Vec::new();
    let built = build_with(tools, &bench.store, &bare(), b"", &mut |progress| told.push(progress));
    assert!(built.unwrap_err().to_string().contains("apt-get install squashfs-tools"));
    assert!(told.is_empty() && bench.calls("mmdebstrap") == 0);
}

#[test]
fn only_a_user_who_installs_packages_and_is_not_root_needs_the_package_for_ids() {
    let packages =
        |base: Base, is_root| needed(&recipe(base), is_root).iter().any(|needed| needed.package == "uidmap");
    assert!(packages(bare().base, false));
    assert!(!packages(bare().base, true));
    assert!(!packages(Base::Tar("root.tar".into()), false));
}

#[test]
fn a_build_needs_the_programs_that_unpack_what_it_is_made_of() {
    let bench = Bench::new();
    let tar = bench.path("given.tar");
    let unpackers = |recipe: &Recipe| {
        let all = needed(recipe, true).into_iter().map(|program| program.name);
        all.filter(|name| ["xz", "zstd"].contains(name)).collect::<Vec<_>>()
    };
    assert!(unpackers(&bare()).is_empty());
    assert_eq!(unpackers(&Recipe { kernel: Suite::Trixie, ..bare() }), ["xz"], "for its modules");
    for program in [XZ, ZSTD] {
        fs::write(&tar, pack(program, &tar_of(&system()))).unwrap();
        assert_eq!(unpackers(&recipe(Base::Tar(tar.clone()))), [program.name]);
    }
    fs::write(&tar, tar_of(&system())).unwrap();
    assert!(unpackers(&recipe(Base::Tar(tar))).is_empty());
}

#[test]
fn a_build_gives_a_verified_image_with_its_name_and_leaves_nothing_else() {
    let bench = Bench::new();
    let (built, told) = bench.build(&bare(), b"the agent");
    let image = built.unwrap();
    assert_eq!(stages(&told, ended), Stage::ALL);
    assert!(told.contains(&Progress::Said(Stage::Base, "I: installing".to_owned())), "{told:?}");
    assert_eq!(bench.store.get("default").unwrap().id, image.id);
    bench.store.verify(&image, Depth::Full).unwrap();
    assert_eq!(image.manifest.kernel_version, "6.1.0-9-cloud-amd64");
    assert_eq!(image.manifest.packages, ["sudo=1.9"]);
    assert_eq!(image.manifest.cmdline, "root=/dev/vda rootfstype=squashfs ro");
    assert_eq!(fs::read(image.kernel()).unwrap(), b"bzImage");
    let initrd = fs::read(image.initrd()).unwrap();
    let has = |text: &str| initrd.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("the agent") && has("modules/virtio_blk.ko\0") && !has("ext4.ko"));
    let left: Vec<_> =
        fs::read_dir(bench.store.build_folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn the_same_inputs_give_the_same_image_and_another_agent_gives_another() {
    let bench = Bench::new();
    let first = bench.build(&bare(), b"agent").0.unwrap();
    assert_eq!(bench.build(&bare(), b"agent").0.unwrap().id, first.id);
    assert_ne!(bench.build(&bare(), b"newer").0.unwrap().id, first.id);
}

#[test]
fn a_build_goes_on_after_the_last_finished_stage_wherever_it_stopped() {
    for (program, finished) in
        [("mmdebstrap", 0), ("apt-get", 1), ("apt-cache", 1), ("dpkg-deb", 1), ("sqfstar", 2)]
    {
        let bench = Bench::new();
        bench.give(&format!("{program}.fails"), b"E: no luck today");
        let error = bench.build(&bare(), b"agent").0.unwrap_err().to_string();
        assert!(error.contains(&format!("{program} failed (exit status: 3)")), "{error}");
        assert!(error.contains("no luck today"), "{error}");
        assert!(bench.store.list().unwrap().is_empty());
        fs::remove_file(bench.path(&format!("{program}.fails"))).unwrap();
        let (built, told) = bench.build(&bare(), b"agent");
        built.unwrap();
        assert_eq!(stages(&told, reused), Stage::ALL[..finished], "{program}");
    }
}

#[test]
fn what_a_killed_build_left_half_done_is_removed_and_what_is_old_is_not_used() {
    let bench = Bench::new();
    bench.give("sqfstar.fails", b"");
    bench.build(&bare(), b"agent").0.unwrap_err();
    let folder = bench.store.build_folder();
    fs::create_dir(folder.join(".new-killed")).unwrap();
    for entry in fs::read_dir(&folder).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("base-") {
            let long_ago = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
            fs::File::open(entry.path()).unwrap().set_modified(long_ago).unwrap();
        }
    }
    fs::remove_file(bench.path("sqfstar.fails")).unwrap();
    let (built, told) = bench.build(&bare(), b"agent");
    built.unwrap();
    assert_eq!(stages(&told, reused), [Stage::Kernel]);
    assert_eq!(bench.calls("mmdebstrap"), 2);
    assert!(!folder.join(".new-killed").exists());
}

#[test]
fn other_inputs_use_no_stage_of_these() {
    let bench = Bench::new();
    bench.give("sqfstar.fails", b"");
    bench.build(&bare(), b"agent").0.unwrap_err();
    let more = recipe(Base::Packages { bare: true, extra: vec!["make".to_owned()] });
    let (_, told) = bench.build(&more, b"agent");
    assert_eq!(stages(&told, reused), [Stage::Kernel]);
}

#[test]
fn two_builders_of_one_data_folder_are_told_apart() {
    let bench = Bench::new();
    let folder = bench.store.build_folder();
    make_private(&folder).unwrap();
    let held = try_lock(&folder.join("lock")).unwrap();
    assert!(held.is_some());
    let error = bench.build(&bare(), b"agent").0.unwrap_err();
    assert!(matches!(error, ImageError::Busy { .. }), "{error}");
    drop(held);
    bench.build(&bare(), b"agent").0.unwrap();
}

#[test]
fn a_tar_file_becomes_an_image_and_its_package_programs_are_not_asked() {
    let bench = Bench::new();
    let tar = bench.path("given.tar");
    fs::write(&tar, tar_of(&system())).unwrap();
    let plain = bench.build(&recipe(Base::Tar(tar.clone())), b"agent").0.unwrap();
    assert_eq!(bench.calls("mmdebstrap"), 0);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &tar_of(&system())).unwrap();
    let whole = packed.finish().unwrap();
    fs::write(&tar, &whole).unwrap();
    let unpacked = bench.build(&recipe(Base::Tar(tar.clone())), b"agent").0.unwrap();
    assert_eq!(plain.id, unpacked.id);
    for program in [XZ, ZSTD] {
        fs::write(&tar, pack(program, &tar_of(&system()))).unwrap();
        let unpacked = bench.build(&recipe(Base::Tar(tar.clone())), b"agent").0.unwrap();
        assert_eq!(plain.id, unpacked.id, "{program:?}");
    }
    for (bytes, said) in [
        (&whole[..whole.len() - 20], "can't be unpacked"),
        (&tar_of(&system())[..1024], "it is truncated"),
        (b"no tar file at all, but long enough to be looked at".as_slice(), "given.tar"),
    ] {
        fs::write(&tar, bytes).unwrap();
        let error = bench.build(&recipe(Base::Tar(tar.clone())), b"agent").0.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let missing = recipe(Base::Tar(PathBuf::from("/nowhere.tar")));
    let error = bench.build(&missing, b"agent").0.unwrap_err().to_string();
    assert!(error.contains("opening /nowhere.tar"), "{error}");
}

#[test]
fn a_kernel_that_keeps_its_modules_elsewhere_and_compressed_is_understood() {
    let bench = Bench::new();
    let first = bench.build(&bare(), b"agent").0.unwrap();
    bench.give("kernel.tar", &kernel_tar("usr/lib/modules"));
    let moved = bench.build(&bare(), b"agent").0.unwrap();
    assert_eq!(first.id, moved.id);
}

#[test]
fn a_kernel_without_what_machines_need_is_refused_by_name() {
    let bench = Bench::new();
    for (members, said) in [
        (vec![("lib/modules/x/modules.builtin", FILE, 0o644, 0, "")], "has no kernel in /boot"),
        (vec![("boot/vmlinuz-x", FILE, 0o644, 0, "k")], "has no modules"),
        (
            vec![
                ("boot/vmlinuz-x", FILE, 0o644, 0, "k"),
                ("lib/modules/x/modules.builtin", FILE, 0o644, 0, "kernel/virtio_mmio.ko\n"),
                ("lib/modules/x/kernel/virtio_pci.ko", FILE, 0o644, 0, "no ELF"),
            ],
            "virtio_pci.ko is no module",
        ),
        (
            vec![
                ("boot/vmlinuz-x", FILE, 0o644, 0, "k"),
                ("lib/modules/x/modules.builtin", FILE, 0o644, 0, "kernel/virtio_mmio.ko\n"),
            ],
            "has no module virtio_pci",
        ),
    ] {
        bench.give("kernel.tar", &tar_of(&members));
        let error = bench.build(&bare(), b"agent").0.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_package_whose_name_is_an_option_is_refused_before_anything_runs() {
    let bench = Bench::new();
    for name in ["--setup-hook=id", "a b", "a,b", ""] {
        let recipe = recipe(Base::Packages { bare: true, extra: vec![name.to_owned()] });
        let error = bench.build(&recipe, b"agent").0.unwrap_err().to_string();
        assert!(error.contains("is no name of a package"), "{error}");
    }
    assert_eq!(bench.calls("mmdebstrap"), 0);
}

/// A file system of 1 MiB, or nothing where this user may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        use nix::mount::{MsFlags, mount};
        let options = Some("size=1m");
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), options).ok().map(|()| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_is_named_and_the_build_goes_on_once_there_is_room() {
    let bench = Bench::new();
    let data = bench.folder.path().join("small");
    fs::create_dir(&data).unwrap();
    let Some(disk) = SmallDisk::mount(&data) else {
        println!("not root: no small disk to fill");
        return;
    };
    let store = ImageStore::open(&data).unwrap();
    let tools = Tools::first_in(&bench.folder.path().join("bin"));
    let build = |agent: &[u8]| build_with(tools.clone(), &store, &bare(), agent, &mut |_| {});
    let error = build(&vec![7; 2 << 20]).unwrap_err().to_string();
    assert!(error.contains("No space left on device") && error.contains("make room"), "{error}");
    assert!(store.list().unwrap().is_empty());
    build(b"agent").unwrap();
    drop(disk);
}
