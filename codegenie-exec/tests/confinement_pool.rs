//! What an injected agent would try, where sandboxes wait in a pool for their command.
#![cfg(all(target_os = "linux", feature = "native"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "confinement/suite.rs"]
mod suite;

/// How many sandboxes wait.
const POOL: usize = 2;
/// What the report must name.
const LAUNCHER: &str = "pool";
