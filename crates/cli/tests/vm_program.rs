//! Which QEMU it is that machines run in, where `HEARTH_VM_DATA` names a data folder with an image.

mod vm_place;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use vm_place::Place;

const WORKFLOW: &str = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n    - run: 'true'\n";

/// A QEMU that says what it is, and starts nothing.
const OTHER: &str = r#"#!/bin/sh
case "$1" in
--version) echo "QEMU emulator version 99.1" ;;
*) echo "this is the other QEMU" >&2; exit 1 ;;
esac
"#;

#[test]
fn machines_run_in_the_first_qemu_of_the_search_path_and_the_doctor_looks_at_the_same() {
    let Some(place) = Place::new(WORKFLOW) else { return };
    let program = place.path("bin/qemu-system-x86_64");
    fs::create_dir(place.path("bin")).unwrap();
    fs::write(&program, OTHER).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for words in [["run", "--machine", "qemu"].as_slice(), &["doctor"]] {
        let (code, said) = place.hearth(words);
        assert!(said.contains("this is the other QEMU"), "{words:?}: {said}");
        assert_eq!(words == ["doctor"], said.contains("version 99.1"), "{words:?}: {said}");
        assert_eq!(words == ["doctor"], code == Some(0), "{words:?}: {said}");
    }
}
