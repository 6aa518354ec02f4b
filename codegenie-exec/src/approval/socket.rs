//! The queue over a Unix socket, for a process that answers beside the host.

use super::{Approval, ApprovalQueue, GrantScope};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Longer requests end the connection.
const MAX_LINE: u64 = 64 << 10;
/// So many connections are served at once. More wait to be accepted.
const MOST_CONNECTIONS: usize = 32;
/// A connection on which nothing is asked, or no reply is taken, for so long is closed.
const IDLE: Duration = Duration::from_secs(300);
/// After an accept that failed, since there are too many open files for instance.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: u64,
    granted: bool,
    approver: String,
    #[serde(default)]
    note: String,
    /// For how many seconds it holds in the session; without, for this run.
    session_seconds: Option<u64>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    List,
    Answer(Answer),
}

impl ApprovalQueue {
    /// Answers to processes of the host's own user, and of root, until it is dropped. Others are turned
    /// away by the kernel's word about who they are.
    ///
    /// One JSON value a line: `"list"` is answered by an array of the questions that wait, with all that an approver is to see;
    /// `{"answer": {"id": 1, "granted": true, "approver": "ada", "note": ""}}` by `{"ok": true}`, or by
    /// `{"ok": false, "problem": "…"}`. The listener's path belongs into a folder that the sandbox does not show: whatever runs
    /// as this user and reaches it may answer.
    ///
    /// 32 connections are served at once, and one on which nothing happens for five minutes is closed. It goes on where a
    /// connection cannot be accepted for lack of files or memory; any other error of the listener ends it.
    pub async fn serve(&self, listener: UnixListener) -> io::Result<()> {
        // This process is who asks, whoever owns the path by now.
        let own = nix::unistd::geteuid().as_raw();
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            // It is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
            let (stream, _) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if passes(&error) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Whoever is gone already asks nothing.
            let Ok(peer) = stream.peer_cred() else { continue };
            let user = peer.uid();
            if user != own && user != 0 {
                continue;
            }
            let queue = self.clone();
            tokio::spawn(async move {
                // Whoever asks badly loses the connection, and nothing else.
                let _ = queue.converse(stream, user).await;
                drop(place);
            });
        }
    }

    async fn converse(&self, stream: UnixStream, user: u32) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut reader = BufReader::new(read);
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut reader).take(MAX_LINE);
            let length = timeout(IDLE, limited.read_until(b'\n', &mut line)).await??;
            if length == 0 || line.last() != Some(&b'\n') {
                return Ok(());
            }
            let reply = match serde_json::from_slice(&line) {
                Ok(Ask::List) => self.listed(),
                Ok(Ask::Answer(answer)) => self.answered(answer, user),
                Err(error) => serde_json::json!({"ok": false, "problem": error.to_string()}),
            };
            timeout(IDLE, write.write_all(format!("{reply}\n").as_bytes())).await??;
        }
    }

    fn listed(&self) -> serde_json::Value {
        let rows = self.pending().into_iter().map(|pending| {
            serde_json::json!({
                "id": pending.id,
                "operation": pending.request.operation.to_string(),
                "user": pending.request.user,
                "agent": pending.request.agent,
                "command": pending.request.command,
                "cwd": pending.request.cwd.display().to_string(),
                "environment": pending.request.environment,
                "input": pending.request.input,
                "diff": pending.request.diff,
                "privileges": pending.request.privileges,
                "verdict": pending.request.verdict,
                "waiting_ms": milliseconds(pending.waiting),
                "remaining_ms": milliseconds(pending.request.deadline.saturating_sub(pending.waiting)),
            })
        });
        rows.collect()
    }

    fn answered(&self, answer: Answer, user: u32) -> serde_json::Value {
        let scope =
            answer.session_seconds.map_or(GrantScope::Once, |s| GrantScope::Session(Duration::from_secs(s)));
        // Who it is they say themselves; whose process it is the kernel says.
        let approver = format!("{} (uid {user})", answer.approver);
        let approval = Approval { granted: answer.granted, approver, note: answer.note, scope };
        match self.answer(answer.id, approval) {
            Ok(()) => serde_json::json!({"ok": true}),
            Err(error) => serde_json::json!({"ok": false, "problem": error.to_string()}),
        }
    }
}

/// Will what made an accept fail be over?
fn passes(error: &io::Error) -> bool {
    use libc::{ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(ECONNABORTED | EINTR | EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
