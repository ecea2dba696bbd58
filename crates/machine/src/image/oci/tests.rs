use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use super::super::packed::tests::pack;
use super::super::program::ZSTD;
use super::super::tree::tests::{FILE, Member, tar_of};
use super::*;

/// A layout in the making.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        Self { folder }
    }

    fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = hash::of_bytes(content);
        fs::write(self.folder.path().join("blobs/sha256").join(&digest), content).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len()})
    }

    fn document(&self, media_type: &str, content: &Value) -> Value {
        self.blob(media_type, content.to_string().as_bytes())
    }

    fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.folder.path().join("index.json"), index.to_string()).unwrap();
    }

    /// An image of these layers, the first with gzip.
    fn image(&self, architecture: &str, layers: &[&[Member<'_>]]) -> Value {
        let (mut described, mut diff_ids) = (Vec::new(), Vec::new());
        for (number, members) in layers.iter().enumerate() {
            let tar = tar_of(members);
            diff_ids.push(format!("sha256:{}", hash::of_bytes(&tar)));
            described.push(if number == 0 {
                self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&tar))
            } else {
                self.blob("application/vnd.oci.image.layer.v1.tar", &tar)
            });
        }
        let config = json!({"architecture": architecture, "os": "linux",
                            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.document("application/vnd.oci.image.config.v1+json", &config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": described});
        self.document("application/vnd.oci.image.manifest.v1+json", &manifest)
    }

    /// An index of an image with one layer, whatever it is of.
    fn index_of_layer(&self, media_type: &str, content: &[u8]) {
        let layer = self.blob(media_type, content);
        let diff_id = format!("sha256:{}", hash::of_bytes(&tar_of(LOWER)));
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [diff_id]}});
        let config = self.document("config", &config);
        self.index(&[self.document("manifest", &json!({"config": config, "layers": [layer]}))]);
    }

    fn flatten(&self) -> Result<Tree, ImageError> {
        let scratch = tempfile::tempdir().unwrap();
        Layout::open(self.folder.path())?.flatten(&Tools::of_host(), scratch.path())
    }

    fn error(&self) -> String {
        self.flatten().unwrap_err().to_string()
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

const LOWER: &[Member<'_>] = &[("etc/a", FILE, 0o644, 0, "lower"), ("etc/b", FILE, 0o644, 0, "lower")];
const UPPER: &[Member<'_>] = &[("etc/.wh.a", FILE, 0o644, 0, ""), ("etc/b", FILE, 0o644, 0, "upper")];

#[test]
fn layers_are_put_together_with_what_they_remove() {
    let made = Made::new();
    made.index(&[made.image("amd64", &[LOWER, UPPER])]);
    let tree = made.flatten().unwrap();
    assert!(tree.get(Path::new("etc/a")).is_none());
    assert_eq!(tree.content(Path::new("etc/b")).unwrap().unwrap(), b"upper");
}

#[test]
fn of_an_index_for_many_machines_the_image_for_this_one_is_taken() {
    let made = Made::new();
    let with = |mut image: Value, architecture: &str| {
        image["platform"] = json!({"os": "linux", "architecture": architecture});
        image
    };
    let images = [with(made.image("amd64", &[LOWER]), "amd64"), with(made.image("arm64", &[UPPER]), "arm64")];
    let index = json!({"schemaVersion": 2, "manifests": images});
    made.index(&[made.document("application/vnd.oci.image.index.v1+json", &index)]);
    assert!(made.flatten().unwrap().get(Path::new("etc/a")).is_some());
    made.index(&images[1..]);
    assert!(made.error().contains("has no image for linux/amd64"), "{}", made.error());
    made.index(&[images[0].clone(), images[0].clone()]);
    assert!(made.error().contains("has 2 images for linux/amd64"), "{}", made.error());
    made.index(&[made.image("arm64", &[LOWER])]);
    assert!(made.error().contains("is for linux/arm64"), "{}", made.error());
}

#[test]
fn a_blob_that_was_changed_or_cut_is_named_by_its_digest() {
    let made = Made::new();
    made.index(&[made.image("amd64", &[LOWER, UPPER])]);
    for entry in fs::read_dir(made.folder.path().join("blobs/sha256")).unwrap().flatten() {
        let whole = fs::read(entry.path()).unwrap();
        let digest = entry.file_name().into_string().unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        for (content, said) in [(&changed[..], "it is damaged"), (&whole[..whole.len() - 1], "truncated")] {
            fs::write(entry.path(), content).unwrap();
            let error = made.error();
            assert!(error.contains(said) && error.contains(&digest), "{error}");
        }
        fs::remove_file(entry.path()).unwrap();
        assert!(made.error().contains(&digest), "{}", made.error());
        fs::write(entry.path(), whole).unwrap();
    }
    made.flatten().unwrap();
}

#[test]
fn a_layer_that_unpacks_to_something_else_is_refused() {
    let made = Made::new();
    let layer = made.blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&tar_of(LOWER)));
    let foreign = format!("sha256:{}", hash::of_bytes(b"something else"));
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [foreign]}});
    let config = made.document("config", &config);
    made.index(&[made.document("manifest", &json!({"config": config, "layers": [layer]}))]);
    assert!(made.error().contains("unpacks to sha256:"), "{}", made.error());
}

#[test]
fn a_digest_that_leads_out_of_the_layout_is_refused() {
    let made = Made::new();
    for digest in ["sha256:../../../../etc/passwd", "../x", "sha512:00", "sha256:ABCD"] {
        made.index(&[json!({"mediaType": "manifest", "digest": digest, "size": 1})]);
        assert!(made.error().contains("is no sha256: digest"), "{}", made.error());
    }
}

#[test]
fn members_that_climb_out_and_unknown_kinds_of_layers_are_refused() {
    let made = Made::new();
    made.index(&[made.image("amd64", &[LOWER, &[("../../evil", FILE, 0o644, 0, "x")]])]);
    assert!(made.error().contains("../../evil: climbs out"), "{}", made.error());
    made.index_of_layer("application/vnd.oci.image.layer.v1.tar+lz5", &tar_of(LOWER));
    assert!(made.error().contains("is of the unknown type application/vnd"), "{}", made.error());
}

#[test]
fn layers_of_every_packing_that_registries_have_are_unpacked() {
    let tar = tar_of(LOWER);
    for (kind, packed) in [
        ("vnd.oci.image.layer.v1.tar", tar.clone()),
        ("vnd.oci.image.layer.v1.tar+gzip", gzip(&tar)),
        ("vnd.docker.image.rootfs.diff.tar.gzip", gzip(&tar)),
        ("vnd.oci.image.layer.v1.tar+zstd", pack(ZSTD, &tar)),
    ] {
        let made = Made::new();
        made.index_of_layer(&format!("application/{kind}"), &packed);
        assert!(made.flatten().unwrap().get(Path::new("etc/a")).is_some(), "{kind}");
        if kind != "vnd.oci.image.layer.v1.tar" {
            made.index_of_layer(&format!("application/{kind}"), &packed[..packed.len() - 6]);
            assert!(made.error().contains("can't be unpacked"), "{}", made.error());
        }
    }
}

#[test]
fn a_folder_that_is_no_layout_is_refused() {
    let made = Made::new();
    assert!(made.error().contains("index.json"), "{}", made.error());
    fs::write(made.folder.path().join("index.json"), "{}").unwrap();
    assert!(made.error().contains("is no such document"), "{}", made.error());
}
