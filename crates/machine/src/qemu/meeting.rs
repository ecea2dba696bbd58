//! The socket on which QEMU lets us at the agent's port.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use tokio::net::UnixStream;

use crate::vm::spawn::as_path;

const SOCKET: &str = "agent.sock";

/// A listening socket that QEMU is handed, and the way to it. Connections wait there until QEMU takes them.
#[derive(Debug)]
pub(super) struct Door {
    folder: File,
    listener: UnixListener,
}

impl Door {
    /// Opens the socket in a machine's folder.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let folder = File::open(folder)?;
        // Socket addresses are short, data folders may be deep.
        let listener = UnixListener::bind(format!("{}/{SOCKET}", as_path(&folder)))?;
        Ok(Self { folder, listener })
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// A stream to the port. QEMU serves one at a time.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(format!("{}/{SOCKET}", as_path(&self.folder))).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_socket_is_reached_however_deep_its_folder_is() {
        let data = tempfile::tempdir().unwrap();
        let deep = data.path().join("a-folder-with-a-long-name/".repeat(10));
        std::fs::create_dir_all(&deep).unwrap();
        let door = Door::open(&deep).unwrap();
        let mut ours = door.connect().await.unwrap();
        let (mut theirs, _) = door.listener().accept().unwrap();
        std::io::Write::write_all(&mut theirs, b"hello").unwrap();
        drop(theirs);
        let mut heard = String::new();
        ours.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");
    }
}
