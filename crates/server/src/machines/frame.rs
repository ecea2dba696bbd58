//! What an upgraded connection of a shell carries, in both directions: frames.
//!
//! A frame is one byte of kind, four bytes of length (big-endian), and so many bytes.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What the `Upgrade` header names.
pub const PROTOCOL: &str = "hearth-shell/1";

/// Longest content of a frame: a screenful has some ten thousand bytes.
pub const FRAME_BYTES: usize = 64 * 1024;

const INPUT: u8 = 0;
const RESIZE: u8 = 1;
const OUTPUT: u8 = 2;
const EXITED: u8 = 3;
const ERROR: u8 = 4;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Keys, to the machine.
    Input(Bytes),
    /// The terminal has another size, to the machine.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// What the shell writes, from the machine.
    Output(Bytes),
    /// It has ended, from the machine. The last frame.
    Exited(i32),
    /// Nobody knows how it ended, from the machine. The last frame.
    Error(String),
}

impl Frame {
    /// Writes the frame. Output and input longer than [`FRAME_BYTES`] become several.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn write(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Frame::Input(data) => write_all(to, INPUT, data).await?,
            Frame::Output(data) => write_all(to, OUTPUT, data).await?,
            Frame::Resize { rows, columns } => {
                let (rows, columns) = (rows.to_be_bytes(), columns.to_be_bytes());
                write_one(to, RESIZE, &[rows[0], rows[1], columns[0], columns[1]]).await?;
            }
            Frame::Exited(code) => write_one(to, EXITED, &code.to_be_bytes()).await?,
            Frame::Error(reason) => {
                write_one(to, ERROR, &reason.as_bytes()[..reason.len().min(FRAME_BYTES)]).await?;
            }
        }
        to.flush().await
    }

    /// Reads a frame; `None` when the connection ended before one began.
    ///
    /// # Errors
    /// When the connection is broken, or what comes is no frame.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
        let mut kind = [0];
        if from.read(&mut kind).await? == 0 {
            return Ok(None);
        }
        let length = from.read_u32().await?;
        let length = usize::try_from(length).ok().filter(|length| *length <= FRAME_BYTES);
        let mut data = vec![0; length.ok_or_else(|| invalid("a frame that is too long"))?];
        from.read_exact(&mut data).await?;
        Ok(Some(match (kind[0], data.as_slice()) {
            (INPUT, _) => Frame::Input(data.into()),
            (OUTPUT, _) => Frame::Output(data.into()),
            (RESIZE, &[r0, r1, c0, c1]) => {
                Frame::Resize { rows: u16::from_be_bytes([r0, r1]), columns: u16::from_be_bytes([c0, c1]) }
            }
            (EXITED, &[a, b, c, d]) => Frame::Exited(i32::from_be_bytes([a, b, c, d])),
            (ERROR, reason) => Frame::Error(String::from_utf8_lossy(reason).into_owned()),
            _ => return Err(invalid("no frame")),
        }))
    }
}

async fn write_all(to: &mut (impl AsyncWrite + Unpin), kind: u8, data: &[u8]) -> io::Result<()> {
    if data.is_empty() {
        return write_one(to, kind, data).await;
    }
    for part in data.chunks(FRAME_BYTES) {
        write_one(to, kind, part).await?;
    }
    Ok(())
}

async fn write_one(to: &mut (impl AsyncWrite + Unpin), kind: u8, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| invalid("a frame that is too long"))?;
    let mut head = [kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_be_bytes());
    to.write_all(&head).await?;
    to.write_all(data).await
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other side sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_arrive_as_they_were_sent() {
        let frames = [
            Frame::Input(Bytes::from_static(b"ls\r")),
            Frame::Input(Bytes::new()),
            Frame::Resize { rows: 24, columns: 300 },
            Frame::Output(Bytes::from_static(&[0xff, 0])),
            Frame::Exited(-1),
            Frame::Error("lost".to_owned()),
        ];
        let mut sent = Vec::new();
        for frame in &frames {
            frame.write(&mut sent).await.unwrap();
        }
        let mut rest = &sent[..];
        for frame in frames {
            assert_eq!(Frame::read(&mut rest).await.unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut rest).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused_before_it_is_read() {
        for bad in
            [&[0, 0xff, 0xff, 0xff, 0xff][..], &[9, 0, 0, 0, 0], &[1, 0, 0, 0, 1, 7], &[0, 0, 0, 0, 9, 1]]
        {
            assert!(Frame::read(&mut &bad[..]).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn long_output_becomes_several_frames() {
        let mut sent = Vec::new();
        Frame::Output(vec![1; FRAME_BYTES + 1].into()).write(&mut sent).await.unwrap();
        let mut rest = &sent[..];
        let mut lengths = Vec::new();
        while let Some(Frame::Output(data)) = Frame::read(&mut rest).await.unwrap() {
            lengths.push(data.len());
        }
        assert_eq!(lengths, [FRAME_BYTES, 1]);
    }
}
