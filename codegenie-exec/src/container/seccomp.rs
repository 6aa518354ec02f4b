//! The seccomp profile of a container, as daemons take it: the rules of the native sandbox, by name.
//!
//! Calls are allowed unless they are listed, and other architectures' calls end the caller, since the profile
//! names one architecture only. What the native filter says with ranges and masks is said here by one
//! rule for each value: rules of one call are alternatives.

use serde_json::{Value, json};

/// Calls that are refused whatever their arguments.
const DENIED: &[&str] = &[
    // Kernel surface with a history of holes, and not for commands.
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "bpf",
    "userfaultfd",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "lookup_dcookie",
    "nfsservctl",
    "fanotify_init",
    "fanotify_mark",
    "quotactl",
    "quotactl_fd",
    // Other processes' memory and descriptors.
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "process_madvise",
    // Mounts and namespaces.
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "open_tree_attr",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "memfd_secret",
    "setns",
    "unshare",
    "open_by_handle_at",
    "name_to_handle_at",
    // The machine itself.
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "acct",
    "syslog",
    "vhangup",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
    "uselib",
    "_sysctl",
    "ustat",
    "sysfs",
    // Scheduling and memory placement that reach past the command.
    "migrate_pages",
    "move_pages",
    "mbind",
    "set_mempolicy",
    "sched_setattr",
];

/// Calls whose arguments are in memory, where a filter cannot look: C libraries fall back to others.
const ABSENT: &[&str] = &["clone3", "openat2"];

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EPROTONOSUPPORT: u32 = 93;
const EAFNOSUPPORT: u32 = 97;

/// New mount, cgroup, UTS, IPC, user, PID and network namespaces, by clone's flags.
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/// TIOCSTI, TIOCLINUX and TIOCSETD.
const TERMINAL_REQUESTS: [u64; 3] = [0x5412, 0x541c, 0x5423];
const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_NETLINK: u64 = 16;
/// The default, and ICMP, TCP, UDP and ICMPv6.
const PROTOCOLS: [u64; 5] = [0, 1, 6, 17, 58];
const SOCK_RAW: u64 = 3;
const MAP_GROWSDOWN: u64 = 0x100;
const SET_USER_ID: u64 = 0o4000;
const SET_GROUP_ID: u64 = 0o2000;
/// The kernel looks at the low half of these arguments only, and so must the filter.
const LOW: u64 = 0xffff_ffff;

/// How many calls the profile refuses whatever their arguments.
pub(super) fn denied_count() -> usize {
    DENIED.len()
}

fn rule(names: &[&str], errno: u32, args: &[Value]) -> Value {
    json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args })
}

/// The argument's bits under `mask` are `value`.
fn masked(index: u32, mask: u64, value: u64) -> Value {
    json!({ "index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" })
}

/// Every low half of an argument that is none of `known`, all of which are below 64: the other small ones one by
/// one, the rest by their higher bits.
fn others(index: u32, known: &[u64]) -> Vec<Value> {
    let small = (0..64).filter(|value| !known.contains(value)).map(|value| masked(index, LOW, value));
    let large = (6..32).map(|bit| masked(index, 1 << bit, 1 << bit));
    small.chain(large).collect()
}

/// The profile for a machine of this kind, as the kernel names it; `None`: not known here.
pub(super) fn profile(machine: &str) -> Option<String> {
    let architecture = match machine {
        "x86_64" => "SCMP_ARCH_X86_64",
        "aarch64" => "SCMP_ARCH_AARCH64",
        _ => return None,
    };
    let mut rules = vec![rule(DENIED, EPERM, &[]), rule(ABSENT, ENOSYS, &[])];
    rules.extend(NAMESPACES.map(|flag| rule(&["clone"], EPERM, &[masked(0, flag, flag)])));
    rules.extend(TERMINAL_REQUESTS.map(|request| rule(&["ioctl"], EPERM, &[masked(1, LOW, request)])));
    let families = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];
    let but = |index, known: &[u64], domain: Option<u64>, call: &str, errno| -> Vec<Value> {
        let of_domain: Vec<Value> = domain.map(|domain| masked(0, LOW, domain)).into_iter().collect();
        others(index, known)
            .into_iter()
            .map(|other| rule(&[call], errno, &[of_domain.clone(), vec![other]].concat()))
            .collect()
    };
    rules.extend(but(0, &families, None, "socket", EAFNOSUPPORT));
    rules.extend(but(0, &[AF_UNIX], None, "socketpair", EAFNOSUPPORT));
    for family in [AF_INET, AF_INET6] {
        // The type without its flags. Protocols beside the usual would load modules into the kernel.
        let raw = [masked(0, LOW, family), masked(1, 0xf, SOCK_RAW)];
        rules.push(rule(&["socket"], EPROTONOSUPPORT, &raw));
        rules.extend(but(2, &PROTOCOLS, Some(family), "socket", EPROTONOSUPPORT));
    }
    // Of netlink only routing, which is 0 and how a program lists its interfaces.
    rules.extend(but(2, &[0], Some(AF_NETLINK), "socket", EPROTONOSUPPORT));
    // Only asking for the present personality, which has every bit set, and the plain one. Bit 18,
    // ADDR_NO_RANDOMIZE, is free. Of the others in a ring, some are set and some not exactly where one that
    // is set is followed by one that is not.
    let ring: Vec<u64> = (0..32).filter(|bit| *bit != 18).map(|bit| 1 << bit).collect();
    for (bit, next) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        rules.push(rule(&["personality"], EPERM, &[masked(0, bit | next, *bit)]));
    }
    rules.push(rule(&["mmap"], EPERM, &[masked(3, MAP_GROWSDOWN, MAP_GROWSDOWN)]));
    for bit in [SET_USER_ID, SET_GROUP_ID] {
        // A set-user-id program among what a command makes would be run by somebody outside.
        for (call, mode) in [
            ("chmod", 1),
            ("fchmod", 1),
            ("fchmodat", 2),
            ("fchmodat2", 2),
            ("creat", 1),
            ("mknod", 1),
            ("mknodat", 2),
        ] {
            rules.push(rule(&[call], EPERM, &[masked(mode, bit, bit)]));
        }
        // O_CREAT, and O_TMPFILE without its O_DIRECTORY: without them the mode is not looked at.
        for makes in [0o100, 0o20_000_000] {
            rules.push(rule(&["open"], EPERM, &[masked(1, makes, makes), masked(2, bit, bit)]));
            rules.push(rule(&["openat"], EPERM, &[masked(2, makes, makes), masked(3, bit, bit)]));
        }
    }
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [architecture],
        "syscalls": rules,
    });
    Some(profile.to_string())
}
