//! A tar archive that is made on a thread while it is read.

use std::io::{self, BufWriter, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, DuplexStream, ReadBuf};
use tokio::task::JoinHandle;
use tokio_util::io::SyncIoBridge;

/// What is packed ahead of the reader: enough to keep both sides busy.
const PIPE_BYTES: usize = 256 * 1024;

/// Where a packer writes.
pub(crate) type Archive = tar::Builder<BufWriter<SyncIoBridge<DuplexStream>>>;

/// The stream of a tar archive that is made as it is read. An error of the packer, which names the file,
/// is an error of the stream: its end means that everything is there.
pub(crate) struct ArchiveStream {
    pipe: DuplexStream,
    packer: Option<JoinHandle<io::Result<()>>>,
}

impl ArchiveStream {
    /// Packs what `pack` appends, on a thread that may block.
    pub(crate) fn packing(
        pack: impl FnOnce(&mut Archive) -> io::Result<()> + Send + 'static,
    ) -> ArchiveStream {
        let (pipe, writer) = tokio::io::duplex(PIPE_BYTES);
        let writer = SyncIoBridge::new(writer);
        let packer = tokio::task::spawn_blocking(move || {
            let mut archive = tar::Builder::new(BufWriter::with_capacity(PIPE_BYTES, writer));
            pack(&mut archive)?;
            archive.into_inner()?.flush()
        });
        ArchiveStream { pipe, packer: Some(packer) }
    }
}

impl AsyncRead for ArchiveStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.pipe).poll_read(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let Some(packer) = &mut this.packer else { return Poll::Ready(Ok(())) };
        let result = ready!(Pin::new(packer).poll(cx));
        this.packer = None;
        Poll::Ready(result.unwrap_or_else(|panic| Err(io::Error::other(panic))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn an_error_of_the_packer_is_an_error_of_the_stream_and_never_its_end() {
        let mut stream = ArchiveStream::packing(|archive| {
            archive.append_dir("first", ".")?;
            Err(io::Error::other("can't read second"))
        });
        let mut bytes = Vec::new();
        let error = stream.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(error.to_string(), "can't read second");
    }
}
