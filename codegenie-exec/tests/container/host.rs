//! A daemon that the tests are given, and a piece of a host.

use crate::ENGINE;
use codegenie_exec::{
    ContainerSandbox, EnforcementReport, Layer, Requirement, RunOutput, Running, Sandbox, SandboxError,
    SandboxPolicy, SandboxRequest,
};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The image has no libraries.
pub(crate) const ATTACKER_FLAGS: &[&str] = &["-O1", "-pthread", "-static"];

pub(crate) const SECRET: &str = "the-host-s-secret-5d1c";

/// Which engine the tests of a binary are given.
pub(crate) struct Engine {
    /// How the names of its variables start.
    pub(crate) variables: &'static str,
    /// The script that sets them.
    pub(crate) script: &'static str,
    /// Its client program, and the option that names a socket.
    pub(crate) client: [&'static str; 2],
    /// What lists containers' names with the values of a label.
    pub(crate) owners: &'static str,
    /// How many runs are many: some engines take a second for each.
    pub(crate) many: usize,
}

pub(crate) fn variable(name: &str) -> String {
    let name = format!("{}_{name}", ENGINE.variables);
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by {}", ENGINE.script))
}

pub(crate) fn socket() -> PathBuf {
    variable("SOCKET").into()
}

pub(crate) fn image() -> String {
    variable("IMAGE")
}

pub(crate) async fn sandbox() -> ContainerSandbox {
    ContainerSandbox::builder(image()).socket(socket()).connect().await.unwrap()
}

/// What every policy for containers needs.
pub(crate) fn without_landlock(policy: SandboxPolicy) -> SandboxPolicy {
    policy.dangerous_relax(Layer::Landlock, Requirement::Off)
}

/// A sandbox for policies that require Landlock by default, as the kit's do.
pub(crate) struct WithoutLandlock<S>(pub(crate) S);

impl<S: Sandbox> Sandbox for WithoutLandlock<S> {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        let mut request = request.clone();
        request.policy = Arc::new(without_landlock(SandboxPolicy::clone(&request.policy)));
        self.0.start(&request).await
    }
    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        self.0.enforcement(&without_landlock(policy.clone())).await
    }
    fn name(&self) -> &str {
        self.0.name()
    }
}

/// The client program of the daemon, for what the library does not do.
pub(crate) fn client(args: &[&str]) -> String {
    let [program, option] = ENGINE.client;
    let output =
        Command::new(program).arg(option).arg(format!("unix://{}", socket().display())).args(args).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The containers that this process, or the process of that number, has.
pub(crate) fn containers_of(pid: u32) -> Vec<String> {
    let listed = client(&["ps", "-a", "--filter", "label=dev.codegenie.owner", "--format", ENGINE.owners]);
    let of_process = |line: &&str| line.split(':').nth(3) == Some(&pid.to_string());
    listed.lines().filter(of_process).map(str::to_owned).collect()
}

/// Waits until `condition` holds; false after a bounded time.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    condition()
}

/// A workspace that anybody may write, and beside it what the agent must not touch, which file modes would allow it to.
pub(crate) struct Host {
    pub(crate) root: tempfile::TempDir,
    pub(crate) launcher: Launcher,
}

/// Runs commands in containers, as the abuse suite's launchers run theirs.
pub(crate) struct Launcher;

impl Launcher {
    pub(crate) async fn run(&self, request: &SandboxRequest) -> Result<RunOutput, SandboxError> {
        sandbox().await.run(request).await
    }
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

impl Host {
    pub(crate) fn new() -> Self {
        // The tests run as root, whose files commands would not write: what is asserted of the mounts
        // must not follow from the modes.
        rustix::process::umask(rustix::fs::Mode::empty());
        let root = tempfile::tempdir().unwrap();
        open(root.path());
        for dir in ["workspace", "other"] {
            std::fs::create_dir(root.path().join(dir)).unwrap();
        }
        std::fs::write(root.path().join("other/precious"), SECRET).unwrap();
        Self { root, launcher: Launcher }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn policy(&self) -> SandboxPolicy {
        let policy = SandboxPolicy::workspace_write(self.path("workspace"));
        without_landlock(policy).timeout(Duration::from_secs(60))
    }

    pub(crate) fn shell(&self, script: &str) -> SandboxRequest {
        self.shell_under(self.policy(), script)
    }

    pub(crate) fn shell_under(&self, policy: SandboxPolicy, script: &str) -> SandboxRequest {
        SandboxRequest::new("sh", policy).args(["-c", script])
    }

    pub(crate) async fn run(&self, script: &str) -> RunOutput {
        sandbox().await.run(&self.shell(script)).await.unwrap()
    }
}

pub(crate) fn open(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

pub(crate) fn text(output: &RunOutput) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
