//! What confinement promises, where sandboxes wait in a pool for their command.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "support/host.rs"]
mod host;
#[path = "confinement/suite.rs"]
mod suite;

/// How commands are started.
const LAUNCHER: host::Launcher = host::POOL;
