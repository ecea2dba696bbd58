//! Unix sockets below folders with long names.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use tokio::net::UnixStream;

/// Longest path that the kernel takes as a socket's address (`sun_path` holds 108 bytes, the last is zero).
const ADDRESS_BYTES: usize = 107;

/// Connects to the socket at `path`, however long that is: data folders may lie deep.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return UnixStream::connect(path).await;
    };
    if path.as_os_str().len() <= ADDRESS_BYTES {
        return UnixStream::connect(path).await;
    }
    let folder = File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    UnixStream::connect(short).await
}
