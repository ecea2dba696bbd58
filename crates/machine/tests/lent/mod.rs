//! Images of one data folder in another, for tests that boot machines.

use std::fs;
use std::path::Path;

/// Copies names, and links files: an image is big, and never changed in place.
pub(crate) fn borrow(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("images") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() && entry.file_name() != "build" {
            borrow(&entry.path(), &target);
        } else if kind.is_file() && fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
