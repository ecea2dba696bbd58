//! A guest behind a vsock socket: an agent in this process for each stream.

use std::path::Path;

use guest::agent::{Options, Scope, serve_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

/// The port that Firecracker says is the host's; any will do.
const HOST_PORT: u32 = 1_073_741_824;

/// Listens on `socket` and lets an agent answer on `port`. Dropping it hangs up on everyone.
pub(crate) fn open(socket: &Path, port: u32) -> std::io::Result<AbortOnDropHandle<()>> {
    let listener = UnixListener::bind(socket)?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        let mut streams = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            streams.spawn(answer(stream, port));
        }
    })))
}

async fn answer(mut stream: UnixStream, port: u32) {
    let mut asked = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        if byte == b'\n' {
            break;
        }
        asked.push(byte);
    }
    // Nobody listens on other ports: Firecracker hangs up.
    if asked != format!("CONNECT {port}").into_bytes() {
        return;
    }
    if stream.write_all(format!("OK {HOST_PORT}\n").as_bytes()).await.is_ok() {
        let mut options = Options::new(Scope::Library);
        options.play_renewals = true;
        let _ = serve_with(stream, options).await;
    }
}
