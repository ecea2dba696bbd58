//! Files of repositories that lie unpacked on this host.

use std::path::{Path, PathBuf};

/// A file of a fetched tree, or of a working copy, as git has it: no link on the way to it is followed, and no `..`,
/// so nothing leads out of the tree. What git would not find there is not there.
#[must_use]
pub fn file_of_tree(tree: &Path, path: &Path) -> Option<PathBuf> {
    // No path at all is the folder that one is in.
    let tree = Path::new(".").join(tree).canonicalize().ok()?;
    let file = tree.join(path);
    (file.starts_with(tree) && file.is_file() && file.canonicalize().ok()? == file).then_some(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_and_no_dots_lead_to_a_file_of_the_host() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        for (folder, file) in [("host", "host/private.yml"), ("tree/w", "tree/w/own.yml")] {
            fs::create_dir_all(at(folder)).unwrap();
            fs::write(at(file), "x").unwrap();
        }
        symlink(at("host"), at("tree/folder")).unwrap();
        symlink(at("host/private.yml"), at("tree/w/file.yml")).unwrap();
        symlink("own.yml", at("tree/w/alias.yml")).unwrap();
        symlink(at("tree"), at("known-as")).unwrap();
        let found = |tree: &str, path: &str| file_of_tree(&at(tree), Path::new(path)).is_some();
        for path in
            ["folder/private.yml", "w/file.yml", "w/alias.yml", "../host/private.yml", "w", "w/none.yml"]
        {
            assert!(!found("tree", path), "{path}");
        }
        let absolute = at("host/private.yml");
        assert!(!found("tree", absolute.to_str().unwrap()));
        assert!(found("tree", "w/own.yml"));
        assert!(found("known-as", "w/own.yml"), "where the tree itself lies is not the tree's to say");
        assert!(file_of_tree(Path::new(""), Path::new("Cargo.toml")).is_some());
    }
}
