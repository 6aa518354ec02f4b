//! One client from its first byte to its end.

use super::Shared;
use super::connect::{Attempt, Kind, Refusal};
use super::http::{self, HttpRequest};
use super::relay::Traffic;
use super::socks::{self, SocksError};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a client that was refused may go on sending.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one client. Whatever happens to it is told to the client and the observer.
pub(super) async fn hold(mut client: TcpStream, shared: &Shared) {
    // Only speed depends on it.
    let _ = client.set_nodelay(true);
    let mut attempt = Attempt::new(shared);
    let mut conversation =
        Conversation { shared, read: Vec::new(), deadline: after(shared.limits.head_time) };
    // A client that breaks off tells nobody anything.
    let _ = conversation.serve(&mut client, &mut attempt).await;
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    // A host that sets no limit to speak of means a long time.
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
}

struct Conversation<'a> {
    shared: &'a Shared,
    /// What came and was not used yet.
    read: Vec<u8>,
    deadline: Instant,
}

impl Conversation<'_> {
    async fn serve(&mut self, client: &mut TcpStream, attempt: &mut Attempt<'_>) -> io::Result<()> {
        self.more(client).await?;
        match self.read.first() {
            Some(5) => self.socks(client, attempt).await,
            // A method. Everything else, TLS and SOCKS4 among it, is not for this proxy.
            Some(byte) if byte.is_ascii_alphabetic() => self.http(client, attempt).await,
            _ => {
                attempt.malformed("it is neither HTTP nor SOCKS5").await;
                Ok(())
            }
        }
    }

    /// Waits for more bytes; the end is an error.
    async fn more(&mut self, client: &mut TcpStream) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let room = self.shared.limits.head_bytes.saturating_sub(self.read.len()).clamp(1, buffer.len());
        let place = buffer.get_mut(..room).unwrap_or_default();
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        match timeout_at(self.deadline, client.read(place)).await.map_err(late)?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.read.extend_from_slice(buffer.get(..read).unwrap_or_default());
                Ok(())
            }
        }
    }

    async fn http(&mut self, client: &mut TcpStream, attempt: &mut Attempt<'_>) -> io::Result<()> {
        attempt.protocol("http");
        let mut seen = 0;
        let end = loop {
            if let Some(end) = http::head_end(&self.read, seen) {
                break end;
            }
            seen = self.read.len();
            if seen >= self.shared.limits.head_bytes {
                let refusal = attempt.malformed("its head is too long").await;
                return answer(client, "431 Request Header Fields Too Large", &refusal.message).await;
            }
            self.more(client).await?;
        };
        let early = self.read.split_off(end);
        let request = match http::parse_head(&self.read) {
            Ok(request) => request,
            Err(error) => {
                let refusal = attempt.malformed(error).await;
                return refuse(client, &refusal).await;
            }
        };
        let traffic = Traffic::new(self.shared);
        match request {
            HttpRequest::Connect { host, port } => {
                attempt.protocol("connect");
                let mut server = match attempt.open(&host, port, traffic.counts()).await {
                    Ok(server) => server,
                    Err(refusal) => return refuse(client, &refusal).await,
                };
                let established = self.tell(client, b"HTTP/1.1 200 Connection established\r\n\r\n").await;
                let result = match established {
                    Ok(()) => traffic.tunnel(client, &mut server, &early).await,
                    Err(error) => Err(error),
                };
                attempt.closed(traffic.counts()).await;
                result
            }
            HttpRequest::Forward(forward) => {
                let mut server = match attempt.open(&forward.host, forward.port, traffic.counts()).await {
                    Ok(server) => server,
                    Err(refusal) => return refuse(client, &refusal).await,
                };
                let head = forward.head();
                let result = traffic.exchange(client, &mut server, &head, forward.body, &early).await;
                attempt.closed(traffic.counts()).await;
                result?;
                linger(client).await;
                Ok(())
            }
        }
    }

    async fn socks(&mut self, client: &mut TcpStream, attempt: &mut Attempt<'_>) -> io::Result<()> {
        attempt.protocol("socks5");
        let greeting = loop {
            match socks::parse_greeting(&self.read) {
                Ok(Some(used)) => break used,
                Ok(None) => self.more(client).await?,
                Err(error) => {
                    attempt.malformed(error).await;
                    return self.tell(client, &socks::greeting_reply(false)).await;
                }
            }
        };
        self.read.drain(..greeting);
        self.tell(client, &socks::greeting_reply(true)).await?;
        let (request, used) = loop {
            match socks::parse_request(&self.read) {
                Ok(Some(request)) => break request,
                Ok(None) => self.more(client).await?,
                Err(error) => {
                    attempt.malformed(error).await;
                    return self.tell(client, &socks::reply(SocksError::code(error))).await;
                }
            }
        };
        self.read.drain(..used);
        let traffic = Traffic::new(self.shared);
        let mut server = match attempt.open(&request.host, request.port, traffic.counts()).await {
            Ok(server) => server,
            Err(refusal) => {
                let code = if refusal.kind == Kind::Unreachable { 4 } else { 2 };
                return self.tell(client, &socks::reply(code)).await;
            }
        };
        let early = std::mem::take(&mut self.read);
        let result = match self.tell(client, &socks::reply(0)).await {
            Ok(()) => traffic.tunnel(client, &mut server, &early).await,
            Err(error) => Err(error),
        };
        attempt.closed(traffic.counts()).await;
        result
    }

    /// Writes something short. A client that does not read it is given up.
    async fn tell(&self, client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        timeout(self.shared.limits.head_time, client.write_all(bytes)).await.map_err(io::Error::from)?
    }
}

async fn refuse(client: &mut TcpStream, refusal: &Refusal) -> io::Result<()> {
    let status = match refusal.kind {
        Kind::Denied => "403 Forbidden",
        Kind::Unreachable => "502 Bad Gateway",
        Kind::Malformed => "400 Bad Request",
    };
    answer(client, status, &refusal.message).await
}

/// An answer of the proxy's own. It is short: it fits into the socket's buffer, whether it is read or not.
async fn answer(client: &mut TcpStream, status: &str, message: &str) -> io::Result<()> {
    let text = format!("the sandbox's proxy: {message}\n");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await?;
    linger(client).await;
    Ok(())
}

/// Takes what the client still sends, for a moment: unread bytes would reset the connection, and the answer
/// with it.
async fn linger(client: &mut TcpStream) {
    let mut rest = [0; 4096];
    let mut room: usize = 256 << 10;
    let deadline = Instant::now() + LINGER;
    while let Ok(Ok(read @ 1..)) = timeout_at(deadline, client.read(&mut rest)).await {
        room = room.saturating_sub(read);
        if room == 0 {
            break;
        }
    }
}
