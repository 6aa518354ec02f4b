//! Ends a container without a runtime, on a thread: for handles that are dropped where no task can run any more, or
//! where nothing may block.

use super::http;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// How long a daemon may take to answer. It goes on without being listened to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a drop waits until the daemon has the request, so that this process may end right after. It takes no time
/// but where the daemon is stuck.
const HANDING_OVER: Duration = Duration::from_millis(100);
/// When it is tried again where the daemon may still be making the container, after the last attempt.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];
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
    /// Asks for the end of the container, and then for its removal.
    pub(super) fn end(&self) {
        self.on_a_thread(|remover, handed_over| {
            let kill = format!("POST {}/containers/{}/kill?signal=SIGKILL", remover.version, remover.name);
            // Removed by the task that supervises it, where there still is one: then it is not there any more.
            let _ = remover.ask(&kill, handed_over);
            let _ = remover.remove(handed_over);
        });
    }

    /// Kills and removes a container that was made.
    pub(super) fn remove_made(&self) {
        self.on_a_thread(|remover, handed_over| drop(remover.remove(handed_over)));
    }

    /// Kills and removes a container of which is not known whether it was made, or will be.
    pub(super) fn remove_whenever_made(&self) {
        self.on_a_thread(|remover, handed_over| {
            let mut pauses = AGAIN.into_iter();
            while !matches!(remover.remove(handed_over), Ok(200..=299)) {
                let Some(pause) = pauses.next() else { return };
                std::thread::sleep(pause);
            }
        });
    }

    /// Without a thread the container stays until it is swept.
    fn on_a_thread(&self, work: impl FnOnce(&Self, &Sender<()>) + Send + 'static) {
        let remover = self.clone();
        let (handed_over, waiting) = channel();
        let spawned = std::thread::Builder::new()
            .name("codegenie-container".to_owned())
            .spawn(move || work(&remover, &handed_over));
        if spawned.is_ok() {
            // An error is that of a thread that has ended, or a daemon that is stuck: it goes on.
            let _ = waiting.recv_timeout(HANDING_OVER);
        }
    }

    fn remove(&self, handed_over: &Sender<()>) -> io::Result<u16> {
        self.ask(&format!("DELETE {}/containers/{}?force=true&v=true", self.version, self.name), handed_over)
    }

    fn ask(&self, request: &str, handed_over: &Sender<()>) -> io::Result<u16> {
        let connection = send(&self.socket, request)?;
        // Nobody waits any more after the first.
        let _ = handed_over.send(());
        answer(connection)
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
