//! A container's standard streams, over a connection of its own to the daemon.
//!
//! Written here and not taken from the client library, because a terminal's bytes must never be read as
//! frames, and no frame that a daemon announces may make the host keep more than it has room for.

use super::http;
use crate::sandbox::{OutputChunk, OutputStream};
use std::io;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// The longest answer before the streams start.
const HEAD_BYTES: usize = 16 << 10;
/// The longest piece of output that is kept at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The streams of one container.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) output: Output,
    pub(super) input: OwnedWriteHalf,
}

/// What a container prints, in order.
#[derive(Debug)]
pub(super) struct Output {
    connection: OwnedReadHalf,
    is_terminal: bool,
    /// What came in one piece with the answer.
    early: Vec<u8>,
    /// Of the frame that is being read: where it belongs, and how much is missing.
    frame: Option<(OutputStream, usize)>,
}

/// Connects to a container's streams before it is started, so that nothing is missed. `path`: what the daemon is
/// asked for, with its version.
pub(super) async fn attach(socket: &Path, path: &str, is_terminal: bool) -> io::Result<Attached> {
    let mut connection = UnixStream::connect(socket).await?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: daemon\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = http::head_end(&head) {
            break end;
        }
        if head.len() > HEAD_BYTES || connection.read_buf(&mut head).await? == 0 {
            return Err(io::Error::other("the daemon did not answer the request for the streams"));
        }
    };
    let early = head.split_off(end);
    let status = http::status(&head).ok_or_else(http::not_http)?;
    // Both are in use: the second by daemons that do not know the upgrade.
    if !matches!(status, 101 | 200) {
        let said = String::from_utf8_lossy(&early).trim().to_owned();
        return Err(io::Error::other(format!("the daemon refused the streams: {status} {said}")));
    }
    let (read, input) = connection.into_split();
    Ok(Attached { output: Output { connection: read, is_terminal, early, frame: None }, input })
}

impl Output {
    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<OutputChunk>> {
        loop {
            let (stream, room) = match self.frame {
                _ if self.is_terminal => (OutputStream::Stdout, CHUNK_BYTES),
                Some((stream, missing)) if missing > 0 => (stream, missing.min(CHUNK_BYTES)),
                _ => {
                    self.frame = match self.header().await? {
                        None => return Ok(None),
                        frame => frame,
                    };
                    continue;
                }
            };
            let bytes = self.read(room).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if let Some((_, missing)) = &mut self.frame {
                *missing = missing.saturating_sub(bytes.len());
            }
            return Ok(Some(OutputChunk { stream, bytes }));
        }
    }

    /// A frame's header: the stream, three zeros, the length.
    async fn header(&mut self) -> io::Result<Option<(OutputStream, usize)>> {
        let mut header = Vec::new();
        while header.len() < 8 {
            let bytes = self.read(8 - header.len()).await?;
            if bytes.is_empty() {
                // In the middle of a header nothing of the command's is lost.
                return Ok(None);
            }
            header.extend(bytes);
        }
        let &[kind, 0, 0, 0, l0, l1, l2, l3] = header.as_slice() else {
            return Err(io::Error::other("the daemon sent a frame that is none"));
        };
        let stream = match kind {
            1 => OutputStream::Stdout,
            2 => OutputStream::Stderr,
            kind => {
                return Err(io::Error::other(format!(
                    "the daemon sent a frame of the unknown stream {kind}"
                )));
            }
        };
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        Ok(Some((stream, length)))
    }

    /// At most `room` bytes; none at the end.
    async fn read(&mut self, room: usize) -> io::Result<Vec<u8>> {
        if !self.early.is_empty() {
            let rest = self.early.split_off(room.min(self.early.len()));
            return Ok(std::mem::replace(&mut self.early, rest));
        }
        let mut bytes = vec![0; room];
        let read = self.connection.read(&mut bytes).await?;
        bytes.truncate(read);
        Ok(bytes)
    }
}
