//! A process that is killed at any of its system calls, while it edits, undoes or recovers, leaves all of the
//! transaction or nothing. And what is mounted in a workspace is not edited: that too takes a process of its own.
//!
//! This program is its own victim: as a child it stops itself, and from there on the parent lets it go from one
//! system call to the next and kills it at the one whose turn it is.
#![cfg_attr(
    target_os = "linux",
    allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")
)]

#[cfg(all(feature = "edit", target_os = "linux"))]
#[path = "edit/crash.rs"]
mod crash;

fn main() {
    #[cfg(all(feature = "edit", target_os = "linux"))]
    crash::main();
}
