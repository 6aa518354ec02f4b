//! The witness: a process that is confined like a command and tries what must be stopped.
//!
//! It runs no program: its attempts are operations of the plan, made at the place where a command
//! would be executed. Nothing it does could do harm if it were not stopped.

use super::plan::{Arg, Plan, Purpose};
use crate::sandbox::{Attempt, EnforcementReport, Layer, Network, Requirement, SandboxPolicy};

/// Adds the attempts. Their results are reported, whatever they are.
pub(super) fn attempt(plan: &mut Plan, policy: &SandboxPolicy) {
    let required = |layer| policy.requirement(layer) == Requirement::Required;
    let here = libc::AT_FDCWD.into();
    let (null, one, zero): (Arg, Arg, Arg) = (0.into(), 1.into(), 0.into());

    plan.section(Purpose::Layer(Layer::MountNamespace), false);
    let (host, shadow) = (plan.text("/.host"), plan.text("/etc/shadow"));
    let created = plan.text("/usr/.codegenie-witness");
    let read = libc::O_RDONLY | libc::O_CLOEXEC;
    plan.call("open the host's root", libc::SYS_openat, &[here, host.into(), read.into()]).probe();
    plan.call("read /etc/shadow", libc::SYS_openat, &[here, shadow.into(), read.into()]).probe();
    // Without O_CREAT there is nothing to clean up if it is not stopped: a directory is opened for writing.
    let write = libc::O_TMPFILE | libc::O_WRONLY | libc::O_CLOEXEC;
    let usr = plan.text("/usr");
    plan.call("write below /usr", libc::SYS_openat, &[here, usr.into(), write.into(), 0o600.into()]).probe();
    plan.call("make a directory in /usr", libc::SYS_mkdirat, &[here, created.into(), 0o700.into()]).probe();

    plan.section(Purpose::Layer(Layer::UserNamespace), false);
    let newuser = libc::CLONE_NEWUSER.into();
    plan.call("make a nested user namespace", libc::SYS_unshare, &[newuser]).probe();
    plan.call("become root", libc::SYS_setuid, &[zero]).probe();

    if policy.network != Network::DangerousFull {
        plan.section(Purpose::Layer(Layer::NetworkNamespace), false);
        // 192.0.2.1, of the block for documentation; connecting UDP sends nothing.
        let address =
            plan.bytes(&[libc::AF_INET.to_ne_bytes()[0], 0, 0, 9, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let datagram = (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC).into();
        plan.call("open a socket", libc::SYS_socket, &[libc::AF_INET.into(), datagram, zero]).store(2);
        plan.call("reach an outside address", libc::SYS_connect, &[Arg::Slot(2), address.into(), 16.into()])
            .probe();
    }
    if required(Layer::Seccomp) {
        plan.section(Purpose::Layer(Layer::Seccomp), false);
        plan.call("trace a process", libc::SYS_ptrace, &[Arg::Value(libc::PTRACE_TRACEME.into())]).probe();
        plan.call("use io_uring", libc::SYS_io_uring_setup, &[one, null]).probe();
    }
    plan.section(Purpose::Layer(Layer::PidNamespace), false);
    // Signal 0 only asks whether one could be sent.
    let parent = libc::SYS_tgkill;
    plan.call("signal a process of the host", parent, &[4_194_303.into(), 4_194_303.into(), zero]).probe();
    plan.section(Purpose::Layer(Layer::Capabilities), false);
    let name = plan.text("witness");
    plan.call("set the host's clock", libc::SYS_clock_settime, &[zero, null]).probe();
    plan.call("change the root", libc::SYS_chroot, &[name.into()]).probe();
}

/// Adds to the report what the witness found.
pub(super) fn judge(mut report: EnforcementReport, plan: &Plan, probes: &[(u32, i64)]) -> EnforcementReport {
    for (op, result) in probes {
        if let Some((Purpose::Layer(layer), what)) = plan.stage(*op).map(|stage| (stage.purpose, &stage.what))
        {
            report = report.witness(Attempt::new(layer, what.to_string(), *result < 0));
        }
    }
    report
}
