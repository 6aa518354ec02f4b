//! Octet counting: syslog frames over a stream.

use std::io;

use super::Syslog;
use crate::StoredEvent;

/// Sends events over a stream as syslog with octet counting (RFC 6587, section 3.4.1): the length in bytes, a
/// space, and the message. The writer is any, such as a `TcpStream` or a TLS stream over one.
///
/// A frame is written by one `write_all`. When that fails, nobody knows how much of the frame was sent: each
/// later call fails, until a new `SyslogTcp` is made over a new connection.
#[derive(Debug)]
pub struct SyslogTcp<W> {
    syslog: Syslog,
    writer: W,
    broken: bool,
}

impl<W: io::Write> SyslogTcp<W> {
    /// Sends to `writer` what `syslog` encodes.
    pub fn new(syslog: Syslog, writer: W) -> Self {
        Self { syslog, writer, broken: false }
    }

    /// Sends one event.
    ///
    /// `Ok` means that the writer took it: syslog has no acknowledgement, so that a connection that breaks may
    /// lose what was sent last.
    pub fn send(&mut self, stored: &StoredEvent) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "syslog stream may end inside a frame after an earlier error; connect again",
            ));
        }
        let message = self.syslog.encode(stored);
        let sent = self.writer.write_all(format!("{} {message}", message.len()).as_bytes());
        self.broken = sent.is_err();
        sent
    }

    /// Flushes the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Gives the writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }
}
