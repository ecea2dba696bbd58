//! The stock image, as `hearth image build` makes it. Run by `cargo xtask test --only vm`, which
//! names a data folder with it in `HEARTH_VM_DATA`.

use std::path::PathBuf;
use std::process::Command;

use machine::image::{Depth, Image, ImageStore};

fn image() -> Option<(ImageStore, Image)> {
    let Some(data) = std::env::var_os("HEARTH_VM_DATA").map(PathBuf::from) else {
        println!("SKIPPED: HEARTH_VM_DATA names no data folder; use cargo xtask test --only vm");
        return None;
    };
    let store = ImageStore::open(&data).expect("a store");
    let image = store.get("default").expect("the stock image");
    Some((store, image))
}

/// What `unsquashfs` lists of some paths in the root, a line each.
fn listed(image: &Image, paths: &[&str]) -> String {
    let mut unsquashfs = Command::new("unsquashfs");
    let output = unsquashfs.args(["-quiet", "-lln"]).arg(image.root()).args(paths).output().expect("a list");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_stock_image_is_whole_and_has_what_workflows_take_for_granted() {
    let Some((store, image)) = image() else { return };
    store.verify(&image, Depth::Full).expect("whole");
    let has =
        |name: &str| image.manifest.packages.iter().any(|package| package.starts_with(&format!("{name}=")));
    for name in
        ["git", "curl", "ca-certificates", "build-essential", "python3", "nodejs", "sudo", "jq", "zip"]
    {
        assert!(has(name), "{name} of {:?}", image.manifest.packages);
    }
    let node = image.manifest.packages.iter().find_map(|package| package.strip_prefix("nodejs="));
    let major = node.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    assert!(major >= Some(20), "actions ask for Node 20, and there is {node:?}");
}

#[test]
fn the_user_of_jobs_owns_its_folders_and_root_the_rest() {
    let Some((_, image)) = image() else { return };
    let all = listed(&image, &["home", "opt/hostedtoolcache", "etc/sudoers.d/runner", "etc/skel/.profile"]);
    let line = |path: &str| {
        let end = format!(" squashfs-root{path}");
        all.lines()
            .find(|line| line.ends_with(&end))
            .unwrap_or_else(|| panic!("no {path} in {all}"))
            .to_owned()
    };
    for (path, start) in [
        ("", "drwxr-xr-x 0/0 "),
        ("/etc/sudoers.d/runner", "-r--r----- 0/0 "),
        ("/etc/skel/.profile", "-rw-r--r-- 0/0 "),
        ("/home/runner/.profile", "-rw-r--r-- 1001/1001 "),
        ("/home/runner/work/_temp", "drwxr-xr-x 1001/1001 "),
        ("/opt/hostedtoolcache", "drwxr-xr-x 1001/1001 "),
    ] {
        assert!(line(path).starts_with(start), "{path}: {}", line(path));
    }
}

#[test]
fn the_kernel_and_its_modules_are_of_one_release() {
    let Some((_, image)) = image() else { return };
    let initrd = std::fs::read(image.initrd()).expect("an initial RAM disk");
    let has = |text: &str| initrd.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(
        has(&format!("vermagic={} ", image.manifest.kernel_version)),
        "{}",
        image.manifest.kernel_version
    );
    for module in ["virtio_blk", "virtio_console", "squashfs", "overlay", "vmw_vsock_virtio_transport"] {
        assert!(has(&format!("modules/{module}.ko\0")), "{module}");
    }
    assert!(has("init\0"));
}
