//! Parts of the kernel that have a history of holes, and that no command needs.

use super::attempts::{Attacker, ENOSYS, EPERM, Outcome, outcomes, words};
use crate::LAUNCHER;
use crate::host::{Host, text};
use codegenie_exec::{DangerousNoSandbox, NativeSandbox, Sandbox, Stdio, TerminalSize};

/// Shows that the filter refuses each, whatever the kernel would say.
async fn refused(names: &str) {
    Host::new(LAUNCHER).all_fail(names, &[]).await.all_fail(names, Some(EPERM));
}

/// 46: TIOCSTI with high bits
#[tokio::test]
async fn pushes_no_input_into_a_terminal() {
    let names = "push_input,push_input_high_bits,console_paste,line_discipline";
    refused(names).await;
    // On a terminal of its own, too. No sandbox that waits has one.
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let request = host
        .attack(&attacker, host.policy(), names, &words([]))
        .stdio(Stdio::Terminal(TerminalSize::default()));
    let output = NativeSandbox::new().unwrap().run(&request).await.unwrap();
    let outcomes = outcomes(&output);
    for name in names.split(',') {
        assert_eq!(outcomes[name], Outcome::Errno(EPERM), "{name}: {}", text(&output));
    }
}

/// 47: io_uring
#[tokio::test]
async fn sets_up_no_io_uring() {
    refused("io_uring").await;
}

/// 48: bpf
#[tokio::test]
async fn loads_no_bpf() {
    refused("load_bpf").await;
}

/// 49: keyctl
#[tokio::test]
async fn uses_no_keys_of_the_kernel() {
    refused("key_control,key_add,key_request").await;
}

/// 50: userfaultfd
#[tokio::test]
async fn handles_no_page_faults() {
    refused("user_faults").await;
}

/// 51: perf, kexec, modules
#[tokio::test]
async fn neither_measures_nor_changes_the_kernel() {
    refused("perf,kexec,load_module,unload_module,set_clock,restart,kernel_log,notify_files,set_personality")
        .await;
}

/// 52: x32
///
/// A kernel without that ABI answers as the filter does.
#[tokio::test]
async fn makes_no_calls_by_x32_numbers() {
    let names = "x32,x32_keyctl";
    Host::new(LAUNCHER).all_fail(names, &[]).await.all_fail(names, Some(ENOSYS));
}

/// 53: int 0x80
#[tokio::test]
async fn makes_no_calls_by_the_gate_of_32_bit_programs() {
    let tried = Host::new(LAUNCHER).all_fail("int_80", &[]).await;
    if cfg!(target_arch = "x86_64") && tried.unconfined["int_80"] == Outcome::Done {
        // SIGSYS: the filter ends the process.
        assert_eq!(tried.confined["int_80"], Outcome::Signal(31));
    }
}

/// Without the sandbox the attacker's program does run: a broken one would prove nothing.
#[tokio::test]
async fn the_attacker_works() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let request = host.attack(&attacker, host.policy(), "read", &words([&host.path("other/precious")]));
    let output = DangerousNoSandbox.run(&request).await.unwrap();
    assert_eq!(outcomes(&output)["read"], Outcome::Done);
    let request = host.attack(&attacker, host.policy(), "read", &words([&"/usr/bin/env"]));
    assert_eq!(outcomes(&LAUNCHER.run(&request).await.unwrap())["read"], Outcome::Done);
}
