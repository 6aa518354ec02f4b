//! Connections that a command asks for, as the host is told of them.

use super::HostName;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionStage {
    /// It is permitted and about to be opened, to [`ConnectionEvent::address`].
    Opening,
    /// It was refused, and nothing was opened.
    Denied {
        /// Why.
        reason: String,
    },
    /// It was permitted, but the name was not resolved or the server not reached.
    Failed {
        /// Why.
        error: String,
    },
    /// It has ended: by itself, or because the command did.
    Closed {
        /// Bytes from the command to the server.
        sent: u64,
        /// Bytes from the server to the command.
        received: u64,
    },
}

/// A connection that a command asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionEvent {
    /// Numbers the attempts of one run, from 1.
    pub attempt: u64,
    /// How it was asked for: `connect` and `http` of an HTTP proxy, `socks5`; `unknown` before that is clear.
    pub protocol: &'static str,
    /// The host and port that were asked for; `None` where the request could not be read.
    pub target: Option<(HostName, u16)>,
    /// The address, once it is known.
    pub address: Option<SocketAddr>,
    /// The rule that permits it, as it is written in the policy.
    pub rule: Option<String>,
    /// What became of it.
    pub stage: ConnectionStage,
}

impl ConnectionEvent {
    /// An event about a connection of which nothing else is known yet.
    #[must_use]
    pub fn new(attempt: u64, protocol: &'static str, stage: ConnectionStage) -> Self {
        Self { attempt, protocol, target: None, address: None, rule: None, stage }
    }

    /// What was asked for, as text: `example.org:443`.
    #[must_use]
    pub fn target_text(&self) -> String {
        self.target.as_ref().map_or_else(
            || "a host that could not be read".to_owned(),
            |(host, port)| format!("{host}:{port}"),
        )
    }
}

/// What [`ConnectionObserver::observe`] returns: whether the connection may go on.
pub type Observed<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Is told of every connection that a command asks for.
///
/// A sandbox that lets a command reach some hosts asks before it opens a connection
/// ([`ConnectionStage::Opening`]), and does not open it where the answer is `false`: a connection that
/// cannot be recorded is not made. The answers to the other stages change nothing.
pub trait ConnectionObserver: fmt::Debug + Send + Sync {
    /// Takes one event. A slow answer holds up that connection alone.
    fn observe<'a>(&'a self, event: &'a ConnectionEvent) -> Observed<'a>;

    /// Takes the [`ConnectionStage::Closed`] of a connection that was open when the command's handle was dropped,
    /// in the middle of that drop. It must not wait. By default it is lost.
    fn cut_off(&self, _event: &ConnectionEvent) {}
}
