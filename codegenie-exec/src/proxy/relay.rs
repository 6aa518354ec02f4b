//! Bytes from one side to the other: with back-pressure, counted, and not for ever in silence.

use super::Shared;
use super::chunked::{Chunked, Piece};
use super::http::Body;
use super::open::Counts;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

const BUFFER_BYTES: usize = 16 << 10;

/// What went over one connection.
pub(super) struct Traffic<'a> {
    shared: &'a Shared,
    since: Instant,
    /// Milliseconds from `since` to the last byte.
    last: AtomicU64,
    counts: Arc<Counts>,
}

#[derive(Clone, Copy)]
enum Direction {
    ToServer,
    ToClient,
}

impl<'a> Traffic<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared, since: Instant::now(), last: AtomicU64::new(0), counts: Arc::default() }
    }

    pub(super) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    fn count(&self, direction: Direction, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        let all = self.shared.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if self.shared.limits.total_bytes.is_some_and(|limit| all > limit) {
            return Err(io::Error::other("the run has sent and received more than its limit"));
        }
        match direction {
            Direction::ToServer => self.counts.sent.fetch_add(bytes, Ordering::Relaxed),
            Direction::ToClient => self.counts.received.fetch_add(bytes, Ordering::Relaxed),
        };
        Ok(())
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// Comes back when nothing has gone over the connection for too long.
    async fn silence(&self) {
        loop {
            let last = self.last.load(Ordering::Relaxed);
            let limit = Duration::from_millis(last).saturating_add(self.shared.limits.idle_time);
            tokio::time::sleep(limit.saturating_sub(self.since.elapsed())).await;
            if self.last.load(Ordering::Relaxed) == last && self.since.elapsed() >= limit {
                return;
            }
        }
    }

    async fn write(&self, to: &mut WriteHalf<'_>, direction: Direction, bytes: &[u8]) -> io::Result<()> {
        self.count(direction, bytes.len())?;
        to.write_all(bytes).await?;
        self.touch();
        Ok(())
    }

    /// Copies to the end, and hands the end on.
    async fn pump(
        &self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        direction: Direction,
    ) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match from.read(&mut buffer).await? {
                0 => return to.shutdown().await,
                read => self.write(to, direction, buffer.get(..read).unwrap_or_default()).await?,
            }
        }
    }

    /// A tunnel: both directions to their ends, or until one fails or both are silent. `early` came
    /// before the tunnel was there.
    pub(super) async fn tunnel(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        early: &[u8],
    ) -> io::Result<()> {
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.split(), server.split());
        let up = async {
            self.write(&mut to_server, Direction::ToServer, early).await?;
            self.pump(&mut from_client, &mut to_server, Direction::ToServer).await
        };
        let down = self.pump(&mut from_server, &mut to_client, Direction::ToClient);
        self.both(up, down, true).await
    }

    /// One exchange of plain HTTP: head and body to the server, everything from the server back. What
    /// the client sends after the body is not handed on: it would be a request that nobody has checked.
    pub(super) async fn exchange(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        head: &[u8],
        body: Body,
        early: &[u8],
    ) -> io::Result<()> {
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.split(), server.split());
        let up = async {
            self.write(&mut to_server, Direction::ToServer, head).await?;
            match body {
                Body::None => Ok(()),
                Body::Length(length) => {
                    self.send_length(&mut from_client, &mut to_server, length, early).await
                }
                Body::Chunked => self.send_chunks(&mut from_client, &mut to_server, early).await,
            }
        };
        let down = self.pump(&mut from_server, &mut to_client, Direction::ToClient);
        self.both(up, down, false).await
    }

    async fn send_length(
        &self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        length: u64,
        early: &[u8],
    ) -> io::Result<()> {
        let mut rest = length;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut piece = early;
        loop {
            let of_body = usize::try_from(rest).unwrap_or(usize::MAX).min(piece.len());
            self.write(to, Direction::ToServer, piece.get(..of_body).unwrap_or_default()).await?;
            rest -= of_body as u64;
            if rest == 0 {
                return Ok(());
            }
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            piece = buffer.get(..read).unwrap_or_default();
        }
    }

    async fn send_chunks(
        &self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        early: &[u8],
    ) -> io::Result<()> {
        let mut chunks = Chunked::default();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut piece = early;
        loop {
            while !piece.is_empty() && !chunks.is_done() {
                let malformed = |_| io::Error::from(io::ErrorKind::InvalidData);
                let used = match chunks.next(piece).map_err(malformed)? {
                    Piece::Framing(used) => used,
                    Piece::Data(used) => {
                        let size = format!("{used:x}\r\n");
                        self.write(to, Direction::ToServer, size.as_bytes()).await?;
                        self.write(to, Direction::ToServer, piece.get(..used).unwrap_or_default()).await?;
                        self.write(to, Direction::ToServer, b"\r\n").await?;
                        used
                    }
                    Piece::End => break,
                };
                piece = piece.get(used..).unwrap_or_default();
            }
            if chunks.is_done() {
                return self.write(to, Direction::ToServer, b"0\r\n\r\n").await;
            }
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            piece = buffer.get(..read).unwrap_or_default();
        }
    }

    /// Runs both directions until both have ended, one has failed, or nothing happens. Where the way up
    /// does not `matter` any more once the way down has ended, that is the end.
    async fn both(
        &self,
        up: impl Future<Output = io::Result<()>>,
        down: impl Future<Output = io::Result<()>>,
        up_matters: bool,
    ) -> io::Result<()> {
        let (mut up, mut down, mut silence) = (pin!(up), pin!(down), pin!(self.silence()));
        let (mut up_ended, mut down_ended) = (false, false);
        poll_fn(|cx| {
            if !up_ended && let Poll::Ready(result) = up.as_mut().poll(cx) {
                result?;
                up_ended = true;
            }
            if !down_ended && let Poll::Ready(result) = down.as_mut().poll(cx) {
                result?;
                down_ended = true;
            }
            if down_ended && (up_ended || !up_matters) {
                return Poll::Ready(Ok(()));
            }
            silence.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }
}
