//! The conformance kit over our sandboxes, and over broken ones, which it must catch.

#![cfg(all(feature = "testing", feature = "native", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, which fail by panicking"
)]

use codegenie_exec::testing::{self, ConformanceError, Options};
use codegenie_exec::{
    DangerousNoSandbox, DynSandbox, EnforcementReport, Layer, LayerStatus, NativeSandbox, Requirement,
    RunOutput, Running, Sandbox, SandboxError, SandboxPolicy, SandboxRequest, Shell,
};
use std::sync::Arc;
use tempfile::TempDir;

/// Not in `/tmp`, which a sandbox replaces by its own anyway.
fn directory() -> TempDir {
    tempfile::tempdir_in("/var/tmp").unwrap()
}

async fn confines(sandbox: impl Sandbox) {
    let directory = directory();
    if let Err(error) = testing::sandbox(&sandbox, &Options::confining(directory.path())).await {
        panic!("{error}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the kit leaves nothing behind");
}

fn native() -> NativeSandbox {
    NativeSandbox::new().unwrap()
}

#[tokio::test]
async fn native_sandbox() {
    confines(native()).await;
}

#[tokio::test]
async fn native_sandbox_by_reference() {
    confines(&native()).await;
}

#[tokio::test]
async fn native_sandbox_in_an_arc() {
    confines(Arc::new(native())).await;
}

#[tokio::test]
async fn native_sandbox_in_a_box() {
    confines(Box::new(native())).await;
}

#[tokio::test]
async fn native_sandbox_erased() {
    confines(DynSandbox::new(native())).await;
}

#[tokio::test]
async fn native_sandbox_with_a_pool() {
    confines(native().pooled(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn native_sandbox_on_several_threads() {
    confines(native()).await;
}

#[tokio::test]
async fn running_without_a_sandbox_keeps_the_laws_of_running() {
    let directory = directory();
    testing::sandbox(&DangerousNoSandbox, &Options::not_confining(directory.path())).await.unwrap();
}

/// What is wrong with a sandbox.
#[derive(Clone, Copy)]
enum Fault {
    LeaksEnvironment,
    SwallowsStderr,
    ForgetsStdin,
    JoinsArguments,
    ClaimsConfinement,
    HidesFailure,
    IgnoresTimeout,
    IgnoresOutputLimit,
    LeavesRunning,
    NamesAnotherShell,
}

/// A sandbox that runs by another one, and breaks a law.
struct Broken<S>(S, Fault);

impl<S: Sandbox> Sandbox for Broken<S> {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        let mut request = request.clone();
        let mut policy = (*request.policy).clone();
        match self.1 {
            Fault::LeaksEnvironment => policy = policy.env("OF_THE_HOST", "secret"),
            Fault::ForgetsStdin => request.stdin.clear(),
            Fault::JoinsArguments if request.args.len() > 2 => {
                let last: Vec<String> =
                    request.args.split_off(2).iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
                request = request.arg(last.join(" "));
            }
            Fault::IgnoresTimeout => policy.limits.timeout = std::time::Duration::from_secs(60),
            Fault::IgnoresOutputLimit => policy.limits.output_bytes *= 10,
            Fault::SwallowsStderr => {
                let script = std::ffi::OsString::from("exec \"$@\" 2>/dev/null");
                let mut args = vec!["-c".into(), script, "sh".into(), request.program];
                args.append(&mut request.args);
                (request.program, request.args) = ("sh".into(), args);
            }
            Fault::LeavesRunning => {
                let script = "\"$@\" & wait $!";
                if request.args.iter().any(|arg| arg.to_string_lossy().contains(">> dropped")) {
                    let mut args = vec!["-c".into(), script.into(), "sh".into(), request.program];
                    args.append(&mut request.args);
                    (request.program, request.args) = ("sh".into(), args);
                }
            }
            _ => {}
        }
        request.policy = Arc::new(policy);
        let mut running = self.0.start(&request).await?;
        if let Fault::ClaimsConfinement = self.1 {
            let mut report = EnforcementReport::new(self.name(), "claim");
            for layer in Layer::ALL {
                report = report.layer(layer, Requirement::Required, LayerStatus::Full, "claimed");
            }
            running = Running::new(Passing(running), report);
        }
        Ok(running)
    }

    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        match self.1 {
            Fault::ClaimsConfinement => {
                let request = SandboxRequest::new("true", policy.clone());
                Ok(self.start(&request).await?.report().clone())
            }
            _ => self.0.enforcement(policy).await,
        }
    }

    async fn run(&self, request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
        let mut output = self.start(request).await?.collect().await?;
        if let (Fault::HidesFailure, codegenie_exec::EndReason::Exited(_)) = (self.1, output.status.reason) {
            output.status.reason = codegenie_exec::EndReason::Exited(0);
        }
        Ok(output)
    }

    async fn shell(&self, policy: &SandboxPolicy) -> Result<Option<Shell>, SandboxError> {
        match self.1 {
            Fault::NamesAnotherShell => Ok(Some(Shell::Bash("/bin/true".into()))),
            _ => self.0.shell(policy).await,
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

/// A running command under another report.
struct Passing(Running);

impl codegenie_exec::SandboxProcess for Passing {
    fn poll_output(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<codegenie_exec::OutputChunk>> {
        std::pin::pin!(self.0.next_output()).poll(cx)
    }
    fn poll_end(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<codegenie_exec::SandboxStatus, SandboxError>> {
        std::pin::pin!(self.0.wait()).poll(cx)
    }
    fn kill(&mut self) {
        self.0.kill();
    }
}

async fn broken_law(fault: Fault, confines: bool) -> &'static str {
    let directory = directory();
    let mut options = Options::not_confining(directory.path());
    options.confines = confines;
    let result: Result<(), ConformanceError> =
        testing::sandbox(&Broken(DangerousNoSandbox, fault), &options).await;
    let error = result.expect_err("the kit must catch it");
    println!("{error}");
    error.law()
}

#[tokio::test]
async fn broken_sandboxes_are_caught() {
    assert_eq!(broken_law(Fault::LeaksEnvironment, false).await, "environment");
    assert_eq!(broken_law(Fault::SwallowsStderr, false).await, "output");
    assert_eq!(broken_law(Fault::ForgetsStdin, false).await, "stdin");
    assert_eq!(broken_law(Fault::JoinsArguments, false).await, "argv");
    assert_eq!(broken_law(Fault::HidesFailure, false).await, "exit");
    assert_eq!(broken_law(Fault::NamesAnotherShell, false).await, "shell");
}

#[tokio::test]
async fn a_claim_of_confinement_is_put_to_the_test() {
    assert_eq!(broken_law(Fault::ClaimsConfinement, true).await, "read");
}

#[tokio::test]
async fn ignored_limits_are_caught() {
    assert_eq!(broken_law(Fault::IgnoresOutputLimit, false).await, "output limit");
    assert_eq!(broken_law(Fault::IgnoresTimeout, false).await, "timeout");
}

#[tokio::test]
async fn a_command_that_goes_on_after_the_drop_is_caught() {
    assert_eq!(broken_law(Fault::LeavesRunning, false).await, "drop");
}

/// Prints 13 bytes and ends, and is read only then, under a limit of so many bytes.
async fn read_late(sandbox: impl Sandbox, limit: u64) -> codegenie_exec::SandboxStatus {
    let directory = directory();
    let mut policy = SandboxPolicy::workspace_write(directory.path());
    policy.limits.output_bytes = limit;
    let script = "echo twelve bytes; echo done > done";
    let running = sandbox.start(&SandboxRequest::new("sh", policy).args(["-c", script])).await.unwrap();
    while !directory.path().join("done").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // The file is there before the shell has ended: a command that starts now ends after it.
    sandbox
        .run(&SandboxRequest::new("sleep", SandboxPolicy::workspace_write(directory.path())).arg("1"))
        .await
        .unwrap();
    running.collect().await.unwrap().status
}

#[tokio::test]
async fn output_that_is_read_after_the_end_counts() {
    assert_eq!(read_late(native(), 100).await.usage.output_bytes, 13);
    assert_eq!(read_late(native(), 5).await.reason, codegenie_exec::EndReason::OutputLimit);
    let unconfined = read_late(DangerousNoSandbox, 5).await;
    assert_eq!(unconfined.reason, codegenie_exec::EndReason::OutputLimit);
}
