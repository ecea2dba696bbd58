//! Files of the machine, from the host.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::error::{broken, failure};
use super::{FileKind, FileStat, Guest, GuestError, NewFile, RefusalKind};
use crate::bounds::{BATCH_BYTES, BATCH_ENTRIES, CHUNK_BYTES, QUEUED_MESSAGES, WALK_BYTES};
use crate::wire;

impl Guest {
    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`GuestError::TooLarge`] when it is longer; refused when it is no regular file.
    pub async fn read_file(&self, path: &str, limit: u64) -> Result<Bytes, GuestError> {
        const READ: &str = "reading";
        let failed = |status| failure(READ, path, &status);
        let request = wire::ReadFileRequest { path: path.to_owned(), limit };
        let mut chunks = self.rpc().read_file(request).await.map_err(failed)?.into_inner();
        let mut whole = BytesMut::new();
        while let Some(chunk) = chunks.message().await.map_err(failed)? {
            if whole.len() as u64 + chunk.data.len() as u64 > limit {
                return Err(GuestError::TooLarge { operation: READ, object: path.to_owned(), limit });
            }
            whole.extend_from_slice(&chunk.data);
        }
        Ok(whole.freeze())
    }

    /// Writes a file (parents are made), replacing it; all of it or nothing.
    ///
    /// # Errors
    /// [`RefusalKind::DiskFull`] among others; the file is then as it was.
    pub async fn write_file(&self, path: &str, mode: u32, mut data: Bytes) -> Result<(), GuestError> {
        let mut requests = Vec::new();
        loop {
            let chunk = data.split_to(data.len().min(CHUNK_BYTES));
            let path = if requests.is_empty() { path.to_owned() } else { String::new() };
            requests.push(wire::WriteFileRequest { path, mode, data: chunk, end: data.is_empty() });
            if data.is_empty() {
                break;
            }
        }
        let answer = self.rpc().write_file(tokio_stream::iter(requests)).await;
        answer.map(drop).map_err(|status| failure("writing", path, &status))
    }

    /// Makes a directory and its parents; fine if it is there.
    ///
    /// # Errors
    /// When something else is in the way, among others.
    pub async fn make_dir(&self, path: &str) -> Result<(), GuestError> {
        self.create(vec![path.to_owned()], Vec::new()).await
    }

    /// Makes directories, and then files, parents included: few and small, all of them in one message.
    ///
    /// # Errors
    /// At the first that can't be made; those before it stay.
    pub async fn create(&self, directories: Vec<String>, files: Vec<NewFile>) -> Result<(), GuestError> {
        let first = directories.first().or(files.first().map(|file| &file.path)).cloned();
        let request = wire::CreateRequest { directories, files: files.into_iter().map(new_file).collect() };
        let answer = self.rpc().create(request).await;
        answer.map(drop).map_err(|status| failure("making", &first.unwrap_or_default(), &status))
    }

    /// Where the first of these programs is that is there, as a shell with this `PATH` finds it; a name with
    /// `/` is a path.
    ///
    /// # Errors
    /// When the agent is lost.
    pub async fn find_program(&self, names: &[String], path: &str) -> Result<Option<String>, GuestError> {
        let request = wire::FindProgramRequest { names: names.to_vec(), path: path.to_owned() };
        let answer = self.rpc().find_program(request).await;
        let object = names.first().map_or("", String::as_str);
        Ok(answer.map_err(|status| failure("looking for", object, &status))?.into_inner().path)
    }

    /// Removes a file or a whole tree; fine if it is not there. Links are not followed.
    ///
    /// # Errors
    /// When something of it may not be removed.
    pub async fn remove(&self, path: &str) -> Result<(), GuestError> {
        let answer = self.rpc().remove(wire::RemoveRequest { path: path.to_owned() }).await;
        answer.map(drop).map_err(|status| failure("removing", path, &status))
    }

    /// Looks at one path; `None` when nothing is there.
    ///
    /// # Errors
    /// When a directory on the way may not be entered.
    pub async fn stat(&self, path: &str) -> Result<Option<FileStat>, GuestError> {
        let answer = self.rpc().stat(wire::StatRequest { path: path.to_owned() }).await;
        let found = answer.map_err(|status| failure("looking at", path, &status))?.into_inner();
        Ok(found.stat.map(from_wire))
    }

    /// Everything below `root`, parents first, sorted by name in each directory; at most `limit` entries, and
    /// [`WALK_BYTES`] of paths.
    ///
    /// # Errors
    /// Refused as [`RefusalKind::Invalid`] when there are more, or `root` is no directory.
    pub async fn walk(&self, root: &str, limit: usize) -> Result<Vec<FileStat>, GuestError> {
        const WALK: &str = "walking";
        let failed = |status| failure(WALK, root, &status);
        let request = wire::WalkRequest { root: root.to_owned(), limit: limit as u64 };
        let mut batches = self.rpc().walk(request).await.map_err(failed)?.into_inner();
        let too_much = |what: String| GuestError::Refused {
            operation: WALK,
            object: root.to_owned(),
            reason: format!("more than {what}"),
            kind: RefusalKind::Invalid,
        };
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = batches.message().await.map_err(failed)? {
            bytes += batch.entries.iter().map(|entry| entry.path.len()).sum::<usize>();
            if bytes > WALK_BYTES {
                return Err(too_much(format!("{WALK_BYTES} bytes of paths")));
            }
            found.extend(batch.entries.into_iter().map(from_wire));
            if found.len() > limit {
                return Err(too_much(format!("{limit} entries")));
            }
        }
        Ok(found)
    }

    /// SHA-256 of each file, in order.
    ///
    /// # Errors
    /// At the first that can't be read.
    pub async fn digest(&self, paths: Vec<String>) -> Result<Vec<[u8; 32]>, GuestError> {
        const DIGEST: &str = "hashing";
        let mut digests = Vec::with_capacity(paths.len());
        for batch in batches(paths) {
            let count = batch.len();
            let object = batch.first().cloned().unwrap_or_default();
            let answer = self.rpc().digest(wire::DigestRequest { paths: batch }).await;
            let answer = answer.map_err(|status| failure(DIGEST, &object, &status))?.into_inner();
            if answer.digests.len() != count {
                return Err(broken(DIGEST, "not one digest for each file"));
            }
            for digest in answer.digests {
                let digest = digest[..].try_into().map_err(|_| broken(DIGEST, "not a SHA-256"))?;
                digests.push(digest);
            }
        }
        Ok(digests)
    }

    /// Unpacks a tar stream below `dest`; a member that would climb out is an error.
    ///
    /// # Errors
    /// At the first bad member (what came before it stays), and when `tar` can't be read.
    pub async fn archive_in<R>(&self, dest: &str, mut tar: R) -> Result<(), GuestError>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        const UNPACK: &str = "unpacking into";
        let (requests, stream) = mpsc::channel(QUEUED_MESSAGES);
        let mut rpc = self.rpc();
        // The call may end before the stream does: refused in the middle, or lost.
        let (answer, sent) =
            tokio::join!(rpc.archive_in(ReceiverStream::new(stream)), send_archive(dest, &mut tar, requests));
        sent.map_err(|error| GuestError::Refused {
            operation: UNPACK,
            object: dest.to_owned(),
            reason: format!("can't read the archive: {error}"),
            kind: RefusalKind::Other,
        })?;
        answer.map(drop).map_err(|status| failure(UNPACK, dest, &status))
    }

    /// Packs `root` (a file or a tree) as a tar stream with relative names into `to`; at most `limit` bytes.
    ///
    /// The stream is the guest's word: unpack it with [`crate::archive::unpack`], which trusts nothing.
    ///
    /// # Errors
    /// [`GuestError::TooLarge`] over the limit; what was written by then stays in `to`.
    pub async fn archive_out<W>(&self, root: &str, mut to: W, limit: u64) -> Result<(), GuestError>
    where
        W: AsyncWrite + Send + Unpin,
    {
        const PACK: &str = "packing";
        let failed = |status| failure(PACK, root, &status);
        let unwritten = |error: std::io::Error| GuestError::Refused {
            operation: PACK,
            object: root.to_owned(),
            reason: format!("can't write the archive: {error}"),
            kind: if error.kind() == std::io::ErrorKind::StorageFull {
                RefusalKind::DiskFull
            } else {
                RefusalKind::Other
            },
        };
        let request = wire::ArchiveOutRequest { root: root.to_owned() };
        let mut chunks = self.rpc().archive_out(request).await.map_err(failed)?.into_inner();
        let mut left = limit;
        while let Some(chunk) = chunks.message().await.map_err(failed)? {
            let Some(rest) = left.checked_sub(chunk.data.len() as u64) else {
                return Err(GuestError::TooLarge { operation: PACK, object: root.to_owned(), limit });
            };
            left = rest;
            to.write_all(&chunk.data).await.map_err(unwritten)?;
        }
        to.flush().await.map_err(unwritten)
    }
}

/// Sends an archive until it ends or the call does. Broken off, it is not marked as ended.
async fn send_archive(
    dest: &str,
    tar: &mut (impl AsyncRead + Unpin),
    requests: mpsc::Sender<wire::ArchiveInRequest>,
) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    let mut dest = dest.to_owned();
    loop {
        buffer.reserve(CHUNK_BYTES);
        let read = tokio::select! {
            read = tar.read_buf(&mut buffer) => read,
            () = requests.closed() => return Ok(()),
        };
        let end = read? == 0;
        let data = buffer.split().freeze();
        let request = wire::ArchiveInRequest { dest: std::mem::take(&mut dest), data, end };
        if requests.send(request).await.is_err() || end {
            return Ok(());
        }
    }
}

/// Cuts a list of paths into requests.
fn batches(paths: Vec<String>) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for path in paths {
        bytes += path.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_ENTRIES && bytes < BATCH_BYTES => batch.push(path),
            _ => {
                bytes = path.len();
                batches.push(vec![path]);
            }
        }
    }
    batches
}

/// A new file as it travels.
pub(super) fn new_file(file: NewFile) -> wire::NewFile {
    wire::NewFile { path: file.path, mode: file.mode, data: file.data }
}

fn from_wire(stat: wire::FileStat) -> FileStat {
    let kind = match stat.kind() {
        wire::FileKind::File => FileKind::File,
        wire::FileKind::Directory => FileKind::Directory,
        wire::FileKind::Symlink => FileKind::Symlink,
        wire::FileKind::Other | wire::FileKind::Unspecified => FileKind::Other,
    };
    FileStat { path: stat.path, kind, size: stat.size, mode: stat.mode }
}
