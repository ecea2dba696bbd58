//! Which image a driver is tried with, where nobody has named one.

use std::path::Path;

use crate::image::{DEFAULT_NAME, ImageError, ImageStore};

/// The name of the default image; where there is none, that of the newest, or its id if it has no name.
///
/// # Errors
/// When there is no image, the default one is damaged, or the store can't be read.
pub(crate) fn trial_image(data: &Path) -> Result<String, ImageError> {
    let store = ImageStore::open(data)?;
    match store.get(DEFAULT_NAME) {
        Err(missing @ ImageError::NotFound { .. }) => newest(&store)?.ok_or(missing),
        found => found.map(|_| DEFAULT_NAME.to_owned()),
    }
}

fn newest(store: &ImageStore) -> Result<Option<String>, ImageError> {
    let whole = store.list()?.into_iter().filter_map(|listed| Some((listed.image.ok()?, listed.names)));
    // Machines are asked for by name: an image without one is what another has replaced.
    let newest =
        whole.max_by_key(|(image, names)| (!names.is_empty(), image.manifest.made_unix_ms, image.id.clone()));
    Ok(newest.map(|(image, names)| names.into_iter().next().unwrap_or_else(|| image.id.to_string())))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::image::ImageId;

    /// Puts an image into the store whose files are words, and that has no name.
    pub(crate) fn put(data: &Path, root: &str, made_unix_ms: u64) -> ImageId {
        let folder = data.join(root);
        std::fs::create_dir(&folder).unwrap();
        let mut files = serde_json::Map::new();
        for (name, file, text) in
            [("kernel", "kernel", "kernel"), ("initrd", "initrd", "initrd"), ("root", "root.sqfs", root)]
        {
            std::fs::write(folder.join(file), text).unwrap();
            files.insert(name.to_owned(), json!({ "sha256": sha256(text), "bytes": text.len() }));
        }
        let mut manifest = json!({
            "format": 1, "kernel_version": "6.1.0", "cmdline": "root=/dev/vda rootfstype=squashfs ro",
            "files": files, "root_kind": "squashfs", "suite": "bookworm", "packages": [],
        });
        // The id is the hash of the rest, in its order (docs/reference/image-format.md).
        manifest["id"] = sha256(&manifest.to_string()).into();
        manifest["made_unix_ms"] = made_unix_ms.into();
        std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        ImageStore::open(data).unwrap().put(&folder).unwrap().id
    }

    fn sha256(text: &str) -> String {
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn drivers_are_tried_with_the_default_image_and_without_one_with_the_newest() {
        let data = tempfile::tempdir().unwrap();
        let tried = || trial_image(data.path());
        let error = tried().unwrap_err().to_string();
        assert!(error.contains("no image \"default\"") && error.contains("hearth image build"), "{error}");
        let put = |root, made_unix_ms| put(data.path(), root, made_unix_ms);
        let (new, old, nameless) = (put("new", 2), put("old", 1), put("nameless", 3));
        assert_eq!(tried().unwrap(), nameless.to_string(), "any is better than none");
        let store = ImageStore::open(data.path()).unwrap();
        store.name("old", &old).unwrap();
        store.name("small", &new).unwrap();
        assert_eq!(tried().unwrap(), "small");
        store.name("default", &old).unwrap();
        assert_eq!(tried().unwrap(), "default");
    }
}
