//! Compiles the init program of the native sandbox (`src/native/init/main.rs`): a static program
//! without a C library, which the crate embeds.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(codegenie_native)");
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/native/init");
    println!("cargo::rerun-if-changed=src/native/abi.rs");

    let wanted = env::var_os("CARGO_FEATURE_NATIVE").is_some();
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if !wanted || os != "linux" || !matches!(arch.as_str(), "x86_64" | "aarch64") {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("codegenie-init");
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args([
        "--edition=2024",
        "--crate-type=bin",
        "--crate-name=codegenie_init",
        "src/native/init/main.rs",
    ]);
    rustc.args(["--target", &env::var("TARGET").unwrap_or_default(), "-o"]).arg(&out);
    for option in ["panic=abort", "opt-level=s", "relocation-model=static", "strip=symbols", "debuginfo=0"] {
        rustc.args(["-C", option]);
    }
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"] {
        rustc.args(["-C", &format!("link-arg={argument}")]);
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    match rustc.status() {
        Ok(status) if status.success() => println!("cargo::rustc-cfg=codegenie_native"),
        Ok(status) => {
            println!(
                "cargo::error=the sandbox's init program did not compile ({status}): see rustc's message above"
            );
        }
        Err(error) => {
            println!("cargo::error=rustc, which compiles the sandbox's init program, did not start: {error}")
        }
    }
}
