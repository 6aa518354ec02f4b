//! The native Linux sandbox.
//!
//! The host writes down every system call of the confinement as a *plan* (`confine.rs`), starts a
//! two-kilobyte init program in new namespaces without forking itself (`launch.rs`), and init
//! carries the plan out (`init/main.rs`): it builds the view, forks the command's process, which
//! drops everything and executes the program, and stays as PID 1 of the tree.

mod abi;
mod confine;
mod identity;
mod landlock;
mod launch;
mod mounts;
mod plan;
mod process;
mod report;
mod seccomp;
mod sys;
mod view;
mod witness;

use self::confine::{Payload, Setting};
use self::identity::{Identity, OwnerMaps};
use self::launch::Launch;
use self::mounts::Prepared;
use self::plan::Plan;
use self::process::NativeProcess;
use self::view::{System, View};
use crate::sandbox::{
    EnforcementReport, Layer, Network, Requirement, Running, Sandbox, SandboxError, SandboxPolicy,
    SandboxRequest,
};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// The init program, compiled by the build script.
static INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/codegenie-init"));

/// Confines commands by the kernel's own means: namespaces, mounts, Landlock, seccomp, limits.
///
/// Works in process, without a helper program to install, as an ordinary user (where user
/// namespaces are allowed) and as root; as root the command runs as an id that owns nothing on the
/// machine. Needs Linux 5.12 or later for any, and 6.12 for all of what it enforces; a layer that
/// the policy requires and the machine lacks is an error, and nothing runs.
///
/// Cloning shares the prepared parts. Its futures need a tokio runtime with I/O and time enabled.
#[derive(Clone, Debug)]
pub struct NativeSandbox(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    init: OwnedFd,
    system: System,
    owners: OwnerMaps,
    landlock_abi: Option<i64>,
    last_capability: u32,
}

impl NativeSandbox {
    /// Prepares a sandbox for this machine: among others it keeps the small files of `/etc` that
    /// commands will see. Nothing is confined yet: what this machine can enforce shows when a command is started, or by [`Sandbox::enforcement`].
    pub fn new() -> Result<Self, SandboxError> {
        let init = plan::sealed_file(c"codegenie-init", |file| file.write_all(INIT))
            .and_then(read_only)
            .and_then(sys::above_init_range)
            .map_err(|error| SandboxError::system("cannot put the init program into a memory file", error))?;
        let last_capability = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|last| *last < 64)
            .ok_or_else(|| {
                SandboxError::system(
                    "cannot read /proc/sys/kernel/cap_last_cap; mount /proc",
                    io::Error::from(io::ErrorKind::InvalidData),
                )
            })?;
        Ok(Self(Arc::new(Parts {
            init,
            system: System::look(),
            owners: OwnerMaps::default(),
            landlock_abi: sys::landlock_abi().ok(),
            last_capability,
        })))
    }
}

/// A file that is open for writing cannot be executed.
fn read_only(file: OwnedFd) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.into())
}

impl Sandbox for NativeSandbox {
    async fn start(&self, request: &SandboxRequest) -> Result<Running, SandboxError> {
        if tokio::runtime::Handle::try_current().is_err() {
            let error = io::Error::other("call it from a tokio runtime with I/O and time enabled");
            return Err(SandboxError::system("the native sandbox has no runtime", error));
        }
        let (parts, request) = (Arc::clone(&self.0), request.clone());
        let limits = request.policy.limits.clone();
        let since = Instant::now();
        let confined = tokio::task::spawn_blocking(move || parts.start(&request))
            .await
            .map_err(|error| SandboxError::system("the starting thread ended", io::Error::other(error)))??;
        let Confined { started, stdout, stderr, report, .. } = confined;
        let process = NativeProcess::supervise(started, stdout, stderr, &limits, since)
            .map_err(|error| SandboxError::system("cannot watch the command", error))?;
        Ok(Running::new(process, report))
    }

    /// A witness is confined under the policy, tries what the layers must stop, and ends. An
    /// attempt that is not stopped is in the report as such.
    async fn enforcement(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        let (parts, policy) = (Arc::clone(&self.0), policy.clone());
        tokio::task::spawn_blocking(move || parts.witness(&policy))
            .await
            .map_err(|error| SandboxError::system("the starting thread ended", io::Error::other(error)))?
    }

    fn name(&self) -> &str {
        report::NAME
    }
}

struct Confined {
    started: launch::Started,
    stdout: OwnedFd,
    stderr: OwnedFd,
    report: EnforcementReport,
    plan: Plan,
}

impl Parts {
    /// Starts a request. Blocks for about as long as starting any process does.
    fn start(&self, request: &SandboxRequest) -> Result<Confined, SandboxError> {
        request.check()?;
        let policy = resolved(&request.policy)?;
        let view = View::of(&policy, &self.system)?;
        if !request.cwd.is_absolute() {
            return Err(SandboxError::invalid_request(format!(
                "the working directory {} is not absolute: name the full path",
                request.cwd.display()
            )));
        }
        let mut request = request.clone();
        // As the policy's paths are: where the directory really is.
        request.cwd = request.cwd.canonicalize().unwrap_or(request.cwd);
        if !view.shows(&request.cwd) {
            return Err(SandboxError::invalid_request(format!(
                "the working directory {} is not in the sandbox: the policy must make it readable",
                request.cwd.display()
            )));
        }
        self.launch(&policy, &view, &Payload::Execute(&request), &request.stdin)
    }

    /// Sends a witness, and adds what it found to the report.
    fn witness(&self, policy: &SandboxPolicy) -> Result<EnforcementReport, SandboxError> {
        let policy = resolved(policy)?;
        let view = View::of(&policy, &self.system)?;
        let confined = self.launch(&policy, &view, &Payload::Witness, &[])?;
        Ok(witness::judge(confined.report, &confined.plan, &confined.started.probes))
    }

    fn launch(
        &self,
        policy: &SandboxPolicy,
        view: &View,
        payload: &Payload<'_>,
        stdin: &[u8],
    ) -> Result<Confined, SandboxError> {
        let landlock_abi = match policy.requirement(Layer::Landlock) {
            Requirement::Off => None,
            Requirement::Required if self.landlock_abi.is_none() => {
                return Err(report::landlock_missing());
            }
            _ => self.landlock_abi,
        };
        let identity = Identity::of_host();
        let mut prepared = self.owners.prepare(view, &identity)?;
        prepared.sort_by_key(|(_, fd)| fd.as_raw_fd());
        let numbers: Prepared = prepared.iter().map(|(path, fd)| (path.clone(), fd.as_raw_fd())).collect();
        let kept: Vec<_> = prepared.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
        let setting = Setting {
            view,
            prepared: &numbers,
            kept: &kept,
            identity,
            landlock_abi,
            last_capability: self.last_capability,
        };
        let plan = confine::plan(policy, &setting, payload);

        let streams = Streams::new(stdin, &identity)
            .map_err(|error| SandboxError::system("cannot make the command's standard streams", error))?;
        let launch = Launch {
            init: &self.init,
            plan: plan.write().and_then(|fd| {
                sys::above_init_range(fd).map_err(|error| SandboxError::system("cannot keep the plan", error))
            })?,
            stdio: streams.inside,
            kept: prepared.into_iter().map(|(_, fd)| fd).collect(),
            namespaces: namespaces(policy),
            identity,
        };
        let program = match payload {
            Payload::Execute(request) => request.program.to_string_lossy(),
            Payload::Witness => "the witness".into(),
        };
        let started = launch.start().map_err(|error| report::of_failure(error, &plan, &program))?;
        let report = report::of_start(policy, &setting, &plan, &started);
        Ok(Confined { started, stdout: streams.stdout, stderr: streams.stderr, report, plan })
    }
}

fn resolved(policy: &SandboxPolicy) -> Result<SandboxPolicy, SandboxError> {
    let policy = policy.resolve().map_err(|error| SandboxError::invalid_policy(error.to_string()))?;
    check_relaxed(&policy)?;
    Ok(policy)
}

/// Layers that nothing works without.
fn check_relaxed(policy: &SandboxPolicy) -> Result<(), SandboxError> {
    if Identity::of_host().dropped && policy.requirement(Layer::Seccomp) != Requirement::Required {
        return Err(SandboxError::invalid_policy(
            "a root host must require seccomp: it keeps set-user-id programs of root out of the workspace",
        ));
    }
    for (layer, requirement) in &policy.relaxed {
        let relaxable = matches!(layer, Layer::Landlock | Layer::Seccomp | Layer::ResourceLimits);
        let possible = relaxable && !(*layer == Layer::ResourceLimits && *requirement == Requirement::Off);
        if !possible && *requirement != Requirement::Required {
            return Err(SandboxError::invalid_policy(format!(
                "the native sandbox does not work without its {layer} layer: require it"
            )));
        }
    }
    Ok(())
}

fn namespaces(policy: &SandboxPolicy) -> libc::c_int {
    let all = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    match policy.network {
        Network::None => all | libc::CLONE_NEWNET,
        Network::DangerousFull => all,
    }
}

/// The command's standard streams: its ends, and the host's.
struct Streams {
    inside: [OwnedFd; 3],
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Streams {
    fn new(stdin: &[u8], identity: &Identity) -> io::Result<Self> {
        let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
            let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
            Ok((read, sys::above_init_range(write)?))
        };
        let stdin: OwnedFd = if stdin.is_empty() {
            File::open("/dev/null")?.into()
        } else {
            // A memory file: the command may be slow to read, and nobody has to feed it.
            let fd = nix::sys::memfd::memfd_create(c"stdin", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
            let mut file = File::from(fd);
            file.write_all(stdin)?;
            file.rewind()?;
            file.into()
        };
        let (stdout, stdout_inside) = pipe()?;
        let (stderr, stderr_inside) = pipe()?;
        if identity.dropped {
            // So that the command can open /dev/stdout, as shell scripts do.
            for fd in [&stdout_inside, &stderr_inside] {
                let (uid, gid) = (identity.uid_outside, identity.gid_outside);
                nix::unistd::fchown(fd, Some(uid.into()), Some(gid.into()))?;
            }
        }
        Ok(Self { inside: [sys::above_init_range(stdin)?, stdout_inside, stderr_inside], stdout, stderr })
    }
}
