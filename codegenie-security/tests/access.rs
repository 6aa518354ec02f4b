//! Policy and sessions through the public interface.
#![cfg(feature = "access")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

#[path = "access/basics.rs"]
mod basics;
#[path = "access/chains.rs"]
#[cfg(feature = "crypto")]
mod chains;
#[path = "access/conditions.rs"]
mod conditions;
#[path = "access/derived.rs"]
mod derived;
#[path = "access/kept.rs"]
mod kept;
#[path = "access/names.rs"]
mod names;
#[path = "access/oracle.rs"]
mod oracle;
#[path = "access/policy_files.rs"]
mod policy_files;
#[path = "access/raised.rs"]
mod raised;
#[path = "access/reloading.rs"]
mod reloading;
#[path = "access/session_file.rs"]
#[cfg(all(feature = "crypto", unix))]
mod session_file;
#[path = "access/times.rs"]
mod times;
#[path = "access/words.rs"]
mod words;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use codegenie_security::{AccessControl, ManualClock, Policy, SessionStore};

/// A Friday, at 08:00 UTC.
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 - 1_800_000_000 % 86_400 + 8 * 3600)
}

fn control(policy: Policy) -> (AccessControl, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(start()));
    (AccessControl::with_sessions(policy, SessionStore::with_clock(clock.clone())), clock)
}
