//! Requests to a daemon that the client library has no words for.

use serde_json::Value;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long a daemon may take to answer one request.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(120);
/// The longest answer that is read.
const ANSWER_BYTES: u64 = 8 << 20;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a daemon answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> io::Result<Value> {
        serde_json::from_slice(&self.body).map_err(io::Error::other)
    }

    /// The answer, or the error that the daemon names.
    pub(super) fn success(self) -> io::Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let told = self.json().ok();
        let message = told.as_ref().and_then(|told| told.get("message")).and_then(Value::as_str);
        let body = String::from_utf8_lossy(&self.body);
        let said = message.unwrap_or_else(|| body.trim());
        Err(io::Error::other(format!("the daemon answered {}: {said}", self.status)))
    }
}

/// Sends a request, with a value as its body where there is one, and reads the answer.
pub(super) async fn exchange(
    socket: &Path,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    // By version 1.0, in which an answer is never in chunks and ends with the connection.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: daemon\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let exchange = async {
        let mut connection = UnixStream::connect(socket).await?;
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(body.as_bytes()).await?;
        let mut answer = Vec::new();
        connection.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
        let end = head_end(&answer).ok_or_else(not_http)?;
        let body = answer.split_off(end);
        Ok(Answer { status: status(&answer).ok_or_else(not_http)?, body })
    };
    tokio::time::timeout(ANSWER_TIME, exchange).await?
}

/// Where the head of an answer ends, if all of it is there.
pub(super) fn head_end(answer: &[u8]) -> Option<usize> {
    let start = answer.windows(HEAD_END.len()).position(|bytes| bytes == HEAD_END)?;
    Some(start + HEAD_END.len())
}

/// The status in the head of an answer.
pub(super) fn status(head: &[u8]) -> Option<u16> {
    let head = String::from_utf8_lossy(head);
    let mut words = head.split_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    words.next()?.parse().ok()
}

pub(super) fn not_http() -> io::Error {
    io::Error::other("the daemon's answer is not HTTP")
}
