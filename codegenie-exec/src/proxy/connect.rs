//! The decision about one connection, and its opening.

use super::Shared;
use super::open::Counts;
use crate::sandbox::{ConnectionEvent, ConnectionStage, Denial, DomainRule, HostName, Layer, rule_for};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Addresses of one name that are tried.
const MAX_TRIED: usize = 8;
/// Addresses of one name that are taken from a resolver.
const MAX_ADDRESSES: usize = 64;

/// Why a connection is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The policy refuses it.
    Denied,
    /// The name leads nowhere, or the server does not answer.
    Unreachable,
    /// The request cannot be read.
    Malformed,
}

/// A connection that was not opened, and what the client is told. The client learns nothing about the
/// host's network that it did not know.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) message: String,
}

/// One connection's way through the proxy, as it is told to the observer.
pub(super) struct Attempt<'a> {
    shared: &'a Shared,
    event: ConnectionEvent,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        let number = shared.attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Self { shared, event: ConnectionEvent::new(number, "unknown", ConnectionStage::Opening) }
    }

    pub(super) fn protocol(&mut self, protocol: &'static str) {
        self.event.protocol = protocol;
    }

    /// Decides, and opens the connection to the server.
    pub(super) async fn open(
        &mut self,
        host: &HostName,
        port: u16,
        counts: &Arc<Counts>,
    ) -> Result<TcpStream, Refusal> {
        self.event.target = Some((host.clone(), port));
        self.check_attempts().await?;
        let shared = self.shared;
        let Some(rule) = shared.rules.permitting(host, port) else {
            let reason = if shared.rules.name(host) {
                format!("the policy permits this host, but not port {port}")
            } else {
                "the policy's domains do not name it".to_owned()
            };
            let rule = format!(".domains([{:?}])", rule_for(host, port));
            return Err(self.deny(&reason, Some(&rule), &reason).await);
        };
        self.event.rule = Some(rule.as_str().to_owned());
        let addresses = self.addresses(host, port, rule).await?;
        self.event.address = addresses.first().copied();
        if !self.tell(ConnectionStage::Opening).await {
            let reason = "it could not be recorded";
            return Err(self.deny(reason, None, reason).await);
        }
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.into_iter().take(MAX_TRIED) {
            match timeout(shared.limits.connect_time, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.event.address = Some(address);
                    // Only speed depends on it.
                    let _ = stream.set_nodelay(true);
                    if !shared.open.add(&self.event, counts) {
                        return Err(self.fail("the command has ended").await);
                    }
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(self.fail(&format!("it cannot be reached: {last}")).await)
    }

    /// Where the connection may go: addresses that were resolved once and checked, all of them.
    async fn addresses(
        &mut self,
        host: &HostName,
        port: u16,
        rule: &DomainRule,
    ) -> Result<Vec<SocketAddr>, Refusal> {
        let found: Vec<IpAddr> = match host {
            HostName::Address(address) => vec![*address],
            HostName::Domain(name) => {
                let limit = self.shared.limits.connect_time;
                match timeout(limit, self.shared.resolver.resolve(name)).await {
                    Ok(Ok(found)) => found,
                    Ok(Err(error)) => {
                        return Err(self.fail(&format!("its name cannot be resolved: {error}")).await);
                    }
                    Err(_) => return Err(self.fail("its name was not resolved in time").await),
                }
            }
        };
        if found.is_empty() || found.len() > MAX_ADDRESSES {
            return Err(self.fail(&format!("its name has {} addresses", found.len())).await);
        }
        let refused = found
            .iter()
            .find_map(|address| self.shared.rules.refused(rule, *address, port).map(|kind| (*address, kind)));
        if let Some((address, kind)) = refused {
            let address = address.to_canonical();
            self.event.address = Some(SocketAddr::new(address, port));
            let reason = format!("its name leads to {address}, {kind}");
            let named = rule_for(&HostName::Address(address), port);
            let rule = format!(".domains([{named:?}]), which names the address itself");
            return Err(self
                .deny(&reason, Some(&rule), "its name leads to an address that is not public")
                .await);
        }
        let mut addresses: Vec<SocketAddr> =
            found.iter().map(|address| SocketAddr::new(address.to_canonical(), port)).collect();
        let mut seen = Vec::new();
        addresses.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        Ok(addresses)
    }

    /// A run that asks without end costs the record only so much.
    async fn check_attempts(&mut self) -> Result<(), Refusal> {
        let limit = self.shared.limits.attempts;
        if self.event.attempt <= limit {
            return Ok(());
        }
        let reason = "the run has made more connections than its limit";
        if self.event.attempt == limit.saturating_add(1) {
            return Err(self.deny(reason, None, reason).await);
        }
        Err(Refusal { kind: Kind::Denied, message: reason.to_owned() })
    }

    /// What was asked for cannot be read.
    pub(super) async fn malformed(&mut self, problem: impl std::fmt::Display) -> Refusal {
        if let Err(refusal) = self.check_attempts().await {
            return refusal;
        }
        let reason = format!("the request is refused: {problem}");
        Refusal { kind: Kind::Malformed, ..self.deny(&reason, None, &reason).await }
    }

    async fn deny(&mut self, reason: &str, rule: Option<&str>, told: &str) -> Refusal {
        let target = self.event.target_text();
        let rule = rule.unwrap_or("none: no rule permits that");
        let subject = format!("connect to {target}");
        self.shared.denials.add(Denial::new(Layer::NetworkNamespace, subject, reason, rule));
        self.tell(ConnectionStage::Denied { reason: reason.to_owned() }).await;
        Refusal { kind: Kind::Denied, message: format!("{target}: {told}") }
    }

    async fn fail(&mut self, error: &str) -> Refusal {
        self.tell(ConnectionStage::Failed { error: error.to_owned() }).await;
        Refusal { kind: Kind::Unreachable, message: format!("{}: {error}", self.event.target_text()) }
    }

    /// The connection has ended.
    pub(super) async fn closed(&mut self, counts: &Counts) {
        if self.shared.open.remove(self.event.attempt) {
            self.tell(counts.closed()).await;
        }
    }

    async fn tell(&mut self, stage: ConnectionStage) -> bool {
        self.event.stage = stage;
        match &self.shared.observer {
            None => true,
            Some(observer) => observer.observe(&self.event).await,
        }
    }
}
