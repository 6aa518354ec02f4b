//! Calls that the filter refuses: what init answers, and what the host makes of init's record of them.

use super::abi::{ANY, Answer, MORE};
use super::bpf::number;
use super::plan::Plan;
use super::seccomp;
use crate::sandbox::{Denial, Layer};

/// Put into the plan of init, which answers by it (see `init/refusals.rs`). Gives its address.
pub(super) fn answers(plan: &mut Plan) -> u64 {
    let of = |nr, first: Option<i32>, errno: i32, told: u32| Answer {
        nr: number(nr),
        first: first.map_or(ANY, i32::cast_unsigned),
        errno: errno.cast_unsigned(),
        told,
    };
    let socket = |family, errno| of(libc::SYS_socket, family, errno, 0);
    let list = [
        // Of these families only some types and protocols are refused, of the others all.
        socket(Some(libc::AF_INET), libc::EPROTONOSUPPORT),
        socket(Some(libc::AF_INET6), libc::EPROTONOSUPPORT),
        socket(Some(libc::AF_NETLINK), libc::EPROTONOSUPPORT),
        socket(None, libc::EAFNOSUPPORT),
        of(libc::SYS_socketpair, None, libc::EAFNOSUPPORT, 0),
        of(libc::SYS_ioctl, None, libc::EPERM, 1),
        Answer { nr: ANY, first: ANY, errno: libc::EPERM.cast_unsigned(), told: ANY },
    ];
    let words = list.iter().flat_map(|answer| [answer.nr, answer.first, answer.errno, answer.told]);
    plan.bytes(&words.flat_map(u32::to_ne_bytes).collect::<Vec<u8>>())
}

/// Calls of which some uses are refused, and why those are.
#[cfg(target_arch = "x86_64")]
const PARTLY_HERE: &[(libc::c_long, &str, &str)] = &[
    (libc::SYS_chmod, "chmod", SET_ID),
    (libc::SYS_creat, "creat", SET_ID),
    (libc::SYS_mknod, "mknod", SET_ID),
    (libc::SYS_open, "open", SET_ID),
];
#[cfg(target_arch = "aarch64")]
const PARTLY_HERE: &[(libc::c_long, &str, &str)] = &[];
const PARTLY: &[(libc::c_long, &str, &str)] = &[
    (libc::SYS_fchmod, "fchmod", SET_ID),
    (libc::SYS_fchmodat, "fchmodat", SET_ID),
    (452, "fchmodat2", SET_ID),
    (libc::SYS_mknodat, "mknodat", SET_ID),
    (libc::SYS_openat, "openat", SET_ID),
    (libc::SYS_clone, "clone", "namespaces of its own are not for a command"),
    (libc::SYS_personality, "personality", "only the plain one is left"),
    (libc::SYS_mmap, "mmap", "memory that grows by itself escapes the limit"),
    (libc::SYS_sched_setscheduler, "sched_setscheduler", INIT),
    (libc::SYS_sched_setparam, "sched_setparam", INIT),
    (libc::SYS_sched_setaffinity, "sched_setaffinity", INIT),
    (libc::SYS_prlimit64, "prlimit64", INIT),
    (libc::SYS_setpriority, "setpriority", INIT),
    (libc::SYS_ioprio_set, "ioprio_set", INIT),
];
const SET_ID: &str = "a set-user-id or set-group-id file would have come of it";
const INIT: &str = "the sandbox's own init is among those that it was for";

/// What the host tells of a refused call; `value` is the argument that its answer names.
pub(super) fn denial(nr: u32, value: i64) -> Denial {
    let rule = "none but dangerous_relax(Layer::Seccomp, Requirement::Off), which allows every call \
                (not to a host that is root): agents' commands do without";
    let tell = |subject: String, why: &str| Denial::new(Layer::Seccomp, subject, why, rule);
    let here = |call: &libc::c_long| number(*call) == nr;
    if value == MORE.cast_signed() {
        return tell(
            format!("{} in other ways", name(nr)),
            "refused by the filter, more often than is told one by one",
        );
    }
    if here(&libc::SYS_socket) || here(&libc::SYS_socketpair) {
        let call = if here(&libc::SYS_socket) { "socket" } else { "socketpair" };
        return tell(
            format!("{call} of {}", family(value)),
            "only Unix sockets, TCP, UDP, ping and the list of interfaces are left",
        );
    }
    if here(&libc::SYS_ioctl) {
        let why = "it types into terminals or loads into the kernel";
        return tell(format!("ioctl {value:#x}"), why);
    }
    let partly = PARTLY.iter().chain(PARTLY_HERE).find(|(call, ..)| here(call));
    if let Some((_, name, why)) = partly {
        return tell((*name).to_owned(), why);
    }
    tell(name(nr), "refused by the filter")
}

fn name(nr: u32) -> String {
    let here = |call: &libc::c_long| number(*call) == nr;
    let special =
        [(libc::SYS_socket, "socket"), (libc::SYS_socketpair, "socketpair"), (libc::SYS_ioctl, "ioctl")];
    let partly = PARTLY.iter().chain(PARTLY_HERE).map(|(call, name, _)| (*call, *name));
    let found = special.into_iter().chain(partly).chain(seccomp::denied()).find(|(call, _)| here(call));
    found.map_or_else(|| format!("system call {nr}"), |(_, name)| name.trim_start_matches("SYS_").to_owned())
}

/// An address family by its name, where it is one that programs try.
fn family(number: i64) -> String {
    let name = match i32::try_from(number).unwrap_or(-1) {
        libc::AF_INET => "AF_INET, with a rare type or protocol",
        libc::AF_INET6 => "AF_INET6, with a rare type or protocol",
        libc::AF_NETLINK => "AF_NETLINK, but for NETLINK_ROUTE",
        libc::AF_PACKET => "AF_PACKET",
        libc::AF_ALG => "AF_ALG",
        libc::AF_VSOCK => "AF_VSOCK",
        libc::AF_BLUETOOTH => "AF_BLUETOOTH",
        libc::AF_KEY => "AF_KEY",
        libc::AF_TIPC => "AF_TIPC",
        libc::AF_CAN => "AF_CAN",
        libc::AF_XDP => "AF_XDP",
        _ => return format!("address family {number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_is_refused_has_a_name_and_any_number_is_told() {
        for (call, name) in seccomp::denied() {
            assert_eq!(denial(number(call), 0).subject, name.trim_start_matches("SYS_"));
        }
        for nr in (0..1000).chain([u32::MAX, u32::MAX - 1]) {
            for value in [0, 1, 16, -1, i64::MIN, i64::MAX] {
                let denial = denial(nr, value);
                assert!(!denial.subject.is_empty() && denial.layer == Layer::Seccomp);
            }
        }
    }
}
