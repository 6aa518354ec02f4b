//! Exports: examples written by hand from the specifications, and any event read back by peers.
#![cfg(feature = "audit-log")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "support/events.rs"]
mod events;
#[path = "export/examples.rs"]
mod examples;
#[cfg(feature = "otlp")]
#[path = "export/otlp.rs"]
mod otlp;
#[path = "export/parsers.rs"]
mod parsers;
#[path = "export/read_back.rs"]
mod read_back;
#[path = "export/schema.rs"]
mod schema;
#[path = "export/tcp.rs"]
mod tcp;
