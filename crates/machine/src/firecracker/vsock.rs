//! The way into the guest: Firecracker's Unix socket, behind which the guest's vsock ports are.
//!
//! The host says `CONNECT <port>`, Firecracker answers `OK <its own port>` once something in the
//! guest has accepted, or hangs up (docs/vsock.md of Firecracker).

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::socket;

/// Longest greeting: `OK`, a space, ten digits of a port, and the end of the line, with room to spare.
const GREETING_BYTES: usize = 32;

/// Opens a stream to a port in the guest.
pub async fn connect(uds: &Path, port: u32) -> io::Result<UnixStream> {
    let mut stream = socket::connect(uds).await?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let greeting = read_line(&mut stream).await?;
    let assigned = greeting.strip_prefix("OK ").and_then(|port| port.parse::<u32>().ok());
    match assigned {
        Some(_) => Ok(stream),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("instead of OK and a port, Firecracker said {greeting:?}"),
        )),
    }
}

/// Reads byte by byte: what follows the line is the guest's.
async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::with_capacity(GREETING_BYTES);
    while line.len() < GREETING_BYTES {
        match stream.read_u8().await {
            Ok(b'\n') => return Ok(String::from_utf8_lossy(&line).into_owned()),
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let reason = "nothing in the guest listens on that port";
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, reason));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a greeting without an end"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use tokio::net::UnixListener;

    use super::*;

    async fn greeted(answer: &'static [u8]) -> (io::Result<UnixStream>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        // Longer than any socket address: the short way around has to work too.
        let deep = folder.path().join("a-folder-with-a-long-name".repeat(5));
        std::fs::create_dir(&deep).unwrap();
        let here = File::open(&deep).unwrap();
        let short = format!("/proc/self/fd/{}/v.sock", here.as_raw_fd());
        let listener = UnixListener::bind(short).unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; "CONNECT 1024\n".len()];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(answer).await.unwrap();
            asked
        });
        let stream = connect(&deep.join("v.sock"), 1024).await;
        (stream, server.await.unwrap())
    }

    #[tokio::test]
    async fn the_guests_first_bytes_are_not_taken_for_the_greeting() {
        let (stream, asked) = greeted(b"OK 1073741824\nhello").await;
        assert_eq!(asked, b"CONNECT 1024\n");
        let mut said = String::new();
        stream.unwrap().read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "hello");
    }

    #[tokio::test]
    async fn a_port_nobody_listens_on_is_told_from_a_broken_greeting() {
        let (refused, _) = greeted(b"").await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        for answer in [b"KO 3\n".as_slice(), b"OK much\n", &[b'x'; 64]] {
            let (broken, _) = greeted(answer).await;
            assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
