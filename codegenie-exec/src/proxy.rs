//! A filtering proxy: the one way from a sandbox to the network, for the hosts that a policy names.
//!
//! It speaks HTTP CONNECT, plain HTTP and SOCKS5 on a listener that is handed over, resolves names itself,
//! checks every address, and connects to the address that it has checked. Sandboxes use it; it stands by
//! itself for those that a host brings.
//!
//! The functions that read what comes from the sandboxed side are pure and public, so that they can be
//! tested by anybody.

mod address;
mod chunked;
mod connect;
mod conversation;
mod denials;
mod http;
mod open;
mod relay;
mod resolve;
mod rules;
mod socks;

pub use self::address::AddressKind;
pub use self::chunked::{ChunkError, Chunked, Piece};
pub use self::http::{Body, Forward, HttpError, HttpRequest, head_end, parse_head};
pub use self::resolve::{HostResolver, Resolve, Resolving};
pub use self::socks::{SocksError, SocksRequest, parse_greeting, parse_request};

use self::denials::Denials;
use self::open::Open;
use self::rules::Rules;
use crate::sandbox::{ConnectionObserver, Denial, DomainRule};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// Bounds on what the sandboxed side may cost the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyLimits {
    /// Connections at one time. Further ones wait in the kernel's queue, which is bounded too.
    pub connections: usize,
    /// Connections in all; further ones are refused, and that is recorded once.
    pub attempts: u64,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Time for a request to be made, from the connection's beginning.
    pub head_time: Duration,
    /// Time to resolve a name, and time to reach each of its addresses.
    pub connect_time: Duration,
    /// Time in which nothing is sent in either direction.
    pub idle_time: Duration,
    /// Bytes in both directions of all connections; `None`: any number.
    pub total_bytes: Option<u64>,
}

impl Default for ProxyLimits {
    /// 64 connections at one time and 10,000 in all, heads of 32 KiB in 30 seconds, 20 seconds to connect,
    /// five minutes of silence, any number of bytes.
    fn default() -> Self {
        Self {
            connections: 64,
            attempts: 10_000,
            head_bytes: 32 << 10,
            head_time: Duration::from_secs(30),
            connect_time: Duration::from_secs(20),
            idle_time: Duration::from_secs(300),
            total_bytes: None,
        }
    }
}

/// A filtering proxy that is not serving yet.
#[derive(Clone, Debug)]
pub struct Proxy {
    rules: Rules,
    limits: ProxyLimits,
    resolver: Arc<dyn Resolve>,
    observer: Option<Arc<dyn ConnectionObserver>>,
}

impl Proxy {
    /// A proxy for the hosts of these rules, which resolves names as the host does.
    pub fn new(rules: Vec<DomainRule>) -> Result<Self, RuleError> {
        let rules = Rules::read(rules).map_err(RuleError)?;
        let resolver = Arc::new(HostResolver::default());
        Ok(Self { rules, limits: ProxyLimits::default(), resolver, observer: None })
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: ProxyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets who resolves names.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Sets who is told of every connection, and without whose consent none is opened.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn ConnectionObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Serves the clients of `listener` in the current tokio runtime, until the returned handle is dropped.
    pub fn serve(self, listener: std::net::TcpListener) -> io::Result<ProxyHandle> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared {
            rules: self.rules,
            limits: self.limits,
            resolver: self.resolver,
            observer: self.observer,
            attempts: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            denials: Denials::default(),
            open: Open::default(),
        });
        let task = runtime.spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(ProxyHandle { task, shared })
    }
}

/// A serving proxy. Dropping it closes the listener and every connection.
pub struct ProxyHandle {
    task: AbortHandle,
    shared: Arc<Shared>,
}

impl ProxyHandle {
    /// What was refused so far: each kind once, the first ones of many.
    #[must_use]
    pub fn refused(&self) -> Vec<Denial> {
        self.shared.denials.list()
    }
}

impl fmt::Debug for ProxyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyHandle").field("rules", &self.shared.rules).finish_non_exhaustive()
    }
}

impl Drop for ProxyHandle {
    fn drop(&mut self) {
        self.task.abort();
        // Those that the task holds are dropped with it, at some later time.
        self.shared.open.cut_off(self.shared.observer.as_deref());
    }
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError(String);

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RuleError {}

/// What the connections of one proxy share.
#[derive(Debug)]
struct Shared {
    rules: Rules,
    limits: ProxyLimits,
    resolver: Arc<dyn Resolve>,
    observer: Option<Arc<dyn ConnectionObserver>>,
    attempts: AtomicU64,
    bytes: AtomicU64,
    denials: Denials,
    open: Open,
}

/// Takes connections as long as there is room for them. The set ends them all when this is dropped.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(shared.limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    conversation::hold(client, &shared).await;
                    drop(permit);
                });
            }
            // The host is short of descriptors, or the client is gone already: neither is for ever.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
