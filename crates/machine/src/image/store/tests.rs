use std::os::unix::fs::MetadataExt;

use super::*;
use crate::image::hash;
use crate::image::manifest::{Content, FileRecord, Files, RootKind};

/// A folder in the store as a build leaves it, with this root.
pub(crate) fn made(store: &ImageStore, root: &[u8], made_unix_ms: u64) -> PathBuf {
    made_with(store, root, b"initrd", made_unix_ms)
}

/// As [`made`], with this initial RAM disk.
pub(crate) fn made_with(store: &ImageStore, root: &[u8], initrd: &[u8], made_unix_ms: u64) -> PathBuf {
    made_of(store, b"kernel", root, initrd, made_unix_ms)
}

/// As [`made_with`], with this kernel.
pub(crate) fn made_of(
    store: &ImageStore,
    kernel: &[u8],
    root: &[u8],
    initrd: &[u8],
    made_unix_ms: u64,
) -> PathBuf {
    let folder = store.images.join(format!("made-{made_unix_ms}"));
    fs::create_dir(&folder).unwrap();
    let write = |name: &str, content: &[u8]| {
        fs::write(folder.join(name), content).unwrap();
        FileRecord { sha256: hash::of_bytes(content), bytes: content.len() as u64 }
    };
    let files =
        Files { kernel: write(KERNEL, kernel), initrd: write(INITRD, initrd), root: write(ROOT, root) };
    let content = Content {
        kernel_version: "6.1.0".to_owned(),
        files,
        root_kind: RootKind::Squashfs,
        suite: "bookworm".to_owned(),
        packages: vec!["git=1".to_owned()],
        init: None,
    };
    fs::write(folder.join(MANIFEST), Manifest::new(content, made_unix_ms).to_json()).unwrap();
    folder
}

pub(crate) fn store() -> (tempfile::TempDir, ImageStore) {
    let data = tempfile::tempdir().unwrap();
    let store = ImageStore::open(data.path()).unwrap();
    (data, store)
}

#[test]
fn the_same_content_is_the_same_image_whenever_it_was_made() {
    let (_data, store) = store();
    let first = store.put(&made(&store, b"root", 1)).unwrap();
    let again = store.put(&made(&store, b"root", 2)).unwrap();
    let other = store.put(&made(&store, b"other", 3)).unwrap();
    assert_eq!(first.id, again.id);
    assert_eq!(again.manifest.made_unix_ms, 1);
    assert_ne!(first.id, other.id);
    assert_eq!(store.list().unwrap().len(), 2);
    assert!(!store.images.join("made-2").exists());
}

#[test]
fn an_image_is_found_by_name_by_id_and_by_the_beginning_of_its_id() {
    let (_data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    store.name("default", &image.id).unwrap();
    for wanted in ["default", image.id.as_str(), image.id.short()] {
        assert_eq!(store.get(wanted).unwrap().id, image.id, "{wanted}");
    }
    let too_short = &image.id.as_str()[..5];
    let error = store.get(too_short).unwrap_err().to_string();
    assert!(error.contains("there are: default"), "{error}");
}

#[test]
fn without_an_image_the_error_says_how_to_make_one() {
    let (_data, store) = store();
    let error = store.get("default").unwrap_err().to_string();
    assert!(error.contains("`hearth image build`"), "{error}");
}

#[test]
fn a_name_that_leads_elsewhere_is_none() {
    let (_data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    let long = "a".repeat(65);
    for name in ["", "../x", "a/b", ".hidden", "-o", "a\nb", long.as_str(), image.id.as_str()] {
        let refused = store.name(name, &image.id);
        assert!(matches!(refused, Err(ImageError::Name { .. })), "{name:?}");
    }
}

#[test]
fn the_last_name_takes_the_image_along_and_an_id_takes_all_names() {
    let (_data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    store.name("one", &image.id).unwrap();
    store.name("two", &image.id).unwrap();
    let removed = store.remove("one").unwrap();
    assert_eq!(removed, Removed { names: vec!["one".to_owned()], image: None });
    assert!(image.root().exists());
    assert_eq!(store.remove("two").unwrap().image, Some(image.id.clone()));
    assert!(!image.folder.exists());

    let image = store.put(&made(&store, b"root", 2)).unwrap();
    store.name("one", &image.id).unwrap();
    store.name("two", &image.id).unwrap();
    assert_eq!(store.remove(image.id.short()).unwrap().names, ["one", "two"]);
    assert!(store.list().unwrap().is_empty());
    assert!(matches!(store.get("one"), Err(ImageError::NotFound { .. })));
}

#[test]
fn an_image_that_a_snapshot_needs_stays() {
    let (data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    store.name("one", &image.id).unwrap();
    let snapshot = data.path().join("snapshots/warm");
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(snapshot.join(MANIFEST), format!("{{\"image\": \"{}\", \"vcpus\": 1}}", image.id)).unwrap();
    let error = store.remove("one").unwrap_err().to_string();
    assert!(error.contains("in use by snapshot warm"), "{error}");
    assert!(store.get("one").is_ok());
    fs::remove_dir_all(&snapshot).unwrap();
    store.remove("one").unwrap();
}

#[test]
fn an_image_that_a_running_machine_needs_stays_and_the_machine_is_named() {
    let (data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    store.name("one", &image.id).unwrap();
    store.name("two", &image.id).unwrap();
    let machine = data.path().join("vms/vm-1");
    fs::create_dir_all(&machine).unwrap();
    fs::write(machine.join("image"), image.id.as_str()).unwrap();
    let lock = File::create(data.path().join("vms/vm-1.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(store.remove("one").unwrap().image, None, "another name is left");
    for wanted in ["two", image.id.as_str()] {
        let error = store.remove(wanted).unwrap_err().to_string();
        assert!(error.contains("in use by machine vm-1"), "{error}");
    }
    assert!(store.get("two").is_ok());
    // As after SIGKILL: the folder is there, and nobody holds its lock.
    drop(lock);
    store.remove("two").unwrap();
}

#[test]
fn templates_of_an_image_go_with_it_and_others_stay() {
    let (data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    store.name("one", &image.id).unwrap();
    let snapshot = |name: &str, of: &str| {
        let folder = data.path().join("snapshots").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(MANIFEST), format!("{{\"image\": \"{of}\"}}")).unwrap();
        folder
    };
    let (mine, other) = (snapshot("template-a", image.id.as_str()), snapshot("template-b", "another"));
    store.remove("one").unwrap();
    assert!(!mine.exists() && other.exists());
    assert!(matches!(store.get("one"), Err(ImageError::NotFound { .. })));
}

#[test]
fn a_file_that_was_cut_or_changed_is_named_before_use() {
    let (_data, store) = store();
    for (name, content, said) in [
        (KERNEL, &b"kernem"[..], "kernel has the SHA-256"),
        (INITRD, b"initr", "initrd has 5 bytes instead of 6"),
        (ROOT, b"toor", "root.sqfs has the SHA-256"),
    ] {
        let image = store.put(&made(&store, b"root", 1)).unwrap();
        store.verify(&image, Depth::Memo).unwrap();
        fs::write(image.folder.join(name), content).unwrap();
        let error = store.verify(&image, Depth::Memo).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains(image.id.short()), "{error}");
        // Built or imported again, the image is whole again.
        let mended = store.put(&made(&store, b"root", 2)).unwrap();
        store.verify(&mended, Depth::Full).unwrap();
        store.remove(image.id.as_str()).unwrap();
    }
}

#[test]
fn a_root_that_was_found_whole_is_not_read_again_until_its_file_changes() {
    let (_data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    store.verify(&image, Depth::Memo).unwrap();
    let memo = fs::read(image.folder.join("verified.json")).unwrap();
    // A memo of another content says nothing.
    let lie = String::from_utf8(memo.clone()).unwrap().replace(&image.manifest.files.root.sha256, "0");
    fs::write(image.folder.join("verified.json"), lie).unwrap();
    store.verify(&image, Depth::Memo).unwrap();
    assert_eq!(fs::read(image.folder.join("verified.json")).unwrap(), memo);
    // A memo of the file as it is now is believed, and the full way believes none.
    let later = fs::metadata(image.root()).unwrap().modified().unwrap() + std::time::Duration::from_secs(1);
    fs::write(image.root(), b"toor").unwrap();
    fs::File::options().write(true).open(image.root()).unwrap().set_modified(later).unwrap();
    assert!(store.verify(&image, Depth::Memo).is_err());
    let found = fs::metadata(image.root()).unwrap();
    let forged = serde_json::json!({
        "sha256": image.manifest.files.root.sha256,
        "bytes": found.len(),
        "modified_ns": found.mtime() * 1_000_000_000 + found.mtime_nsec(),
    });
    fs::write(image.folder.join("verified.json"), forged.to_string()).unwrap();
    store.verify(&image, Depth::Memo).unwrap();
    assert!(store.verify(&image, Depth::Full).is_err());
}

#[test]
fn a_manifest_of_another_format_or_with_a_foreign_id_is_refused() {
    let (_data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    let path = image.folder.join(MANIFEST);
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, said) in [
        ("\"format\": 1", "\"format\": 2", "has format 2"),
        ("6.1.0", "6.1.1", "but what it says makes"),
        ("\"suite\"", "\"unknown\": 1, \"suite\"", "unknown field"),
        ("{", "", "is not to be read"),
    ] {
        assert!(good.contains(from), "{from}");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let error = store.get(image.id.as_str()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(matches!(&store.list().unwrap()[0].image, Err(ImageError::Damaged { .. })));
    }
}
