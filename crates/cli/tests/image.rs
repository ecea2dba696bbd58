//! `hearth image`, as a user meets it who has no image yet, or asks for the wrong thing.

use std::path::Path;
use std::process::{Command, Output};

fn image(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hearth"))
        .arg("image")
        .args(args)
        .current_dir(folder)
        .env("HEARTH_DATA", folder.join("data"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_images_every_command_says_how_to_make_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = image(folder.path(), &["ls"]);
    assert_eq!(listed.status.code(), Some(0));
    assert!(text(&listed.stderr).contains("`hearth image build`"), "{}", text(&listed.stderr));
    assert!(listed.stdout.is_empty(), "a program is told of no image");
    for args in [&["inspect", "default"][..], &["rm", "default"], &["export", "default", "out.tar"]] {
        let output = image(folder.path(), args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.contains("there is no image \"default\"") && said.contains("hearth image build"),
            "{said}"
        );
    }
    assert!(!folder.path().join("out.tar").exists());
}

#[test]
fn what_can_not_become_an_image_is_named_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("junk.tar"), "no tar file").expect("a file");
    for (args, said) in [
        (&["import", "junk.tar"][..], "junk.tar: "),
        (&["build", "--name", "../up", "--from-tar", "junk.tar"], "\"../up\" is no name for an image"),
        (&["build", "--package", "--evil"], "unexpected argument"),
        (&["build", "--package", "no package"], "--package no package: is no name of a package"),
        (&["build", "--mirror", "http://me:secret@mirror.example/debian"], "has a password in it"),
        (&["build", "--from-tar", "junk.tar", "--package", "make"], "cannot be used with"),
        (&["build", "--from-oci", "."], "index.json"),
    ] {
        let output = image(folder.path(), args);
        let error = text(&output.stderr);
        assert!(error.contains(said), "{args:?}: {error}");
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}");
        assert!(text(&output.stdout).is_empty(), "{args:?}");
    }
    assert!(text(&image(folder.path(), &["ls"]).stderr).contains("no images yet"));
    let left = std::fs::read_dir(folder.path().join("data/images")).expect("a folder");
    let mut left: Vec<_> =
        left.map(|entry| text(entry.expect("an entry").file_name().as_encoded_bytes())).collect();
    left.sort();
    assert_eq!(left, ["build", "names"]);
}
