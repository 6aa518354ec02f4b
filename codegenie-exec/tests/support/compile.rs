//! Programs in C for tests that make system calls of their own.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Compiles a C program or library.
pub(crate) fn compile(source: &str, flags: &[&str], to: &Path) {
    let mut compiler = Command::new("cc")
        .args(["-w", "-x", "c", "-o"])
        .arg(to)
        .args(flags)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .expect("the tests need a C compiler, as the build does");
    compiler.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success());
}
