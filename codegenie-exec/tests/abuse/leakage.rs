//! What leaks from the host into the command, and from the command to the host.

use super::attempts::{Attacker, compile};
use crate::LAUNCHER;
use crate::host::{Host, SECRET, helper, text};
use codegenie_exec::{SandboxPolicy, SandboxRequest};
use std::process::Command;
use std::time::Duration;

/// A host that runs `script` confined, started by `prepare`d means. What it prints.
fn nested(command: &mut Command, host: &Host, script: &str) -> String {
    let output = command
        .env("CODEGENIE_WORKSPACE", host.path("workspace"))
        .env("CODEGENIE_SCRIPT", script)
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Not a test: a host that runs a script confined, with whatever it has inherited.
#[tokio::test]
#[ignore = "a helper program of the tests of leakage, which run it"]
async fn helper_runs_a_script() {
    let (Ok(workspace), Ok(script)) =
        (std::env::var("CODEGENIE_WORKSPACE"), std::env::var("CODEGENIE_SCRIPT"))
    else {
        return;
    };
    let policy = SandboxPolicy::workspace_write(workspace).timeout(Duration::from_secs(20));
    let request = SandboxRequest::new("bash", policy).arg("-c").arg(script);
    let output = LAUNCHER.run(&request).await.unwrap();
    println!("confined: {:?} {}", output.status.reason, text(&output).escape_debug());
}

const HELPER: &str = "abuse::leakage::helper_runs_a_script";

/// 64: inherited fds
#[tokio::test]
async fn inherits_no_descriptor() {
    let host = Host::new(LAUNCHER);
    let secret = host.path("other/precious");
    let script = "cat <&9; cat /proc/self/fd/9; cat <&33; ls /proc/self/fd | wc -l";
    let open = |rest: &str| format!("exec 9< '{0}' 33< '{0}'; {rest}", secret.display());
    assert_eq!(text(&host.unconfined(&open(script)).await).matches(SECRET).count(), 3);

    let exe = std::env::current_exe().unwrap();
    let mut command = Command::new("bash");
    command.arg("-c").arg(open("exec \"$@\"")).arg("bash").arg(&exe).args(helper(HELPER));
    let told = nested(&mut command, &host, script);
    assert!(told.contains("confined: Exited(0)") && !told.contains(SECRET), "{told}");
    // The three streams, and what `ls` opens itself.
    assert!(told.contains("4\\n"), "{told}");
}

/// 65: env secrets
#[tokio::test]
async fn inherits_no_environment() {
    let host = Host::new(LAUNCHER);
    let script = "env; cat /proc/self/environ /proc/1/environ /proc/$PPID/environ | tr '\\0' '\\n'";
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).env("AWS_SECRET_ACCESS_KEY", SECRET);
    assert!(nested(&mut bash, &host, "").contains(SECRET));

    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(helper(HELPER)).env("AWS_SECRET_ACCESS_KEY", SECRET);
    let told = nested(&mut command, &host, script);
    assert!(told.contains("confined: ") && !told.contains(SECRET), "{told}");
    assert!(told.contains("HOME=") && !told.contains("CODEGENIE_SCRIPT="), "{told}");
}

/// 66: LD_PRELOAD, BASH_ENV, GIT_*
#[tokio::test]
async fn is_not_led_by_the_host_s_environment() {
    let host = Host::new(LAUNCHER);
    let library = host.path("other/evil.so");
    compile(
        "#include <unistd.h>\n__attribute__((constructor)) static void evil(void) { write(1, \"preloaded\\n\", 10); }",
        &["-shared", "-fPIC"],
        &library,
    );
    let startup = host.path("workspace/startup");
    std::fs::write(&startup, "echo sourced\n").unwrap();
    let lead = |command: &mut Command| {
        command
            .env("LD_PRELOAD", &library)
            .env("BASH_ENV", &startup)
            .env("ENV", &startup)
            .env("GIT_SSH_COMMAND", "echo led")
            .env("PROMPT_COMMAND", "echo led")
            .env("BASH_FUNC_true%%", "() { echo shadowed; }");
    };
    // The sandbox's own say only which folders git trusts.
    let script = "true; env | grep -E 'GIT_|LD_|BASH_' | grep -v ^GIT_CONFIG_; echo ran";
    let mut bash = Command::new("bash");
    bash.args(["-c", script]);
    lead(&mut bash);
    let told = nested(&mut bash, &host, "");
    for sign in ["preloaded", "sourced", "shadowed", "GIT_SSH_COMMAND"] {
        assert!(told.contains(sign), "{sign}: {told}");
    }
    // The host itself is led; its command is not.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(helper(HELPER));
    lead(&mut command);
    let told = nested(&mut command, &host, script);
    assert!(told.contains("confined: Exited(0) ran\\n"), "{told}");
}

/// 67: terminal escapes in output
///
/// Output comes as bytes, for the host to show or not; the host's own terminal is out of reach.
#[tokio::test]
async fn writes_nothing_to_the_host_s_terminal() {
    let host = Host::new(LAUNCHER);
    let attacker = Attacker::get();
    let escape = "\\033]0;owned\\007";
    let script = format!(
        "for t in /dev/tty /dev/pts/* /dev/console /proc/1/fd/0 /proc/1/fd/2; do printf '{escape}' > $t; done 2>/dev/null; \
         tty; printf '{escape}'"
    );
    let on_terminal = |rest: &[&str]| {
        let mut command = Command::new(attacker.path());
        command.arg("on_terminal").args(rest);
        command
    };
    let first = format!("printf '{escape}' > /dev/tty");
    let told = nested(&mut on_terminal(&["/bin/bash", "-c", &first]), &host, "");
    assert!(told.contains("\u{1b}]0;owned"), "{told:?}");

    let exe = std::env::current_exe().unwrap();
    let mut rest = vec![exe.to_str().unwrap().to_owned()];
    rest.extend(helper(HELPER));
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let told = nested(&mut on_terminal(&rest), &host, &script);
    assert!(told.contains("confined: Exited(0)") && told.contains("not a tty"), "{told:?}");
    assert!(!told.contains("\u{1b}]0;owned"), "{told:?}");
    // What it printed itself is there, unchanged, in the output.
    assert!(told.contains("\\u{1b}]0;owned\\u{7}"), "{told:?}");
}
