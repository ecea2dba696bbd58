use std::io::Write;

use super::*;

/// One member: name, kind, mode, owner, and content or target.
pub(crate) type Member<'a> = (&'a str, tar::EntryType, u32, u64, &'a str);

pub(crate) const FILE: tar::EntryType = tar::EntryType::Regular;
pub(crate) const FOLDER: tar::EntryType = tar::EntryType::Directory;
pub(crate) const SYMLINK: tar::EntryType = tar::EntryType::Symlink;
pub(crate) const LINK: tar::EntryType = tar::EntryType::Link;

/// A tar file, whose names are taken as they are.
pub(crate) fn tar_of(members: &[Member<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, mode, owner, text) in members {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(*owner);
        header.set_gid(*owner);
        header.set_mtime(7);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let content = if *kind == FILE {
            *text
        } else {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            ""
        };
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn tree_of(layers: &[&[Member<'_>]]) -> Result<Tree, crate::image::ImageError> {
    let mut tree = Tree::default();
    for layer in layers {
        tree.add_layer(file_of(&tar_of(layer)), Whiteouts::Obeyed, "layer")?;
    }
    Ok(tree)
}

fn names(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect()
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    tree.content(Path::new(path)).unwrap().map(|content| String::from_utf8(content).unwrap())
}

/// A tar file with one file, before which stand these bytes of this kind.
fn tar_after(kind: tar::EntryType, bytes: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
    let mut file = tar::Header::new_gnu();
    file.set_path("a").unwrap();
    file.set_size(0);
    file.set_mode(0o644);
    file.set_uid(0);
    file.set_gid(0);
    file.set_mtime(7);
    file.set_cksum();
    archive.append(&file, [].as_slice()).unwrap();
    archive.into_inner().unwrap()
}

#[test]
fn names_and_attributes_that_no_file_has_are_refused_before_they_fill_the_memory() {
    use tar::EntryType::{GNULongLink, GNULongName, XHeader};
    for whiteouts in [Whiteouts::Plain, Whiteouts::Obeyed] {
        let add = |tar: &[u8]| Tree::default().add_layer(file_of(tar), whiteouts, "layer");
        for kind in [GNULongName, GNULongLink, XHeader] {
            let error = add(&tar_after(kind, &vec![b'n'; 8 << 20])).unwrap_err().to_string();
            assert!(error.contains("names and attributes of more than 4 MiB"), "{kind:?}: {error}");
        }
        let error = add(&tar_after(GNULongName, &[b'n'; 5000])).unwrap_err().to_string();
        assert!(error.contains("has a longer name than any file has"), "{error}");
        add(&tar_after(GNULongName, &b"folder/".repeat(500))).unwrap();
    }
}

#[test]
fn what_is_read_is_written_with_owners_links_devices_and_attributes() {
    let long = format!("usr/{}/{}", "d".repeat(90), "f".repeat(90));
    let mut archive = tar::Builder::new(Vec::new());
    let attributes = [("SCHILY.xattr.security.capability", &b"\x01\0\xff"[..]), ("path", long.as_bytes())];
    archive.append_pax_extensions(attributes).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o4755);
    header.set_uid(9);
    header.set_gid(8);
    header.set_mtime(7);
    header.set_entry_type(FILE);
    header.set_cksum();
    archive.append(&header, &b"ping"[..]).unwrap();
    let first = archive.into_inner().unwrap();
    let second = tar_of(&[
        ("dev/", FOLDER, 0o755, 0, ""),
        ("dev/null", tar::EntryType::Char, 0o666, 0, ""),
        ("bin", SYMLINK, 0o777, 0, "usr/bin"),
        ("one", FILE, 0o644, 5, "same"),
        ("two", LINK, 0o644, 5, "one"),
    ]);
    let mut tree = Tree::default();
    tree.add_layer(file_of(&first), Whiteouts::Plain, "first").unwrap();
    tree.add_layer(file_of(&second), Whiteouts::Plain, "second").unwrap();
    let mut written = Vec::new();
    tree.write(&mut written).unwrap();

    let mut again = Tree::default();
    again.add_layer(file_of(&written), Whiteouts::Plain, "written").unwrap();
    assert_eq!(names(&again), names(&tree));
    let ping = again.get(Path::new(&long)).unwrap();
    assert_eq!((ping.meta.mode, ping.meta.uid, ping.meta.gid, ping.meta.mtime), (0o4755, 9, 8, 7));
    assert_eq!(ping.meta.attributes, [("security.capability".to_owned(), b"\x01\0\xff".to_vec())]);
    assert_eq!(text(&again, &long).as_deref(), Some("ping"));
    let kind = |name: &str| &again.get(Path::new(name)).unwrap().kind;
    assert_eq!(kind("bin"), &Kind::Symlink("usr/bin".into()));
    assert_eq!(kind("dev/null"), &Kind::Character { major: 0, minor: 0 });
    assert_eq!(kind("one"), kind("two"));
    let mut same = Vec::new();
    again.write(&mut same).unwrap();
    assert!(written == same, "the same tree is the same bytes");
}

#[test]
fn whiteouts_remove_what_lower_layers_have_and_nothing_of_their_own() {
    let tree = tree_of(&[
        &[
            ("a/keep", FILE, 0o644, 0, "1"),
            ("a/gone", FILE, 0o644, 0, "1"),
            ("a/dir/x", FILE, 0o644, 0, "1"),
            ("b/old", FILE, 0o644, 0, "1"),
        ],
        &[
            ("b/new", FILE, 0o644, 0, "2"),
            ("b/.wh..wh..opq", FILE, 0o644, 0, ""),
            ("a/.wh.gone", FILE, 0o644, 0, ""),
            ("a/.wh.dir", FILE, 0o644, 0, ""),
            ("a/keep", FILE, 0o644, 0, "2"),
        ],
    ])
    .unwrap();
    assert_eq!(names(&tree), ["a", "a/keep", "b", "b/new"]);
    assert_eq!(text(&tree, "a/keep").as_deref(), Some("2"));
}

#[test]
fn a_link_outlives_the_file_that_it_was_made_of() {
    let tree = tree_of(&[
        &[("one", FILE, 0o644, 0, "content"), ("two", LINK, 0o644, 0, "one")],
        &[(".wh.one", FILE, 0o644, 0, "")],
    ])
    .unwrap();
    assert_eq!(text(&tree, "two").as_deref(), Some("content"));
    assert_eq!(names(&tree), ["two"]);
}

#[test]
fn a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file() {
    let tree = tree_of(&[
        &[("a/x", FILE, 0o644, 0, "1"), ("b", FILE, 0o644, 0, "1"), ("c/x", FILE, 0o644, 0, "1")],
        &[("a", FILE, 0o644, 0, "2"), ("b/x", FILE, 0o644, 0, "2"), ("c/", FOLDER, 0o700, 3, "")],
    ])
    .unwrap();
    assert_eq!(names(&tree), ["a", "b", "b/x", "c", "c/x"]);
    assert_eq!(tree.get(Path::new("c")).unwrap().meta.uid, 3);
}

#[test]
fn members_behind_links_stay_in_the_tree_wherever_the_links_lead() {
    let tree = tree_of(&[
        &[
            ("usr/lib/", FOLDER, 0o755, 0, ""),
            ("lib", SYMLINK, 0o777, 0, "usr/lib"),
            ("out", SYMLINK, 0o777, 0, "../../../usr"),
            ("root", SYMLINK, 0o777, 0, "/"),
            ("round", SYMLINK, 0o777, 0, "round"),
        ],
        &[
            ("lib/a", FILE, 0o644, 0, "1"),
            ("out/b", FILE, 0o644, 0, "1"),
            ("root/c", FILE, 0o644, 0, "1"),
            ("round/d", FILE, 0o644, 0, "1"),
        ],
    ])
    .unwrap();
    let all = names(&tree);
    for name in ["usr/lib/a", "usr/b", "c", "round/d", "lib"] {
        assert!(all.iter().any(|have| have == name), "{name}: {all:?}");
    }
    assert_eq!(text(&tree, "lib/a").as_deref(), Some("1"));
}

#[test]
fn a_member_that_climbs_out_is_refused_by_name() {
    for (members, said) in [
        ([("../etc/passwd", FILE, 0o644, 0, "x")], "../etc/passwd: climbs out"),
        ([("a/../../x", FILE, 0o644, 0, "x")], "climbs out"),
        ([("/../etc/passwd", FILE, 0o644, 0, "x")], "climbs out"),
        ([("x", LINK, 0o644, 0, "../etc/shadow")], "climbs out"),
        ([("x", LINK, 0o644, 0, "nowhere")], "is not there"),
        ([("x", tar::EntryType::new(b'?'), 0o644, 0, "")], "of a kind that no file has"),
    ] {
        let error = tree_of(&[&members]).unwrap_err().to_string();
        assert!(error.contains(said) && error.starts_with("layer: "), "{error}");
    }
}

#[test]
fn an_absolute_name_is_one_below_the_root_of_the_tree() {
    let tree = tree_of(&[&[("/", FOLDER, 0o755, 0, ""), ("/etc/motd", FILE, 0o644, 0, "hello")]]).unwrap();
    assert_eq!(text(&tree, "etc/motd").as_deref(), Some("hello"));
}

#[test]
fn a_layer_needs_no_marker_of_its_end_for_its_digest_has_shown_that_it_is_whole() {
    let marked = tar_of(&[("a", FILE, 0o644, 0, "some content")]);
    let read = |end: usize, as_layer| Tree::default().add_layer(file_of(&marked[..end]), as_layer, "layer");
    read(1024, Whiteouts::Obeyed).unwrap();
    read(1000, Whiteouts::Obeyed).unwrap_err();
    read(1024, Whiteouts::Plain).unwrap_err();
}

#[test]
fn a_cut_archive_is_told_from_a_whole_one_wherever_it_is_cut() {
    let whole = tar_of(&[("a", FILE, 0o644, 0, "some content"), ("b", FILE, 0o644, 0, "x")]);
    let read = |bytes: &[u8]| Tree::default().add_layer(file_of(bytes), Whiteouts::Plain, "cut");
    read(&whole).unwrap();
    for end in [0, 10, 512, 600, 1024, 1500, 1536, 2000, 2048] {
        let error = read(&whole[..end]).unwrap_err().to_string();
        assert!(error.contains("truncated") || error.contains("no good tar file"), "{end}: {error}");
    }
}
