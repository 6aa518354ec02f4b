//! Containers as sandboxes, over the APIs of Docker and Podman.
//!
//! A command gets a container of its own: made and compared with what was asked for (`docker.rs`, `podman.rs`),
//! attached to (`attach.rs`), started, seen to its end (`process.rs`) and removed. What a policy means there is in
//! `confinement.rs`.

mod attach;
mod comparison;
mod confinement;
mod daemon;
mod docker;
mod http;
mod owned;
mod owner;
mod podman;
mod process;
mod program;
mod removal;
mod report;
mod seccomp;
mod witness;

use self::attach::Attached;
use self::confinement::{Confinement, Settings, is_terminal};
use self::daemon::{Daemon, Engine, Image, of_daemon, status};
use self::owned::{NotMade, Owned};
use self::owner::Owner;
use self::process::ContainerProcess;
use self::program::Programs;
use crate::sandbox::{
    EnforcementReport, Running, Sandbox, SandboxError, SandboxErrorKind, SandboxPolicy, SandboxRequest, Stdio,
};
use bollard::errors::Error;
use bollard::query_parameters::StartContainerOptions;
use std::fmt::Write;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a witness may take.
const WITNESS_TIME: Duration = Duration::from_secs(30);

/// Confines commands in containers of a Docker daemon or a Podman service on this machine, each command in one of its
/// own.
///
/// The root file system is an image's, read-only; what the policy grants of the host is mounted at the same paths, and
/// what it hides is masked. All capabilities are dropped, privileges cannot be gained, there is no network, and the user
/// is the owner of the first writable path, or 65534 where that is root: then the path's mode must let others
/// write. The seccomp profile has the native sandbox's rules.
///
/// What containers cannot do is refused or reported, layer by layer:
/// - **Landlock** is nothing that a daemon sets. A policy requires it by default, and is refused until it relaxes the
///   layer: `policy.dangerous_relax(Layer::Landlock, Requirement::Off)`.
/// - The user namespace is partial, but for a rootless daemon or one that maps users.
/// - [`Network::Domains`](crate::Network::Domains) and copy-on-write workspaces are refused.
/// - A loopback is always up; a policy without one is reported as partial.
/// - Programs, arguments, variables and paths must be UTF-8, since the API takes text; others are refused.
/// - A signal's end cannot be told from an exit with 128 and the signal's number: both are told as the signal.
///   A program that cannot be executed for another reason than its absence or mode ends with 126 or 127.
/// - The container's init has the command's user and no privileges: a command can spoil it, which ends the container or
///   keeps it until a limit.
/// - Only the wall-clock time and the output are told as used.
/// - A granted path is mounted by its name. It is looked at right before, but who can rename it in that moment decides
///   what the daemon mounts.
///
/// Podman, from version 4.3 on, is asked by its own API, and what it gave to the OCI runtime is compared with what was asked
/// for before the command starts. So the host must be able to read that: be root, or the service's user. It cannot do
/// everything that Docker can, and the report says so:
/// - `HOSTNAME` is always set, to `sandbox` unless the policy sets it: the environment is partial.
/// - The number of files in `/tmp` is not limited, but for what the memory limits: the resource limits are partial.
/// - A rootless service on control groups of version 1, or without controllers that were delegated to it, limits neither
///   memory nor processes: the control groups are unavailable, and [`Signal::Stop`](crate::Signal::Stop) is an error.
/// - A rootless service's own user keeps its number, and so what it owns. Any other is nobody of the machine's, who
///   writes where a path's mode lets others write. A policy that grants the host's network is refused, since all of the
///   host's `/sys` would be shown.
/// - Podman 4 does not always learn that it was the memory that ended a command: then signal 9 is told.
/// - Podman 4 takes no runtime for one container: [`runtime`](ContainerSandboxBuilder::runtime) names the service's own, or
///   nothing runs.
///
/// Whoever may use a daemon's socket is root of the machine, or the user whose rootless daemon it is: the host is, and a
/// command must never be. Policies that show the socket of a known daemon are refused.
///
/// A container ends and is removed when its [`Running`] is dropped, also outside of a runtime: by a thread, for which the
/// drop waits until the daemon has the request, a tenth of a second at the most. What a daemon does not remove then, and
/// the containers of a host that was killed, stay until another host connects: see [`sweep`](Self::sweep).
///
/// Cloning shares the connection. Its futures need a tokio runtime with I/O and time enabled.
#[derive(Clone, Debug)]
pub struct ContainerSandbox {
    daemon: Daemon,
    image: Image,
    settings: Settings,
    owner: Owner,
    programs: Arc<Programs>,
}

/// How a [`ContainerSandbox`] is set up.
#[derive(Clone, Debug)]
#[must_use]
pub struct ContainerSandboxBuilder {
    image: String,
    socket: Option<PathBuf>,
    may_pull: bool,
    settings: Settings,
}

impl ContainerSandboxBuilder {
    /// Sets the daemon's Unix socket, Docker's or Podman's. Without, `DOCKER_HOST` or `CONTAINER_HOST` names it, or it is at
    /// one of the usual places, Docker's first.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// Sets the OCI runtime by the name that the daemon has for it: `runsc`, `kata`. Without, it is the daemon's own.
    pub fn runtime(mut self, name: impl Into<String>) -> Self {
        self.settings.runtime = Some(name.into());
        self
    }

    /// Sets the numbers of the commands' user and group, neither of them 0. Without, they are those of the first writable
    /// path's owner, or 65534.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.settings.user = Some((uid, gid));
        self
    }

    /// Lets the daemon fetch the image from its registry where it is missing. Without, nothing is fetched.
    pub fn pull(mut self, allowed: bool) -> Self {
        self.may_pull = allowed;
        self
    }

    /// Uses the daemon's default seccomp profile in the place of ours, which the report then tells as partial. It allows
    /// what is listed, where ours refuses what is listed; depending on its version it lets commands trace each other,
    /// use io_uring and make set-user-id files.
    pub fn daemon_seccomp(mut self, used: bool) -> Self {
        self.settings.daemon_seccomp = used;
        self
    }

    /// Connects to the daemon, looks for the image, and removes containers of hosts that are gone.
    pub async fn connect(self) -> Result<ContainerSandbox, SandboxError> {
        check_runtime()?;
        if self.settings.user.is_some_and(|(uid, gid)| uid == 0 || gid == 0) {
            return Err(SandboxError::invalid_request(
                "commands do not run as root: name another user and group",
            ));
        }
        let socket = match self.socket {
            Some(socket) => socket,
            None => daemon::default_socket()?,
        };
        let daemon = Daemon::connect(&socket).await?;
        let image = daemon.image(&self.image, self.may_pull).await?;
        let owner = Owner::this();
        let sandbox =
            ContainerSandbox { daemon, image, settings: self.settings, owner, programs: Arc::default() };
        sandbox.sweep().await?;
        Ok(sandbox)
    }
}

impl ContainerSandbox {
    /// A sandbox whose containers are made of `image`, which the daemon has: by name and tag or by digest. What the name
    /// stands for is looked up once. The image has no volumes.
    pub fn builder(image: impl Into<String>) -> ContainerSandboxBuilder {
        ContainerSandboxBuilder {
            image: image.into(),
            socket: None,
            may_pull: false,
            settings: Settings::default(),
        }
    }

    /// Removes the containers of hosts of this machine that are gone, those that were killed, and tells how many there
    /// were. Done once at [`connect`](ContainerSandboxBuilder::connect). Containers of hosts that may live, such as those
    /// in another PID namespace, are left alone.
    pub async fn sweep(&self) -> Result<usize, SandboxError> {
        self.daemon.sweep(&self.owner).await
    }

    /// Makes a container, which is removed with the value, and is as it was asked for.
    async fn make(&self, confinement: &Confinement, request: &SandboxRequest) -> Result<Owned, SandboxError> {
        let name = unguessable_name()?;
        let labels = owner::labels(&self.owner);
        let (daemon, image, settings) = (&self.daemon, &self.image, &self.settings);
        let (owned, checked) = match daemon.facts.engine {
            Engine::Docker => {
                let body = docker::body(confinement, request, daemon, image, settings, labels)?;
                let making = docker::create(daemon.clone(), name.clone(), body.clone());
                let owned = self.own(&name, making).await?;
                (owned, docker::check(daemon, &name, &body).await)
            }
            Engine::Podman => {
                let spec = podman::spec(confinement, request, daemon, image, settings, &name, labels)?;
                let profile = confinement.profile.as_deref();
                let making = podman::create(daemon.clone(), spec.clone(), confinement.profile.clone());
                let owned = self.own(&name, making).await?;
                (owned, podman::check(daemon, &name, &spec, profile).await)
            }
        };
        match checked {
            Ok(()) => Ok(owned),
            Err(error) => {
                owned.remove(daemon).await;
                Err(error)
            }
        }
    }

    /// The container of that name, when it has been made. By a task: when the caller gives up meanwhile, it is made all
    /// the same, and removed here. Owned from before the daemon is asked, whose answer may be lost.
    async fn own(
        &self,
        name: &str,
        making: impl Future<Output = Result<(), NotMade>> + Send + 'static,
    ) -> Result<Owned, SandboxError> {
        let owned = Owned::coming(self.daemon.remover(name));
        let making = tokio::spawn(async move {
            let made = making.await;
            owned.made(made)
        });
        making
            .await
            .map_err(|error| SandboxError::system("the making task ended", io::Error::other(error)))?
    }

    /// Attaches to a container that has been made, and starts it.
    async fn set_off(
        &self,
        confinement: &Confinement,
        request: &SandboxRequest,
        name: &str,
    ) -> Result<Attached, SandboxError> {
        self.programs.check(&self.daemon, name, confinement, request).await?;
        // Without the keys by which a terminal would be left, where they can be taken away: they are the command's.
        let keys = if self.daemon.facts.engine == Engine::Podman { "&detachKeys=" } else { "" };
        let path = format!(
            "{}/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1{keys}",
            self.daemon.version
        );
        let attached =
            attach::attach(&self.daemon.socket, &path, is_terminal(request)).await.map_err(|error| {
                SandboxError::system("cannot connect the command's streams; nothing was run", error)
            })?;
        self.daemon
            .docker
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(|error| of_start(error, request))?;
        if let Stdio::Terminal(size) = request.stdio {
            // A command that has ended already needs none.
            let _ = self.daemon.docker.resize_container_tty(name, process::window(size)).await;
        }
        Ok(attached)
    }
}

fn check_runtime() -> Result<(), SandboxError> {
    if tokio::runtime::Handle::try_current().is_ok() {
        return Ok(());
    }
    let error = io::Error::other("call it from a tokio runtime with I/O and time enabled");
    Err(SandboxError::system("the container sandbox has no runtime", error))
}

fn unguessable_name() -> Result<String, SandboxError> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        SandboxError::system("no randomness for the container's name", io::Error::other(error))
    })?;
    let mut name = "codegenie-".to_owned();
    for byte in random {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// A runtime tells of a program that it did not find, or could not execute.
fn of_start(error: Error, request: &SandboxRequest) -> SandboxError {
    let program = request.program.to_string_lossy();
    let said = error.to_string();
    let not_run = ["executable file not found", "exec format error", "no such file or directory: unknown"];
    if matches!(status(&error), Some(400 | 404)) && not_run.iter().any(|known| said.contains(known)) {
        return SandboxError::new(SandboxErrorKind::ProgramNotRun, format!("{program} was not run: {said}"));
    }
    of_daemon("the daemon did not start the container; nothing was run", error)
}

impl Sandbox for ContainerSandbox {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        check_runtime()?;
        request.check()?;
        let since = Instant::now();
        let confinement = Confinement::of(&request.policy, &self.daemon, &self.settings)?;
        let report = report::report(&confinement, &self.daemon.facts, &self.settings)?;
        let owned = self.make(&confinement, request).await?;
        let attached = match self.set_off(&confinement, request, owned.name()).await {
            Ok(attached) => attached,
            Err(error) => {
                owned.remove(&self.daemon).await;
                return Err(error);
            }
        };
        let process = ContainerProcess::supervise(
            owned,
            self.daemon.clone(),
            attached,
            request.stdio,
            request.stdin.clone(),
            &request.policy.limits,
            since,
        );
        Ok(Running::new(process, report))
    }

    /// A shell of the image is confined under the policy, tries what the layers must stop, reads what the kernel says of
    /// it, and ends. An image without `sh` has no witness: then the report says what the daemon was asked for
    /// and says that it did.
    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        let confinement = Confinement::of(policy, &self.daemon, &self.settings)?;
        let report = report::report(&confinement, &self.daemon.facts, &self.settings)?;
        let mut witnessed = confinement.policy.clone();
        witnessed.limits.timeout = WITNESS_TIME;
        let request = SandboxRequest::new("sh", witnessed).args(["-c", witness::SCRIPT]).cwd("/tmp");
        match self.start(&request).await {
            Ok(running) => {
                let output = running.collect().await?;
                let printed = String::from_utf8_lossy(&output.stdout);
                witness::judge(report, &confinement.policy, &printed).ok_or_else(|| {
                    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    let error = io::Error::other(format!("it ended by {} {said}", output.status.reason));
                    SandboxError::system("the witness did not come to its end", error)
                })
            }
            Err(error) if error.kind() == SandboxErrorKind::ProgramNotRun => Ok(report),
            Err(error) => Err(error),
        }
    }

    fn name(&self) -> &str {
        report::NAME
    }
}
