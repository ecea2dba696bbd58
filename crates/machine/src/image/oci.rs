//! Root file systems from OCI layouts: folders with `index.json` and `blobs/`, as
//! `skopeo copy … oci:DIR` and `docker buildx build --output type=oci,tar=false` make them.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ImageError;
use super::hash;
use super::packed::Packing;
use super::program::{Program, Tools};
use super::tree::{Tree, Whiteouts};

/// Largest document that is read: registries refuse manifests of more.
const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Layers of an image: Linux stacks no more of them in an overlay.
const MAX_LAYERS: usize = 500;
/// Indexes within indexes that are followed; real layouts have one below `index.json`.
const MAX_NESTING: usize = 4;
/// Largest layer, unpacked: beyond any image, and an end for archives that unpack for ever.
const MAX_LAYER_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// What points to a blob.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct ImageManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    architecture: String,
    os: String,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// An image in a layout, found and verified as far as its documents go.
#[derive(Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
    digest: String,
    layers: Vec<(Descriptor, String)>,
}

impl Layout {
    /// Reads the documents of a layout and finds the image for this architecture.
    pub(crate) fn open(folder: &Path) -> Result<Self, ImageError> {
        let index = folder.join("index.json");
        let text = read_bounded(&index)?;
        let mut candidates = parse::<Index>(&text, &index)?.manifests;
        for _ in 0..MAX_NESTING {
            let chosen = choose(candidates, &index)?;
            let blob = read_blob(folder, &chosen)?;
            if chosen.media_type.contains("index") || chosen.media_type.contains("manifest.list") {
                candidates = parse::<Index>(&blob, &index)?.manifests;
                continue;
            }
            return Self::of_manifest(folder, &chosen, &blob);
        }
        Err(ImageError::refused(index.display().to_string(), "has indexes within indexes and no image"))
    }

    fn of_manifest(folder: &Path, chosen: &Descriptor, blob: &[u8]) -> Result<Self, ImageError> {
        let at = format!("{}: {}", folder.display(), chosen.digest);
        let manifest: ImageManifest = parse(blob, Path::new(&at))?;
        let config: Config = parse(&read_blob(folder, &manifest.config)?, Path::new(&at))?;
        if (config.os.as_str(), config.architecture.as_str()) != ("linux", "amd64") {
            return Err(ImageError::refused(
                at,
                format!("is for {}/{}, and machines are linux/amd64", config.os, config.architecture),
            ));
        }
        let (layers, diffs) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diffs || layers > MAX_LAYERS {
            let reason = format!("has {layers} layers and {diffs} hashes of them; at most {MAX_LAYERS}");
            return Err(ImageError::refused(at, reason));
        }
        let layers = manifest.layers.into_iter().zip(config.rootfs.diff_ids).collect();
        Ok(Self { folder: folder.to_owned(), digest: chosen.digest.clone(), layers })
    }

    /// What names all of its content.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// The programs that its layers are unpacked by.
    pub(crate) fn programs(&self) -> impl Iterator<Item = Program> {
        self.layers.iter().filter_map(|(layer, _)| Packing::of_layer(&layer.media_type)?.program())
    }

    /// All layers as one tree. They are unpacked into `scratch`, which must outlive nothing of it.
    pub(crate) fn flatten(&self, tools: &Tools, scratch: &Path) -> Result<Tree, ImageError> {
        let mut tree = Tree::default();
        for (number, (layer, diff_id)) in self.layers.iter().enumerate() {
            let path = scratch.join(format!("layer-{number}.tar"));
            self.unpack(tools, layer, diff_id, &path)?;
            let file = File::open(&path).map_err(ImageError::io("opening", &path))?;
            tree.add_layer(file, Whiteouts::Obeyed, &format!("layer {}", layer.digest))?;
        }
        Ok(tree)
    }

    /// Verifies a layer as it is kept and as it is unpacked.
    fn unpack(&self, tools: &Tools, layer: &Descriptor, diff_id: &str, to: &Path) -> Result<(), ImageError> {
        let at = format!("layer {}", layer.digest);
        let blob = blob_path(&self.folder, layer)?;
        let found = hash::of_file(&blob)?;
        check(layer, &found.sha256, found.bytes)?;
        let packed = File::open(&blob).map_err(ImageError::io("opening", &blob))?;
        let packing = Packing::of_layer(&layer.media_type).ok_or_else(|| {
            ImageError::refused(&at, format!("is of the unknown type {}", layer.media_type))
        })?;
        let mut file = File::create_new(to).map_err(ImageError::io("making", to))?;
        let unpacked = packing.unpack(tools, &at, packed, MAX_LAYER_BYTES, &mut file)?;
        if format!("sha256:{}", unpacked.sha256) != diff_id {
            return Err(ImageError::refused(
                at,
                format!("unpacks to sha256:{} instead of {diff_id}", unpacked.sha256),
            ));
        }
        Ok(())
    }
}

/// The one image for this architecture.
fn choose(candidates: Vec<Descriptor>, index: &Path) -> Result<Descriptor, ImageError> {
    let fits = |descriptor: &Descriptor| match &descriptor.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == "amd64",
        None => true,
    };
    let mut fitting: Vec<Descriptor> = candidates.into_iter().filter(fits).collect();
    match (fitting.pop(), fitting.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => Err(ImageError::refused(index.display().to_string(), "has no image for linux/amd64")),
        (Some(_), more) => Err(ImageError::refused(
            index.display().to_string(),
            format!("has {} images for linux/amd64; copy one of them into a layout of its own", more + 1),
        )),
    }
}

/// Where a blob is. A digest is digits only: it can't lead elsewhere.
fn blob_path(folder: &Path, descriptor: &Descriptor) -> Result<PathBuf, ImageError> {
    let digits = descriptor.digest.strip_prefix("sha256:").filter(|digits| {
        digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    let digits = digits.ok_or_else(|| {
        ImageError::refused(
            format!("digest {:?}", descriptor.digest),
            "is no sha256: digest, which all must be",
        )
    })?;
    Ok(folder.join("blobs/sha256").join(digits))
}

fn read_blob(folder: &Path, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let content = read_bounded(&blob_path(folder, descriptor)?)?;
    check(descriptor, &hash::of_bytes(&content), content.len() as u64)?;
    Ok(content)
}

fn check(descriptor: &Descriptor, sha256: &str, bytes: u64) -> Result<(), ImageError> {
    let digest = &descriptor.digest;
    if bytes != descriptor.size {
        let reason = format!("has {bytes} bytes instead of {}: it is truncated or damaged", descriptor.size);
        return Err(ImageError::refused(format!("blob {digest}"), reason));
    }
    if digest.strip_prefix("sha256:") != Some(sha256) {
        return Err(ImageError::refused(
            format!("blob {digest}"),
            format!("has the SHA-256 {sha256}: it is damaged"),
        ));
    }
    Ok(())
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ImageError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut text))
        .map_err(ImageError::io("reading", path))?;
    if text.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(ImageError::refused(path.display().to_string(), "is larger than any such document"));
    }
    Ok(text)
}

fn parse<T: DeserializeOwned>(text: &[u8], origin: &Path) -> Result<T, ImageError> {
    serde_json::from_slice(text).map_err(|error| {
        ImageError::refused(
            origin.display().to_string(),
            format!("is no such document as OCI layouts have ({error})"),
        )
    })
}

#[cfg(test)]
#[path = "oci/tests.rs"]
mod tests;
