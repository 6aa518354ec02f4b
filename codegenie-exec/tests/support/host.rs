//! A piece of a host, and how its commands are run: shared by the tests of confinement.
#![allow(dead_code, reason = "each test program uses a part of it")]

use codegenie_exec::{
    DangerousNoSandbox, NativeSandbox, RunOutput, Sandbox, SandboxError, SandboxPolicy, SandboxRequest,
};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How the attacker is compiled.
pub(crate) const ATTACKER_FLAGS: &[&str] = &["-O1", "-pthread"];

/// How commands are started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launcher {
    /// How many sandboxes wait.
    pub(crate) pool: usize,
    /// What the report must name.
    pub(crate) name: &'static str,
}

/// Each sandbox is made for its command.
pub(crate) const DIRECT: Launcher = Launcher { pool: 0, name: "direct" };
/// Sandboxes wait in a pool for their command.
pub(crate) const POOL: Launcher = Launcher { pool: 2, name: "pool" };

impl Launcher {
    pub(crate) fn sandbox(self) -> NativeSandbox {
        NativeSandbox::new().unwrap().pooled(self.pool)
    }

    /// A sandbox that starts the next command under `policy` by this launcher.
    pub(crate) async fn ready(self, policy: &SandboxPolicy) -> NativeSandbox {
        let sandbox = self.sandbox();
        sandbox.prewarm(policy).await.unwrap();
        sandbox
    }

    /// Runs a command by this launcher.
    pub(crate) async fn run(self, request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
        let sandbox = self.sandbox();
        // What the policy lacks is told when the command is started.
        let warm = sandbox.prewarm(&request.policy).await.is_ok();
        let output = sandbox.run(request).await?;
        assert!(warm);
        assert_eq!(output.report.launcher, self.name);
        Ok(output)
    }
}

/// A workspace, and beside it what the agent must not touch.
pub(crate) struct Host {
    pub(crate) root: tempfile::TempDir,
    pub(crate) launcher: Launcher,
}

pub(crate) const SECRET: &str = "the-host-s-secret-8c1f";

impl Host {
    pub(crate) fn new(launcher: Launcher) -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in ["workspace", "home/.ssh", "other"] {
            std::fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        let key = root.path().join("home/.ssh/id_ed25519");
        std::fs::write(&key, SECRET).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(root.path().join("other/precious"), SECRET).unwrap();
        Self { root, launcher }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn policy(&self) -> SandboxPolicy {
        SandboxPolicy::workspace_write(self.path("workspace")).timeout(Duration::from_secs(20))
    }

    pub(crate) fn shell(&self, policy: SandboxPolicy, script: &str) -> SandboxRequest {
        SandboxRequest::new("bash", policy).arg("-c").arg(script)
    }

    pub(crate) async fn confined(&self, script: &str) -> RunOutput {
        self.confined_under(self.policy(), script).await
    }

    pub(crate) async fn confined_under(&self, policy: SandboxPolicy, script: &str) -> RunOutput {
        self.launcher.run(&self.shell(policy, script)).await.unwrap()
    }

    /// The same without the sandbox. Bounded by the script itself and the timeout.
    pub(crate) async fn unconfined(&self, script: &str) -> RunOutput {
        DangerousNoSandbox.run(&self.shell(self.policy(), script)).await.unwrap()
    }
}

/// Arguments that run the helper program of that path in this very executable.
pub(crate) fn helper(path: &str) -> [String; 4] {
    ["--exact".into(), path.into(), "--nocapture".into(), "--include-ignored".into()]
}

pub(crate) fn text(output: &RunOutput) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Waits until `condition` holds; false after a bounded time.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    condition()
}

/// Processes of this machine whose command line holds `marker`.
pub(crate) fn processes_with(marker: &str) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *pid != i32::try_from(std::process::id()).unwrap()
                && String::from_utf8_lossy(&line).contains(marker)
        })
        .collect()
}

/// A number that no other test of this machine has in its processes' command lines.
pub(crate) fn marker() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{:07}{next:03}7", std::process::id())
}

pub(crate) fn parent_of(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:\t")?.parse().ok())
}

/// A process of the host that ends with the value.
pub(crate) struct Bystander(pub(crate) std::process::Child);

impl Bystander {
    pub(crate) fn spawn(command: &mut std::process::Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn sleeping() -> Self {
        Self::spawn(std::process::Command::new("sleep").arg("60"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
