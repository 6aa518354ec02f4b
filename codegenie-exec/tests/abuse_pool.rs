//! The abuse suite, where sandboxes wait in a pool for their command.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "abuse/suite.rs"]
mod abuse;
#[path = "support/host.rs"]
mod host;

/// How commands are started.
const LAUNCHER: host::Launcher = host::POOL;
