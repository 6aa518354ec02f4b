//! Landlock: path rules that hold even where the view has a hole, and scopes for signals and
//! abstract sockets. Applied to the command's process after the mounts are made.

use super::network;
use super::plan::{Arg, Plan, Purpose};
use crate::sandbox::{Layer, Network, SandboxPolicy};
use crate::view::{Entry, Kind, View};
use std::path::Path;

/// Rights on files and directories, by the bits of the kernel's `landlock.h`.
mod right {
    pub(super) const EXECUTE: u64 = 1;
    pub(super) const WRITE_FILE: u64 = 1 << 1;
    pub(super) const READ_FILE: u64 = 1 << 2;
    pub(super) const READ_DIR: u64 = 1 << 3;
    pub(super) const MAKE_CHAR: u64 = 1 << 6;
    pub(super) const MAKE_BLOCK: u64 = 1 << 11;
    pub(super) const TRUNCATE: u64 = 1 << 14;
    pub(super) const IOCTL_DEV: u64 = 1 << 15;
}

/// How many of the rights on files each ABI of the kernel knows.
fn file_rights(abi: i64) -> u64 {
    let bits = match abi {
        ..=1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << bits) - 1
}

/// Binding and connecting TCP sockets, since ABI 4.
const TCP_ABI: i64 = 4;
const CONNECT_TCP: u64 = 1 << 1;
const ALL_TCP: u64 = 1 | CONNECT_TCP;

/// What a command may do with TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tcp {
    /// Whatever its network namespace lets it.
    Free,
    /// Nothing.
    Refused,
    /// Connect to this port: every rule of Landlock's is about a port, whatever the address.
    Connect(u16),
}

impl Tcp {
    pub(super) fn of(policy: &SandboxPolicy) -> Self {
        match &policy.network {
            Network::DangerousFull => Self::Free,
            _ if policy.loopback => Self::Free,
            Network::Domains(_) => Self::Connect(network::PORT),
            Network::None => Self::Refused,
        }
    }
}

/// Abstract Unix sockets and signals, since ABI 6.
fn scopes(abi: i64) -> u64 {
    if abi >= 6 { 3 } else { 0 }
}

/// What an older kernel cannot restrict, in a few words each.
pub(super) fn missing(abi: i64, tcp: Tcp) -> Vec<String> {
    let ports = (tcp != Tcp::Free).then_some((TCP_ABI, "TCP ports"));
    [(3, "truncation"), (5, "device ioctls"), (6, "signal and abstract socket scopes")]
        .into_iter()
        .chain(ports)
        .filter(|(since, _)| abi < *since)
        .map(|(since, what)| format!("{what} (needs Landlock ABI {since}, this kernel has {abi})"))
        .collect()
}

/// Adds the rules of `view` and restricts the process that carries out the plan.
pub(super) fn restrict(plan: &mut Plan, view: &View, abi: i64, tcp: Tcp, optional: bool) {
    plan.section(Purpose::Layer(Layer::Landlock), optional);
    let all = file_rights(abi);
    let tcp = if abi < TCP_ABI { Tcp::Free } else { tcp };
    let handled_tcp = if tcp == Tcp::Free { 0 } else { ALL_TCP };
    let attr = plan.words(&[all, handled_tcp, scopes(abi)]);
    let size = match abi {
        ..=3 => 8u64,
        4 | 5 => 16,
        _ => 24,
    };
    plan.call(
        "make a Landlock ruleset",
        libc::SYS_landlock_create_ruleset,
        &[attr.into(), size.into(), 0.into()],
    )
    .store(1);
    let read = right::READ_FILE | right::READ_DIR | right::EXECUTE;
    let write = all & !(right::MAKE_CHAR | right::MAKE_BLOCK);
    let device = right::READ_FILE | right::WRITE_FILE | right::TRUNCATE | right::IOCTL_DEV;
    // Listing is allowed everywhere: the view holds nothing that was not granted.
    rule(plan, Path::new("/"), right::READ_DIR, all);
    rule(plan, Path::new("/proc"), right::READ_FILE | right::READ_DIR, all);
    rule(plan, Path::new("/tmp"), write, all);
    rule(plan, Path::new("/dev"), device, all);
    rule(plan, Path::new("/dev/shm"), write, all);
    if view.entries.iter().any(in_etc) {
        // All of it was chosen; one rule instead of one for each file.
        rule(plan, Path::new("/etc"), right::READ_FILE | right::READ_DIR, all);
    }
    for entry in view.entries.iter().filter(|entry| !in_etc(entry)) {
        let (writable, dir) = match entry.kind {
            Kind::Bind { writable, dir } => (writable, dir),
            Kind::Overlay { writable, .. } => (writable, true),
            // A pin is below an overlay, whose rule covers it.
            _ => continue,
        };
        let wanted = if writable { write } else { read };
        let wanted = if dir { wanted } else { wanted & !right::READ_DIR };
        rule(plan, &entry.path, wanted, all);
    }
    if let Tcp::Connect(port) = tcp {
        // struct landlock_net_port_attr: the rights, then the port in the host's order.
        let attr = plan.words(&[CONNECT_TCP, port.into()]);
        let net_port = 2;
        plan.call(
            "add a Landlock rule for the proxy",
            libc::SYS_landlock_add_rule,
            &[Arg::Slot(1), net_port.into(), attr.into(), 0.into()],
        );
    }
    plan.call("restrict by Landlock", libc::SYS_landlock_restrict_self, &[Arg::Slot(1), 0.into()]);
    plan.call("close the ruleset", libc::SYS_close, &[Arg::Slot(1)]);
}

/// The system's part of `/etc`, without what a policy names there.
fn in_etc(entry: &Entry) -> bool {
    !entry.granted && entry.path.starts_with("/etc")
}

fn rule(plan: &mut Plan, path: &Path, rights: u64, known: u64) {
    let shown = path.display();
    let text = plan.text(path);
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    plan.call(format!("open {shown}"), libc::SYS_openat, &[libc::AT_FDCWD.into(), text.into(), flags.into()])
        .store(0);
    // struct landlock_path_beneath_attr is packed: 8 bytes of rights, 4 of descriptor.
    let attr = plan.bytes(&[&(rights & known).to_ne_bytes()[..], &[0; 4]].concat());
    plan.poke(attr + 8, 0);
    let path_beneath = 1;
    plan.call(
        format!("add a Landlock rule for {shown}"),
        libc::SYS_landlock_add_rule,
        &[Arg::Slot(1), path_beneath.into(), attr.into(), 0.into()],
    );
    plan.call("close a path", libc::SYS_close, &[Arg::Slot(0)]);
}
