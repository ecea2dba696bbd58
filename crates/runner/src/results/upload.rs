//! The content of one upload, as it grows on disk: in one piece or in blocks.
//!
//! The rules are those of Azure's block blobs, as far as the clients use them:
//! <https://learn.microsoft.com/rest/api/storageservices/put-block-list>

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::twirp::on_disk;

/// Blocks of one blob: Azure's limit.
const BLOCKS: usize = 50_000;

/// Bytes of a block's name in base64: Azure allows 64 bytes before encoding.
const BLOCK_NAME_BYTES: usize = 128;

/// Bytes of a list of blocks: [`BLOCKS`] names with their tags.
pub(super) const BLOCK_LIST_BYTES: usize = 16 * 1024 * 1024;

/// Uploads that one service has open at a time; each costs a folder until it is finalized.
const OPEN_UPLOADS: usize = 10_000;

/// Bytes between two looks at the room that is left: a hundred uploads at once take little more than a gigabyte
/// meanwhile.
const LOOK_EVERY: u64 = 16 * 1024 * 1024;

/// Why content was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the upload is larger than {0} bytes")]
    TooLarge(u64),
    #[error("{0}")]
    Invalid(&'static str),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("can't write on the host: {0}")]
    Disk(#[from] io::Error),
}

/// One upload.
pub(super) struct Upload {
    folder: PathBuf,
    limit: u64,
    /// Bytes that are left to others on its disk.
    least_free: u64,
    /// Bytes on disk, all parts together.
    taken: AtomicU64,
    /// Size of each block by the name of its file.
    blocks: Mutex<HashMap<String, u64>>,
}

impl Upload {
    /// The whole content, once it is there.
    pub(super) fn content(&self) -> PathBuf {
        self.folder.join("content")
    }

    /// Takes the content in one piece.
    pub(super) async fn put(&self, body: Body) -> Result<(), UploadError> {
        let part = self.part();
        let size = self.receive(body, &part).await?;
        tokio::fs::rename(part, self.content()).await?;
        self.taken.store(size, Ordering::Relaxed);
        Ok(())
    }

    /// Takes one block; a second one of the same name replaces the first.
    pub(super) async fn put_block(&self, name: &str, body: Body) -> Result<(), UploadError> {
        if name.is_empty() || name.len() > BLOCK_NAME_BYTES {
            return Err(UploadError::Invalid("a block needs a name of at most 64 bytes"));
        }
        let file = block_file(name);
        if self.blocks.lock().unwrap_or_else(PoisonError::into_inner).len() >= BLOCKS {
            return Err(UploadError::Invalid("more than 50,000 blocks"));
        }
        let part = self.part();
        let size = self.receive(body, &part).await?;
        tokio::fs::rename(part, self.folder.join(&file)).await?;
        let replaced = self.blocks.lock().unwrap_or_else(PoisonError::into_inner).insert(file, size);
        self.taken.fetch_sub(replaced.unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    /// Joins the blocks in the order of the list.
    pub(super) async fn put_block_list(&self, list: &str) -> Result<(), UploadError> {
        let files: Vec<String> = block_names(list).map(block_file).collect();
        {
            let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
            let mut total = 0_u64;
            for file in &files {
                let Some(size) = blocks.get(file) else {
                    return Err(UploadError::Invalid("the list names a block that was not uploaded"));
                };
                total = total.saturating_add(*size);
            }
            if files.len() > BLOCKS || total > self.limit {
                return Err(UploadError::TooLarge(self.limit));
            }
        }
        let (folder, part, content) = (self.folder.clone(), self.part(), self.content());
        on_disk(move || {
            join(&folder, &files, &part)?;
            fs::rename(part, content)
        })
        .await?;
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// A name for what is not complete yet.
    fn part(&self) -> PathBuf {
        self.folder.join(format!("part-{}", random_name()))
    }

    async fn receive(&self, body: Body, into: &Path) -> Result<u64, UploadError> {
        let mut size = 0;
        let received = self.receive_all(body, into, &mut size).await;
        if received.is_err() {
            self.taken.fetch_sub(size, Ordering::Relaxed);
            let _ = tokio::fs::remove_file(into).await;
        }
        received.map(|()| size)
    }

    async fn receive_all(&self, body: Body, into: &Path, size: &mut u64) -> Result<(), UploadError> {
        let mut file = tokio::fs::File::create_new(into).await?;
        let mut chunks = body.into_data_stream();
        let mut looked_at = None;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| UploadError::Broken(error.to_string()))?;
            let bytes = chunk.len() as u64;
            *size += bytes;
            if self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit {
                return Err(UploadError::TooLarge(self.limit));
            }
            if looked_at.is_none_or(|at| *size - at >= LOOK_EVERY) {
                has_room(&self.folder, self.least_free)?;
                looked_at = Some(*size);
            }
            file.write_all(&chunk).await?;
        }
        Ok(file.flush().await?)
    }
}

/// Refuses where fewer bytes are left than others may need.
fn has_room(folder: &Path, least_free: u64) -> io::Result<()> {
    if least_free == 0 {
        return Ok(());
    }
    let found = rustix::fs::statvfs(folder)?;
    if found.f_bavail.saturating_mul(found.f_frsize) >= least_free {
        return Ok(());
    }
    let reason =
        format!("less than {} MiB are left on the disk, which are for the server itself", least_free >> 20);
    Err(io::Error::new(io::ErrorKind::StorageFull, reason))
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The first block becomes the beginning of the content, the others are put behind it and removed.
fn join(folder: &Path, files: &[String], part: &Path) -> io::Result<()> {
    let Some((first, others)) = files.split_first() else { return File::create_new(part).map(|_empty| ()) };
    let is_once = !others.contains(first);
    if is_once {
        fs::rename(folder.join(first), part)?;
    } else {
        fs::copy(folder.join(first), part)?;
    }
    let mut content = File::options().append(true).open(part)?;
    for file in others {
        io::copy(&mut File::open(folder.join(file))?, &mut content)?;
    }
    for file in others {
        let _ = fs::remove_file(folder.join(file));
    }
    Ok(())
}

/// Names of blocks are given by the client; files get a name of letters and digits.
fn block_file(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    format!("block-{}", hex(&digest))
}

/// The names in `<BlockList><Latest>bmFtZQ==</Latest>..</BlockList>`. Base64 needs no unescaping.
fn block_names(list: &str) -> impl Iterator<Item = &str> {
    list.split('<').filter_map(|piece| {
        let (tag, name) = piece.split_once('>')?;
        ["Latest", "Uncommitted", "Committed"].contains(&tag.trim()).then_some(name.trim())
    })
}

/// Size and digest (`sha256:` and 64 digits) of a file.
pub(super) fn measure(path: &Path) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let size = io::copy(&mut File::open(path)?, &mut hash)?;
    Ok((size, format!("sha256:{}", hex(&hash.finalize()))))
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name that nobody else has; not a secret.
fn random_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// The open uploads of a service.
#[derive(Default)]
pub(super) struct Uploads {
    /// Bytes that they leave to others on their disk.
    least_free: u64,
    open: Mutex<HashMap<String, Arc<Upload>>>,
}

impl Uploads {
    /// Uploads that leave so many bytes to others on their disk.
    pub(super) fn leaving(least_free: u64) -> Uploads {
        Uploads { least_free, ..Uploads::default() }
    }

    /// Opens one that keeps its parts in a new folder below `root`; gives its id.
    pub(super) async fn open(&self, root: PathBuf, limit: u64) -> io::Result<String> {
        if self.open.lock().unwrap_or_else(PoisonError::into_inner).len() >= OPEN_UPLOADS {
            return Err(io::Error::other("too many uploads that were begun and never finished"));
        }
        let id = format!("u{}", random_name());
        let folder = root.join(&id);
        let upload = Upload {
            folder: folder.clone(),
            limit,
            least_free: self.least_free,
            taken: AtomicU64::new(0),
            blocks: Mutex::default(),
        };
        on_disk(move || fs::create_dir_all(folder)).await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(id.clone(), Arc::new(upload));
        Ok(id)
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Ends one: its address is good for nothing any more.
    pub(super) fn close(&self, id: &str) -> Option<Arc<Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(limit: u64) -> (tempfile::TempDir, Upload) {
        let folder = tempfile::tempdir().unwrap();
        let upload = Upload {
            folder: folder.path().to_owned(),
            limit,
            least_free: 0,
            taken: AtomicU64::new(0),
            blocks: Mutex::default(),
        };
        (folder, upload)
    }

    #[tokio::test]
    async fn blocks_are_joined_in_the_order_of_the_list() {
        let (_folder, upload) = upload(100);
        for (name, text) in [("Yg==", "second"), ("YQ==", "first "), ("Yw==", "unused")] {
            upload.put_block(name, Body::from(text)).await.unwrap();
        }
        let list = "<?xml version=\"1.0\"?><BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>";
        upload.put_block_list(list).await.unwrap();
        assert_eq!(fs::read_to_string(upload.content()).unwrap(), "first second");
    }

    #[tokio::test]
    async fn a_list_with_an_unknown_block_is_refused() {
        let (_folder, upload) = upload(100);
        let error = upload.put_block_list("<BlockList><Latest>YQ==</Latest></BlockList>").await.unwrap_err();
        assert!(matches!(error, UploadError::Invalid(_)));
        assert!(!upload.content().exists());
    }

    #[tokio::test]
    async fn nothing_is_taken_that_leaves_too_little_room() {
        let (folder, mut upload) = upload(100);
        upload.put_block("YQ==", Body::from("123456")).await.unwrap();
        upload.least_free = u64::MAX;
        let error = upload.put_block("Yg==", Body::from("123456")).await.unwrap_err();
        assert!(
            matches!(&error, UploadError::Disk(error) if error.kind() == io::ErrorKind::StorageFull),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the refused part is gone");
    }

    #[tokio::test]
    async fn the_bound_holds_for_all_blocks_together() {
        let (folder, upload) = upload(10);
        upload.put_block("YQ==", Body::from("123456")).await.unwrap();
        let error = upload.put_block("Yg==", Body::from("123456")).await.unwrap_err();
        assert!(matches!(error, UploadError::TooLarge(10)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the refused part is gone");
    }
}
