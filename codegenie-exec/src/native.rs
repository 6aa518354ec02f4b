//! The native Linux sandbox.
//!
//! The host writes down every system call of the confinement as a *plan* (`confine.rs`), starts a
//! two-kilobyte init program in new namespaces without forking itself (`launch.rs`), and init
//! carries the plan out (`init/main.rs`): it builds the view, forks the command's process, which
//! drops everything and executes the program, and stays as PID 1 of the tree. A pool (`pool.rs`)
//! does so ahead of time: there the confined process waits for what it shall execute.

mod abi;
mod bpf;
mod cgroup;
mod confine;
mod control;
mod identity;
mod landlock;
mod launch;
mod message;
mod mounts;
mod network;
mod plan;
mod pool;
mod process;
mod refusals;
mod report;
mod seccomp;
mod start;
mod streams;
mod sys;
mod terminal;
mod witness;

pub(crate) use crate::lock::{Locked, try_lock};
pub(crate) use crate::xattr::{attribute, attributes, set_attribute};

use self::cgroup::Groups;
use self::identity::OwnerMaps;
use self::network::Wiring;
use self::pool::Pool;
use self::process::{Grouped, NativeProcess};
use self::start::{Confined, Parts};
use crate::proxy::{ProxyLimits, Resolve};
use crate::sandbox::{EnforcementReport, Running, Sandbox, SandboxError, SandboxPolicy, SandboxRequest};
use crate::view::System;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The init program, compiled by the build script.
static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/codegenie-init"));

/// Confines commands by the kernel's own means: namespaces, mounts, Landlock, seccomp, limits.
///
/// Works in process, without a helper program to install, as an ordinary user (where user
/// namespaces are allowed) and as root; as root the command runs as an id that owns nothing on the
/// machine. Needs Linux 5.12 or later for any, and 6.12 for all of what it enforces; a layer that
/// the policy requires and the machine lacks is an error, and nothing runs.
///
/// Cloning shares the prepared parts. Its futures need a tokio runtime with I/O and time enabled.
#[derive(Clone, Debug)]
pub struct NativeSandbox {
    parts: Arc<Parts>,
    pool: Option<Arc<Pool>>,
    wiring: Wiring,
}

impl NativeSandbox {
    /// Prepares a sandbox for this machine: among others it keeps the small files of `/etc` that
    /// commands will see. Nothing is confined yet: what this machine can enforce shows when a command is started, or by [`Sandbox::enforcement`].
    pub fn new() -> Result<Self, SandboxError> {
        let init = plan::sealed_file(c"codegenie-init", |file| file.write_all(INIT))
            .and_then(read_only)
            .and_then(sys::above_init_range)
            .map_err(|error| SandboxError::system("cannot put the init program into a memory file", error))?;
        let last_capability = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|last| *last < 64)
            .ok_or_else(|| {
                SandboxError::system(
                    "cannot read /proc/sys/kernel/cap_last_cap; mount /proc",
                    io::Error::from(io::ErrorKind::InvalidData),
                )
            })?;
        let parts = Parts {
            init,
            system: System::look(),
            owners: OwnerMaps::default(),
            landlock_abi: sys::landlock_abi().ok(),
            last_capability,
            groups: Arc::new(Groups::look()),
            witnessed: Mutex::default(),
        };
        Ok(Self { parts: Arc::new(parts), pool: None, wiring: Wiring::default() })
    }

    /// Sets who resolves names, where a policy permits some hosts ([`Network::Domains`]). Without, names
    /// are resolved as the host resolves them.
    ///
    /// [`Network::Domains`]: crate::Network::Domains
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.wiring.resolver = Arc::new(resolver);
        self
    }

    /// Sets what the connections of one command may cost the host.
    #[must_use]
    pub fn proxy_limits(mut self, limits: ProxyLimits) -> Self {
        self.wiring.limits = limits;
        self
    }

    /// Keeps `size` sandboxes ready for each of the last few policies that were used, so that a command
    /// need not wait for its confinement. Each is made for one policy exactly as it would be
    /// without a pool, is used for one command, and is private to it; a thread makes new ones in
    /// the background. One that no longer shows what the policy grants, because a granted path was
    /// replaced meanwhile, is thrown away.
    ///
    /// A policy with a copy-on-write workspace gets none: one that waits would keep the workspace from others.
    ///
    /// A sandbox that waits costs two sleeping processes and about 100 KiB. They end with the last clone
    /// of this value.
    #[must_use]
    pub fn pooled(self, size: usize) -> Self {
        let pool = (size > 0).then(|| Pool::new(Arc::clone(&self.parts), size));
        Self { pool, ..self }
    }

    /// Makes the pool's sandboxes for `policy` now rather than at its first use, and waits for them.
    /// Does nothing without a pool.
    pub async fn prewarm(&self, policy: &SandboxPolicy) -> Result<(), SandboxError> {
        let Some(pool) = self.pool.clone() else { return Ok(()) };
        let policy = policy.clone();
        blocking(move || pool.fill(&start::resolved(&policy)?)).await
    }
}

fn check_runtime() -> Result<(), SandboxError> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Ok(());
    }
    let error = io::Error::other("call it from a tokio runtime with I/O and time enabled");
    Err(SandboxError::system("the native sandbox has no runtime", error))
}

/// Runs what waits for the kernel where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    check_runtime()?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| SandboxError::system("the starting thread ended", io::Error::other(error)))?
}

/// A file that is open for writing cannot be executed.
fn read_only(file: OwnedFd) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.into())
}

impl Sandbox for NativeSandbox {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        check_runtime()?;
        let since = Instant::now();
        let watched = |error| SandboxError::system("cannot watch the command", error);
        let order = self.parts.look(request)?;
        let sent = match &self.pool {
            Some(pool) => order.send(pool)?,
            None => None,
        };
        let (confined, told) = match sent {
            Some(sent) => {
                let told = process::listen(&sent.confined.started).map_err(watched)?;
                (sent.started(&told, &request.program).await?, told)
            }
            None => {
                let parts = Arc::clone(&self.parts);
                let confined = blocking(move || parts.start(&order)).await?;
                let told = process::listen(&confined.started).map_err(watched)?;
                (confined, told)
            }
        };
        // The group is dropped last: it can be removed when nothing is in it.
        let Confined { group, mut started, outside, report } = confined;
        let place = started.passed.iter().position(|(which, _)| *which == network::LISTENER);
        let listener = place.map(|place| started.passed.swap_remove(place).1);
        // What the command connects to meanwhile waits in the listener's queue.
        let proxy = self
            .wiring
            .serve(&request.policy.network, listener, request.observer.clone())
            .map_err(|error| SandboxError::system("cannot serve the command's connections", error))?;
        let process = NativeProcess::supervise(
            started,
            told,
            group.map(|group| Grouped::new(group, &self.parts.groups)),
            outside,
            &request.policy.limits,
            since,
        )
        .map_err(watched)?;
        Ok(Running::new(process.with_proxy(proxy), report))
    }

    /// A witness is confined under the policy, tries what the layers must stop, and ends. An
    /// attempt that is not stopped is in the report as such. What it found is kept for the last few policies, for
    /// as long as they show the same.
    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        let (parts, policy) = (Arc::clone(&self.parts), policy.clone());
        blocking(move || parts.witness(&policy)).await
    }

    fn name(&self) -> &str {
        report::NAME
    }
}
