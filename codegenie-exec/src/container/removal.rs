//! Ends a container without a runtime: for handles that are dropped where no task can run any more.

use super::http;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a daemon may take to answer. It goes on without being listened to.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES: u64 = 64 << 10;

/// How a container is reached without the client library.
#[derive(Clone, Debug)]
pub(super) struct Remover {
    pub(super) socket: PathBuf,
    /// The API's version, as paths start with it: `/v1.41`.
    pub(super) version: String,
    pub(super) name: String,
}

impl Remover {
    /// Asks for the end of the container, and leaves the rest to a thread: the request is with the daemon when
    /// this returns, whatever becomes of this process then.
    pub(super) fn end_in_background(&self) {
        let kill = format!("POST {}/containers/{}/kill?signal=SIGKILL", self.version, self.name);
        let asked = send(&self.socket, &kill);
        let remover = self.clone();
        let spawned = std::thread::Builder::new().name("codegenie-container".to_owned()).spawn(move || {
            if let Ok(connection) = asked {
                let _ = answer(connection);
            }
            // Removed by the task that supervises it, where there still is one: then it is not there any more.
            let _ = remover.remove();
        });
        if spawned.is_err() {
            let _ = self.remove();
        }
    }

    /// Kills and removes the container, and waits for it.
    pub(super) fn remove(&self) -> io::Result<()> {
        let request = format!("DELETE {}/containers/{}?force=true&v=true", self.version, self.name);
        let status = answer(send(&self.socket, &request)?)?;
        match status {
            // There is none, or the daemon is at it already.
            200..=299 | 404 | 409 => Ok(()),
            status => Err(io::Error::other(format!("the daemon answered {status}"))),
        }
    }
}

fn send(socket: &Path, request: &str) -> io::Result<UnixStream> {
    let mut connection = UnixStream::connect(socket)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let head =
        format!("{request} HTTP/1.1\r\nHost: daemon\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    connection.write_all(head.as_bytes())?;
    Ok(connection)
}

fn answer(connection: UnixStream) -> io::Result<u16> {
    let mut answer = Vec::new();
    connection.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    http::status(&answer).ok_or_else(http::not_http)
}
