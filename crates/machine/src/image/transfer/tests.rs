use super::super::store::tests::{made, store};
use super::super::tree::tests::{FILE, LINK, Member, SYMLINK, tar_of};
use super::*;

fn exported() -> (tempfile::TempDir, Image, PathBuf) {
    let (data, store) = store();
    let image = store.put(&made(&store, b"root", 1)).unwrap();
    let file = data.path().join("image.tar");
    store.export(&image, &file).unwrap();
    (data, image, file)
}

fn import(file: &Path) -> (Result<Image, ImageError>, usize) {
    let (_data, store) = store();
    let imported = store.import(file);
    (imported, store.list().unwrap().len())
}

#[test]
fn an_exported_image_is_the_same_where_it_is_imported() {
    let (_data, image, file) = exported();
    let (_other, store) = store();
    let imported = store.import(&file).unwrap();
    assert_eq!(imported.manifest, image.manifest);
    assert_eq!(fs::read(imported.root()).unwrap(), b"root");
    // Twice is as good as once.
    assert_eq!(store.import(&file).unwrap().id, image.id);
}

#[test]
fn an_export_replaces_no_file_and_a_damaged_image_is_not_exported() {
    let (data, image, file) = exported();
    let store = ImageStore::open(data.path()).unwrap();
    let error = store.export(&image, &file).unwrap_err().to_string();
    assert!(error.contains("image.tar") && error.contains("exists"), "{error}");
    fs::write(image.kernel(), b"kernem").unwrap();
    let error = store.export(&image, &data.path().join("other.tar")).unwrap_err();
    assert!(matches!(error, ImageError::Damaged { .. }), "{error}");
    assert!(!data.path().join("other.tar").exists());
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused_and_nothing_of_it_stays() {
    let (data, _, file) = exported();
    let whole = fs::read(&file).unwrap();
    let cut = data.path().join("cut.tar");
    // The end of the last content; what follows is padding.
    let end = whole.len() - 1024 - 512 + 4;
    for length in (0..end).step_by(97).chain([end - 1]) {
        fs::write(&cut, &whole[..length]).unwrap();
        let (imported, kept) = import(&cut);
        assert!(imported.is_err() && kept == 0, "{length} of {}", whole.len());
    }
    assert!(import(&file).0.is_ok());
}

#[test]
fn a_changed_file_is_named() {
    let (_data, _, file) = exported();
    let whole = fs::read(&file).unwrap();
    for (content, name) in [(&b"kernel"[..], "kernel"), (b"initrd", "initrd"), (b"root", "root.sqfs")] {
        let mut changed = whole.clone();
        let header =
            whole.windows(name.len() + 1).position(|w| w == [name.as_bytes(), b"\0"].concat()).unwrap();
        let at = header + 512;
        assert_eq!(&changed[at..at + content.len()], content);
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        let (imported, kept) = import(&file);
        let error = imported.unwrap_err().to_string();
        assert!(error.contains(&format!("{name} has the SHA-256")) && kept == 0, "{error}");
    }
}

#[test]
fn a_foreign_or_climbing_member_is_never_written() {
    let (_data, image, file) = exported();
    let manifest = String::from_utf8(image.manifest.to_json()).unwrap();
    let first: Member<'_> = ("manifest.json", FILE, 0o644, 0, &manifest);
    for second in [
        ("../kernel", FILE, 0o644, 0, "kernel"),
        ("/etc/hearth-evil", FILE, 0o644, 0, "kernel"),
        ("kernel", SYMLINK, 0o777, 0, "/etc/passwd"),
        ("kernel", LINK, 0o644, 0, "manifest.json"),
        ("root.sqfs", FILE, 0o644, 0, "root"),
    ] {
        fs::write(&file, tar_of(&[first, second])).unwrap();
        let error = import(&file).0.unwrap_err().to_string();
        assert!(error.contains("where the file kernel must be"), "{error}");
    }
    assert!(!Path::new("/etc/hearth-evil").exists());
    let all: [Member<'_>; 5] = [
        first,
        ("kernel", FILE, 0o644, 0, "kernel"),
        ("initrd", FILE, 0o644, 0, "initrd"),
        ("root.sqfs", FILE, 0o644, 0, "root"),
        ("../more", FILE, 0o644, 0, "x"),
    ];
    fs::write(&file, tar_of(&all)).unwrap();
    assert!(import(&file).0.unwrap_err().to_string().contains("has more than an image"));
    fs::write(&file, tar_of(&all[1..])).unwrap();
    assert!(import(&file).0.unwrap_err().to_string().contains("where the file manifest.json must be"));
}
