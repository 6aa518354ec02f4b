//! Secure editing, through the public interface: what it does, what it refuses, and the laws it keeps.
#![cfg(all(feature = "edit", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "edit/confined.rs"]
mod confined;
#[path = "edit/dress.rs"]
mod dress;
#[path = "edit/gate.rs"]
mod gate;
#[path = "edit/kinds.rs"]
mod kinds;
#[path = "edit/laws.rs"]
mod laws;
#[path = "edit/patches.rs"]
mod patches;
#[path = "edit/place.rs"]
mod place;
#[path = "edit/races.rs"]
mod races;
#[path = "edit/refusals.rs"]
mod refusals;
#[path = "edit/undo.rs"]
mod undo;
