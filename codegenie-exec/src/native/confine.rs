//! The whole plan of a sandboxed command, in the order of confinement.

use super::abi::{FD_CONTROL, FD_PLAN, KIND_IO, KIND_USAGE};
use super::identity::Identity;
use super::landlock::{self, Tcp};
use super::mounts::{self, Prepared};
use super::network;
use super::plan::{Arg, Plan, Purpose};
use super::refusals;
use super::seccomp;
use super::terminal;
use super::witness;
use crate::sandbox::{
    Layer, Limits, Network, Requirement, SandboxPolicy, SandboxRequest, Stdio, TerminalSize,
};
use crate::view::View;
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Where init keeps the descriptor that tells of ended children.
const SIGNALS: u8 = 7;
/// Where init keeps the descriptor of its `/proc/self/io`.
const IO: u8 = 6;
/// Where init keeps the command's wait status.
const STATUS: u8 = 5;

/// What the plan is made from, beside the request.
pub(super) struct Setting<'a> {
    pub(super) view: &'a View,
    pub(super) prepared: &'a Prepared,
    /// Numbers of the prepared mounts' descriptors, ascending.
    pub(super) kept: &'a [RawFd],
    pub(super) identity: Identity,
    /// Descriptors by which init enters its control groups; among those that are kept.
    pub(super) entrances: &'a [RawFd],
    /// The kernel's Landlock ABI; `None`: it has none, and the policy does not require it.
    pub(super) landlock_abi: Option<i64>,
    pub(super) last_capability: u32,
    /// Whether a control group holds the memory of the whole tree.
    pub(super) grouped: bool,
}

/// What the command's process does once it is confined.
pub(super) enum Payload<'a> {
    /// Executes the request's program.
    Execute(&'a SandboxRequest),
    /// Waits, confined, for an [`errand`] and the three standard descriptors.
    Await,
    /// Tries what the layers must stop, reports what happened, ends.
    Witness,
}

impl Payload<'_> {
    fn terminal(&self) -> Option<TerminalSize> {
        match self {
            Self::Execute(request) => match request.stdio {
                Stdio::Terminal(size) => Some(size),
                _ => None,
            },
            Self::Await | Self::Witness => None,
        }
    }
}

pub(super) fn plan(policy: &SandboxPolicy, setting: &Setting<'_>, payload: &Payload<'_>) -> Plan {
    let mut plan = Plan::default();
    close_foreign_descriptors(&mut plan, setting.kept);
    change_identity(&mut plan, &setting.identity);
    let terminal = payload.terminal();
    mounts::enter_view(&mut plan, setting.view, setting.prepared, &policy.limits, terminal.is_some());
    if has_loopback(policy) {
        raise_loopback(&mut plan);
    }
    if let Network::Domains(_) = policy.network {
        network::listen(&mut plan);
    }
    plan.section(Purpose::Layer(Layer::IpcNamespace), false);
    let name = plan.text("sandbox");
    plan.call("set the host name", libc::SYS_sethostname, &[name.into(), 7.into()]);
    // Not before: the kernel's accounts of the view would take as long as making it.
    enter_groups(&mut plan, setting.entrances);
    // Not by the clone: the process has been put into its group since then, which is the root of what it
    // sees from here on. The group's name tells of the host.
    plan.section(Purpose::Layer(Layer::UserNamespace), false);
    plan.call("hide the host's control groups", libc::SYS_unshare, &[libc::CLONE_NEWCGROUP.into()]);
    watch_children(&mut plan);
    if let Some(size) = terminal {
        terminal::make(&mut plan, size);
    }
    // Before there is anybody who could look; the command's own execution makes it traceable again.
    plan.call("hide init from tracing", libc::SYS_prctl, &[libc::PR_SET_DUMPABLE.into(), 0.into()]);
    plan.fork(|plan| {
        own_session(plan);
        if terminal.is_some() {
            terminal::control(plan);
        }
        limit_resources(plan, &policy.limits, setting.grouped, optional(policy, Layer::ResourceLimits));
        drop_capabilities(plan, setting.last_capability);
        plan.section(Purpose::Layer(Layer::NoNewPrivileges), false);
        let (set, one, zero) = (libc::PR_SET_NO_NEW_PRIVS.into(), 1.into(), Arg::Value(0));
        plan.call("set no_new_privs", libc::SYS_prctl, &[set, one, zero, zero, zero]);
        if let Some(abi) = setting.landlock_abi {
            let (tcp, optional) = (Tcp::of(policy), optional(policy, Layer::Landlock));
            landlock::restrict(plan, setting.view, abi, tcp, optional);
        }
        if policy.requirement(Layer::Seccomp) != Requirement::Off {
            // A witness executes nothing, so that init would never answer to it.
            let answered = !matches!(payload, Payload::Witness);
            seccomp::install(plan, optional(policy, Layer::Seccomp), answered);
        }
        // Not before: init's own descriptors are made by number, however few the command may have.
        limit_descriptors(plan, &policy.limits, optional(policy, Layer::ResourceLimits));
        match payload {
            Payload::Execute(request) => execute(plan, policy, request),
            Payload::Await => {
                plan.section(Purpose::Machinery, false);
                let (first, last) = (0.into(), 2.into());
                plan.call("make way for descriptors", libc::SYS_close_range, &[first, last, 0.into()]);
                plan.await_errand(3);
            }
            Payload::Witness => witness::attempt(plan, policy),
        }
    });
    if terminal.is_some() {
        terminal::leave(&mut plan);
    }
    // Init itself: nothing of the host's, no privilege.
    plan.call("close the standard descriptors", libc::SYS_close_range, &[0.into(), 2.into(), 0.into()]);
    set_no_capabilities(&mut plan);
    let answers = refusals::answers(&mut plan);
    plan.reap(SIGNALS, answers).store(STATUS);
    tell_usage(&mut plan);
    plan.end(STATUS);
    plan
}

/// What a process that was prepared with [`Payload::Await`] is sent.
pub(super) fn errand(policy: &SandboxPolicy, request: &SandboxRequest) -> Plan {
    let mut plan = Plan::errand();
    execute(&mut plan, policy, request);
    plan
}

/// Of the whole tree: init has reaped it.
fn tell_usage(plan: &mut Plan) {
    plan.section(Purpose::Machinery, false);
    let size = size_of::<libc::rusage>();
    let (record, usage) = plan.record(KIND_USAGE, size);
    let children = libc::RUSAGE_CHILDREN.into();
    plan.call("ask for the tree's usage", libc::SYS_getrusage, &[children, usage.into()]).or_else();
    plan.report(record, size);
    let size = 512;
    let (record, text) = plan.record(KIND_IO, size);
    let args = [Arg::Slot(IO), text.into(), (size as u64).into(), 0.into()];
    plan.call("ask for the tree's transfers", libc::SYS_pread64, &args).or_else();
    plan.report(record, size);
}

/// Whether the sandbox's own loopback is up: for the command's servers, or for the proxy.
pub(super) fn has_loopback(policy: &SandboxPolicy) -> bool {
    match &policy.network {
        Network::None => policy.loopback,
        Network::Domains(_) => true,
        Network::DangerousFull => false,
    }
}

fn optional(policy: &SandboxPolicy, layer: Layer) -> bool {
    policy.requirement(layer) == Requirement::BestEffort
}

fn close_foreign_descriptors(plan: &mut Plan, kept: &[RawFd]) {
    plan.section(Purpose::Layer(Layer::Environment), false);
    plan.call("close the plan", libc::SYS_close, &[FD_PLAN.into()]);
    let mut next = FD_CONTROL + 1;
    for fd in kept {
        if *fd > next {
            plan.call("close descriptors", libc::SYS_close_range, &[next.into(), (fd - 1).into(), 0.into()]);
        }
        next = fd + 1;
    }
    let last = Arg::Value(u64::from(u32::MAX));
    plan.call("close descriptors", libc::SYS_close_range, &[next.into(), last, 0.into()]);
}

/// Never optional: a limit that a group holds is not set elsewhere. Who can do without starts again.
fn enter_groups(plan: &mut Plan, entrances: &[RawFd]) {
    plan.section(Purpose::Layer(Layer::ControlGroups), false);
    let myself = plan.text("0");
    for fd in entrances {
        let args = [(*fd).into(), myself.into(), 1.into()];
        plan.call("enter a control group", libc::SYS_write, &args);
        plan.call("close a control group", libc::SYS_close, &[(*fd).into()]);
    }
}

fn change_identity(plan: &mut Plan, identity: &Identity) {
    plan.section(Purpose::Layer(Layer::UserNamespace), false);
    if identity.dropped {
        let (uid, gid) = (Arg::Value(identity.uid_inside.into()), Arg::Value(identity.gid_inside.into()));
        plan.call("drop supplementary groups", libc::SYS_setgroups, &[0.into(), 0.into()]);
        plan.call("change the group", libc::SYS_setresgid, &[gid, gid, gid]);
        plan.call("change the user", libc::SYS_setresuid, &[uid, uid, uid]);
    }
    plan.call("set the file mode mask", libc::SYS_umask, &[0.into()]);
}

fn raise_loopback(plan: &mut Plan) {
    plan.section(Purpose::Layer(Layer::NetworkNamespace), false);
    // struct ifreq: the name in 16 bytes, then the flags.
    let mut request = [0u8; 40];
    for (place, byte) in request.iter_mut().zip(b"lo") {
        *place = *byte;
    }
    let flags = u16::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(1).to_ne_bytes();
    for (place, byte) in request.iter_mut().skip(16).zip(flags) {
        *place = byte;
    }
    let request = plan.bytes(&request);
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    plan.call("open a control socket", libc::SYS_socket, &[libc::AF_INET.into(), kind.into(), 0.into()])
        .store(0);
    plan.call(
        "raise the loopback",
        libc::SYS_ioctl,
        &[Arg::Slot(0), libc::SIOCSIFFLAGS.into(), request.into()],
    );
    plan.call("close the control socket", libc::SYS_close, &[Arg::Slot(0)]);
}

fn watch_children(plan: &mut Plan) {
    plan.section(Purpose::Layer(Layer::PidNamespace), false);
    // A host that ignores SIGCHLD hands that on, and the kernel would reap in init's place.
    let default = plan.words(&[0; 4]);
    let (signal, size) = (libc::SIGCHLD.into(), 8.into());
    plan.call("reset SIGCHLD", libc::SYS_rt_sigaction, &[signal, default.into(), 0.into(), size]);
    // Every signal is blocked since before the clone.
    let mask = plan.words(&[1 << (libc::SIGCHLD - 1)]);
    plan.call(
        "watch for ended children",
        libc::SYS_signalfd4,
        &[(-1).into(), mask.into(), 8.into(), libc::SFD_CLOEXEC.into()],
    )
    .store(SIGNALS);
    // Init's accounts hold those of what it has reaped. Opened while it still may: a change of ids has
    // hidden them from itself.
    plan.call("open init's accounts", libc::SYS_prctl, &[libc::PR_SET_DUMPABLE.into(), 1.into()]).or_else();
    let (path, flags) = (plan.text("/proc/self/io"), libc::O_RDONLY | libc::O_CLOEXEC);
    plan.call("open init's accounts", libc::SYS_openat, &[libc::AT_FDCWD.into(), path.into(), flags.into()])
        .store(IO)
        .or_else();
}

fn own_session(plan: &mut Plan) {
    plan.section(Purpose::Layer(Layer::Environment), false);
    plan.call("start a session", libc::SYS_setsid, &[]);
    // What the host ignores (Rust ignores SIGPIPE), the command must not inherit as ignored.
    let action = plan.words(&[0; 4]);
    for signal in 1..=64 {
        plan.call(
            "reset a signal",
            libc::SYS_rt_sigaction,
            &[signal.into(), action.into(), 0.into(), 8.into()],
        )
        .or_else();
    }
    let mask = plan.words(&[0]);
    plan.call(
        "unblock signals",
        libc::SYS_rt_sigprocmask,
        &[libc::SIG_SETMASK.into(), mask.into(), 0.into(), 8.into()],
    );
    let (first, last) = (3.into(), Arg::Value(u64::from(u32::MAX)));
    let cloexec = Arg::Value(u64::from(libc::CLOSE_RANGE_CLOEXEC));
    plan.call("close descriptors on exec", libc::SYS_close_range, &[first, last, cloexec]);
    plan.call("set the file mode mask", libc::SYS_umask, &[0o022.into()]);
}

fn limit_resources(plan: &mut Plan, limits: &Limits, grouped: bool, is_optional: bool) {
    plan.section(Purpose::Layer(Layer::ResourceLimits), is_optional);
    let cpu = limits.cpu.map(|cpu| cpu.as_secs().max(1).saturating_add(1));
    for (what, resource, value) in [
        ("limit processes", libc::RLIMIT_NPROC, Some(limits.processes)),
        // It counts what is reserved and never touched, as the terabytes of a sanitizer's shadow; a group
        // counts what is used.
        ("limit memory", libc::RLIMIT_DATA, (!grouped).then_some(limits.memory_bytes)),
        ("limit file size", libc::RLIMIT_FSIZE, Some(limits.file_bytes)),
        ("limit cpu time", libc::RLIMIT_CPU, cpu),
        ("forbid core dumps", libc::RLIMIT_CORE, Some(0)),
        ("forbid locked memory", libc::RLIMIT_MEMLOCK, Some(8 << 20)),
        ("forbid real-time priority", libc::RLIMIT_RTPRIO, Some(0)),
        ("limit message queues", libc::RLIMIT_MSGQUEUE, Some(819_200)),
    ] {
        if let Some(value) = value {
            limit(plan, what, resource, value);
        }
    }
}

fn limit_descriptors(plan: &mut Plan, limits: &Limits, is_optional: bool) {
    plan.section(Purpose::Layer(Layer::ResourceLimits), is_optional);
    limit(plan, "limit descriptors", libc::RLIMIT_NOFILE, limits.open_files);
}

fn limit(plan: &mut Plan, what: &'static str, resource: libc::__rlimit_resource_t, value: u64) {
    // A host that is itself limited more strictly cannot give more, nor does it have to.
    let value = setting_limit(resource).map_or(value, |hard| value.min(hard));
    // At the soft limit on CPU time comes a signal that tells why, at the hard one the end.
    let soft = if resource == libc::RLIMIT_CPU { value.saturating_sub(1).max(1) } else { value };
    let pair = plan.words(&[soft, value]);
    let resource = Arg::Value(u64::from(resource));
    plan.call(what, libc::SYS_prlimit64, &[0.into(), resource, pair.into(), 0.into()]);
}

/// The hard limit under which this host itself runs.
fn setting_limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through the call, which only writes to it.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    (result == 0).then_some(limit.rlim_max)
}

fn drop_capabilities(plan: &mut Plan, last: u32) {
    plan.section(Purpose::Layer(Layer::Capabilities), false);
    for capability in 0..=last {
        let (drop, capability) = (libc::PR_CAPBSET_DROP.into(), Arg::Value(capability.into()));
        plan.call(
            "drop a bounding capability",
            libc::SYS_prctl,
            &[drop, capability, 0.into(), 0.into(), 0.into()],
        );
    }
    set_no_capabilities(plan);
}

/// Empties the permitted, effective and inheritable sets, and with them the ambient one.
fn set_no_capabilities(plan: &mut Plan) {
    let header = plan.bytes(&[0x2008_0522u32.to_ne_bytes(), [0; 4]].concat());
    let data = plan.bytes(&[0; 24]);
    plan.call("drop capabilities", libc::SYS_capset, &[header.into(), data.into()]);
}

fn execute(plan: &mut Plan, policy: &SandboxPolicy, request: &SandboxRequest) {
    let cwd = plan.text(&request.cwd);
    plan.section(Purpose::WorkingDirectory, false);
    plan.call(request.cwd.display().to_string(), libc::SYS_chdir, &[cwd.into()]);
    let mut environment: std::collections::BTreeMap<OsString, OsString> =
        network::environment(&policy.network).into_iter().collect();
    environment.extend(policy.environment.iter().map(|(name, value)| (name.into(), value.into())));
    environment.extend(request.env.clone());
    let search = environment.get(std::ffi::OsStr::new("PATH")).cloned().unwrap_or_default();
    let pairs = environment.into_iter().map(|(name, value)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend(value.into_vec());
        OsString::from_vec(pair)
    });
    let envp = plan.texts(pairs.collect::<Vec<_>>());
    let argv = plan.texts(std::iter::once(&request.program).chain(&request.args));
    let program = request.program.as_bytes();
    let candidates: Vec<OsString> = if program.contains(&b'/') {
        vec![request.program.clone()]
    } else {
        // An empty entry would be the working directory, which the command may write.
        let dirs = search.as_bytes().split(|byte| *byte == b':').filter(|dir| dir.starts_with(b"/"));
        dirs.map(|dir| OsString::from_vec([dir, b"/", program].concat())).collect()
    };
    plan.section(Purpose::Program, false);
    let shown = request.program.to_string_lossy().into_owned();
    if candidates.is_empty() {
        // Nowhere to look: the last attempt fails as if it had looked.
        let nowhere = plan.text("");
        plan.call(shown, libc::SYS_execve, &[nowhere.into(), argv.into(), envp.into()]);
        return;
    }
    let last = candidates.len().saturating_sub(1);
    for (i, candidate) in candidates.iter().enumerate() {
        let path = plan.text(candidate);
        let tried = plan.call(shown.clone(), libc::SYS_execve, &[path.into(), argv.into(), envp.into()]);
        if i < last {
            tried.or_else();
        }
    }
}
