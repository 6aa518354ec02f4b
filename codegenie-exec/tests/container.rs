//! Containers as sandboxes, with a real daemon: `.ci/dockerd cargo test -p codegenie-exec --features
//! container,testing --test container -- --ignored`.
#![cfg(all(target_os = "linux", feature = "container", feature = "native", feature = "testing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "container/abuse.rs"]
mod abuse;
#[path = "abuse/attempts.rs"]
mod attempts;
#[path = "container/confinement.rs"]
mod confinement;
#[path = "container/conformance.rs"]
mod conformance;
#[path = "container/host.rs"]
mod host;
#[path = "container/lifetime.rs"]
mod lifetime;
