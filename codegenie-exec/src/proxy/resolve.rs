//! Turning a name into addresses, in the host.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What [`Resolve::resolve`] returns.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Turns names into addresses for the proxy, which asks once for each connection and connects to what it
/// was told and has checked.
///
/// Only names that a policy permits are asked for. The addresses need no check of the resolver's own.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of a name, which is lowercase and has no trailing dot.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

impl<T: Resolve + ?Sized> Resolve for Arc<T> {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        (**self).resolve(name)
    }
}

/// Look-ups at one time: each occupies a thread of the host's runtime for as long as it takes.
const LOOKUPS: usize = 8;

/// Resolves as the host does: `/etc/hosts`, DNS, whatever it is configured for.
#[derive(Clone, Debug)]
pub struct HostResolver {
    lookups: Arc<Semaphore>,
}

impl Default for HostResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolve for HostResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let closed = |_| io::Error::other("the resolver was closed");
            let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(closed)?;
            let name = name.to_owned();
            // A look-up cannot be cancelled: a task of its own holds the permit until its thread is free, also
            // where nobody waits any more.
            let lookup = tokio::spawn(async move {
                let found = tokio::net::lookup_host((name, 0)).await;
                drop(permit);
                found.map(|addresses| addresses.map(|address| address.ip()).collect())
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}
