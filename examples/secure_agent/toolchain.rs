//! Lets the sandbox read the Rust toolchain of the user who runs the example, where there is one:
//! the programs and the downloaded sources, not the credentials that lie beside them.

use codegenie_exec::SandboxPolicy;
use std::path::PathBuf;
use std::process::Command;

fn sysroot() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).current_dir("/").output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (output.status.success() && path.join("bin/cargo").exists()).then_some(path)
}

fn cargo_home() -> Option<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// Whether the sandbox will have a cargo.
pub(crate) fn cargo_is_readable() -> bool {
    sysroot().is_some()
}

/// Adds the toolchain to a policy.
pub(crate) fn grant(mut policy: SandboxPolicy) -> SandboxPolicy {
    let Some(sysroot) = sysroot() else { return policy };
    let inherited = policy.environment.get("PATH").cloned().unwrap_or_default();
    policy = policy.env("PATH", format!("{}/bin:{inherited}", sysroot.display()));
    if let Some(home) = cargo_home() {
        for part in ["registry", "git"].map(|part| home.join(part)).into_iter().filter(|part| part.is_dir()) {
            policy = policy.read(part);
        }
        policy = policy.env("CARGO_HOME", home.display().to_string());
    }
    // Wherever a system already shows the toolchain there is nothing to grant.
    if sysroot.starts_with("/usr") { policy } else { policy.read(sysroot) }
}
