//! The seccomp filter: system calls that an agent's command never needs are refused with EPERM.
//!
//! A deny list, because programs of every kind run here and the namespaces are the boundary; it
//! takes away the parts of the kernel where the holes are. Other architectures' calls and the x32
//! calls, whose numbers would slip past the list, never get through.

use super::plan::{Plan, Purpose};
use crate::sandbox::Layer;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Calls that are refused whatever their arguments.
const DENIED: &[libc::c_long] = &[
    // Kernel surface with a history of holes, and not for commands.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_quotactl,
    443, // quotactl_fd
    // Other processes' memory and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_process_madvise,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    467, // open_tree_attr
    447, // memfd_secret
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The machine itself.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Scheduling and memory placement that reach past the command.
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_sched_setattr,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[libc::c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS__sysctl,
    libc::SYS_ustat,
    libc::SYS_sysfs,
];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[libc::c_long] = &[];

/// How many calls the filter refuses.
pub(super) fn denied_count() -> usize {
    DENIED.len() + DENIED_HERE.len()
}

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const fn errno(number: i32) -> u32 {
    0x0005_0000 | number as u32
}

/// `struct seccomp_data` offsets: the call's number, its architecture, its arguments.
const NR: u32 = 0;
const ARCH: u32 = 4;
const fn arg_low(index: u32) -> u32 {
    16 + 8 * index
}

/// One instruction: code, the jumps if true and if false, the value.
type Instruction = (u16, u8, u8, u32);

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;

#[derive(Clone, Debug, Default)]
struct Program(Vec<Instruction>);

impl Program {
    fn load(&mut self, offset: u32) {
        self.0.push((LOAD, 0, 0, offset));
    }
    fn mask(&mut self, bits: u32) {
        self.0.push((AND, 0, 0, bits));
    }
    fn give(&mut self, verdict: u32) {
        self.0.push((RETURN, 0, 0, verdict));
    }
    fn give_if_equal(&mut self, value: u32, verdict: u32) {
        self.0.push((IF_EQUAL, 0, 1, value));
        self.give(verdict);
    }
    fn give_unless_equal(&mut self, value: u32, verdict: u32) {
        self.0.push((IF_EQUAL, 1, 0, value));
        self.give(verdict);
    }
    fn give_if_any_bit(&mut self, bits: u32, verdict: u32) {
        self.0.push((IF_ANY_BIT, 0, 1, bits));
        self.give(verdict);
    }
    fn give_if_at_least(&mut self, value: u32, verdict: u32) {
        self.0.push((IF_AT_LEAST, 0, 1, value));
        self.give(verdict);
    }
    fn bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|(code, yes, no, k)| {
                let [c0, c1] = code.to_ne_bytes();
                let [k0, k1, k2, k3] = k.to_ne_bytes();
                [c0, c1, *yes, *no, k0, k1, k2, k3]
            })
            .collect()
    }
}

/// What becomes of the calls that are not simply allowed, each by a program of its own.
#[derive(Debug, Default)]
struct Filter(BTreeMap<u32, Program>);

impl Filter {
    fn refuse(&mut self, nr: libc::c_long, verdict: u32) {
        self.0.insert(number(nr), Program(vec![(RETURN, 0, 0, verdict)]));
    }

    /// `body` decides about one call; where it does not, the call is allowed.
    fn only_for(&mut self, nr: libc::c_long, body: impl FnOnce(&mut Program)) {
        let mut program = Program::default();
        body(&mut program);
        program.give(ALLOW);
        self.0.insert(number(nr), program);
    }

    /// The whole program. The call is found by halving: the kernel goes through the filter for every
    /// call there is when it is installed, and a list would make that most of the cost.
    fn program(&self) -> Program {
        let mut p = Program::default();
        p.load(ARCH);
        p.give_unless_equal(AUDIT_ARCH, KILL_PROCESS);
        p.load(NR);
        if cfg!(target_arch = "x86_64") {
            p.give_if_at_least(0x4000_0000, errno(libc::ENOSYS)); // x32
        }
        let calls: Vec<(&u32, &Program)> = self.0.iter().collect();
        let mut jumps = Vec::new();
        search(&calls, &mut p, &mut jumps);
        for (place, body) in jumps {
            let start = p.0.len();
            if let Some(jump) = p.0.get_mut(place) {
                jump.3 = u32::try_from(start - place - 1).unwrap_or(u32::MAX);
            }
            p.0.extend_from_slice(&body.0);
        }
        p
    }
}

/// Calls that are compared one after the other. What is installed for every start is kept short: the
/// kernel compiles it each time.
const COMPARED: usize = 6;

/// Instructions that find a call's body among `calls`, ascending, and jump to it. The jumps are
/// filled in later.
fn search<'a>(calls: &[(&u32, &'a Program)], p: &mut Program, jumps: &mut Vec<(usize, &'a Program)>) {
    if calls.len() <= COMPARED {
        compare(calls, p, jumps);
        return;
    }
    let (below, above) = calls.split_at(calls.len() / 2);
    let place = p.0.len();
    let first = above.first().map_or(0, |(nr, _)| **nr);
    p.0.push((IF_AT_LEAST, 0, 0, first));
    search(below, p, jumps);
    let distance = p.0.len() - place - 1;
    if let Some(jump) = p.0.get_mut(place) {
        // A jump on a condition reaches 255 instructions: the kernel refuses a filter that ends in the middle.
        jump.1 = u8::try_from(distance).unwrap_or(u8::MAX);
    }
    search(above, p, jumps);
}

/// Those that are simply refused share the instruction that does so.
fn compare<'a>(calls: &[(&u32, &'a Program)], p: &mut Program, jumps: &mut Vec<(usize, &'a Program)>) {
    let mut refusals: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (nr, body) in calls {
        let place = p.0.len();
        if let [(RETURN, _, _, verdict)] = body.0.as_slice() {
            p.0.push((IF_EQUAL, 0, 0, **nr));
            refusals.entry(*verdict).or_default().push(place);
        } else {
            p.0.push((IF_EQUAL, 0, 1, **nr));
            jumps.push((place + 1, body));
            p.0.push((JUMP, 0, 0, 0));
        }
    }
    p.give(ALLOW);
    for (verdict, places) in refusals {
        let target = p.0.len();
        p.give(verdict);
        for place in places {
            if let Some(jump) = p.0.get_mut(place) {
                // At most a few comparisons lie between.
                jump.1 = u8::try_from(target - place - 1).unwrap_or(u8::MAX);
            }
        }
    }
}

fn number(nr: libc::c_long) -> u32 {
    u32::try_from(nr).unwrap_or(u32::MAX)
}

fn filter() -> Filter {
    let mut p = Filter::default();
    for nr in DENIED.iter().chain(DENIED_HERE) {
        p.refuse(*nr, errno(libc::EPERM));
    }
    // Its flags are in memory, where a filter cannot look: C libraries fall back to clone.
    p.refuse(libc::SYS_clone3, errno(libc::ENOSYS));
    p.only_for(libc::SYS_clone, |p| {
        let namespaces = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP;
        p.load(arg_low(0));
        p.give_if_any_bit(namespaces.cast_unsigned(), errno(libc::EPERM));
    });
    p.only_for(libc::SYS_ioctl, |p| {
        // The kernel looks at the low 32 bits only, and so must the filter.
        p.load(arg_low(1));
        for request in [0x5412, 0x541c, 0x5423] {
            // TIOCSTI, TIOCLINUX; and TIOCSETD, which loads line disciplines into the kernel.
            p.give_if_equal(request, errno(libc::EPERM));
        }
    });
    p.only_for(libc::SYS_personality, |p| {
        // Only asking for the present one, and the plain one.
        p.load(arg_low(0));
        p.mask(!(0x0004_0000)); // ADDR_NO_RANDOMIZE, which debuggers and sanitizers set
        p.give_if_equal(0, ALLOW);
        p.give_unless_equal(!0x0004_0000, errno(libc::EPERM));
    });
    p.only_for(libc::SYS_socketpair, |p| {
        p.load(arg_low(0));
        p.give_unless_equal(libc::AF_UNIX.cast_unsigned(), errno(libc::EAFNOSUPPORT));
    });
    p.only_for(libc::SYS_mmap, |p| {
        // Memory that grows by itself is not counted by the limit on data.
        p.load(arg_low(3));
        p.give_if_any_bit(libc::MAP_GROWSDOWN.cast_unsigned(), errno(libc::EPERM));
    });
    init_is_left_alone(&mut p);
    p.only_for(libc::SYS_socket, |p| {
        p.load(arg_low(0));
        p.give_if_equal(libc::AF_UNIX.cast_unsigned(), ALLOW);
        for family in [libc::AF_INET, libc::AF_INET6] {
            // Of the internet families the usual protocols: others would load modules into the kernel.
            p.0.push((IF_EQUAL, 0, 12, family.cast_unsigned()));
            p.load(arg_low(2));
            for protocol in
                [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6]
            {
                p.give_if_equal(protocol.cast_unsigned(), ALLOW);
            }
            p.give(errno(libc::EPROTONOSUPPORT));
        }
        p.give_unless_equal(libc::AF_NETLINK.cast_unsigned(), errno(libc::EAFNOSUPPORT));
        // Of netlink only routing, which is how a program lists its interfaces.
        p.load(arg_low(2));
        p.give_unless_equal(libc::NETLINK_ROUTE.cast_unsigned(), errno(libc::EPROTONOSUPPORT));
    });
    no_set_id_files(&mut p);
    p
}

/// Init does next to nothing, but that in time: its priority, processors and limits are not the
/// command's to set.
fn init_is_left_alone(p: &mut Filter) {
    for nr in [
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setaffinity,
        libc::SYS_prlimit64,
    ] {
        p.only_for(nr, |p| {
            p.load(arg_low(0));
            p.give_if_equal(1, errno(libc::EPERM));
        });
    }
    // Of a process or a group, but never of all that a user has: init is among them.
    let (prio_user, ioprio_who_user) = (2, 3);
    for (nr, user) in [(libc::SYS_setpriority, prio_user), (libc::SYS_ioprio_set, ioprio_who_user)] {
        p.only_for(nr, |p| {
            p.load(arg_low(0));
            p.give_if_equal(user, errno(libc::EPERM));
            p.load(arg_low(1));
            p.give_if_equal(1, errno(libc::EPERM));
        });
    }
}

/// Calls that set a file's mode, and which argument it is.
#[cfg(target_arch = "x86_64")]
const SET_MODE: &[(libc::c_long, u32)] = &[
    (libc::SYS_chmod, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (FCHMODAT2, 2),
    (libc::SYS_creat, 1),
    (libc::SYS_mknod, 1),
    (libc::SYS_mknodat, 2),
];
#[cfg(target_arch = "aarch64")]
const SET_MODE: &[(libc::c_long, u32)] =
    &[(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2), (FCHMODAT2, 2), (libc::SYS_mknodat, 2)];
const FCHMODAT2: libc::c_long = 452;

/// Calls that may make a file, and which arguments their flags and mode are.
#[cfg(target_arch = "x86_64")]
const OPEN: &[(libc::c_long, u32, u32)] = &[(libc::SYS_open, 1, 2), (libc::SYS_openat, 2, 3)];
#[cfg(target_arch = "aarch64")]
const OPEN: &[(libc::c_long, u32, u32)] = &[(libc::SYS_openat, 2, 3)];

/// What the command makes belongs to the workspace's owner, who may be root: a set-user-id program
/// among it would be run by somebody outside, where the mount's nosuid does not reach.
fn no_set_id_files(p: &mut Filter) {
    let set_id = libc::S_ISUID | libc::S_ISGID;
    for (nr, mode) in SET_MODE {
        p.only_for(*nr, |p| {
            p.load(arg_low(*mode));
            p.give_if_any_bit(set_id, errno(libc::EPERM));
        });
    }
    for (nr, flags, mode) in OPEN {
        p.only_for(*nr, |p| {
            // Without these flags the mode is whatever lay on the stack.
            p.load(arg_low(*flags));
            let makes = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)).cast_unsigned();
            p.0.push((IF_ANY_BIT, 0, 3, makes)); // over the next three
            p.load(arg_low(*mode));
            p.give_if_any_bit(set_id, errno(libc::EPERM));
        });
    }
    // Its mode is in memory, where a filter cannot look: programs fall back to openat.
    p.refuse(libc::SYS_openat2, errno(libc::ENOSYS));
}

/// Installs the filter on the process that carries out the plan.
pub(super) fn install(plan: &mut Plan, optional: bool) {
    plan.section(Purpose::Layer(Layer::Seccomp), optional);
    static PROGRAM: LazyLock<Program> = LazyLock::new(|| filter().program());
    let filter = plan.bytes(&PROGRAM.bytes());
    // struct sock_fprog: a 16-bit length, then a pointer.
    let prog = plan.words(&[PROGRAM.0.len() as u64, filter]);
    let set_mode_filter = 1;
    plan.call(
        "install the seccomp filter",
        libc::SYS_seccomp,
        &[set_mode_filter.into(), 0.into(), prog.into()],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with a program, for one call whose arguments are all `argument`.
    fn verdict(p: &Program, nr: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let (code, yes, no, k) = p.0[at];
            at += 1;
            let holds = match code {
                LOAD => {
                    value = match k {
                        NR => nr,
                        ARCH => AUDIT_ARCH,
                        _ => argument,
                    };
                    continue;
                }
                AND => {
                    value &= k;
                    continue;
                }
                RETURN => return k,
                JUMP => {
                    at += k as usize;
                    continue;
                }
                IF_EQUAL => value == k,
                IF_AT_LEAST => value >= k,
                IF_ANY_BIT => value & k != 0,
                _ => unreachable!("no such instruction is written"),
            };
            at += usize::from(if holds { yes } else { no });
        }
    }

    #[test]
    fn halving_finds_what_a_list_would() {
        let filter = filter();
        let program = filter.program();
        for nr in 0..1000 {
            for argument in [0, 1, 2, 9, 16, 38, 0x5412, libc::S_ISUID, 0x1000_0000, u32::MAX] {
                let expected = filter.0.get(&nr).map_or(ALLOW, |body| verdict(body, nr, argument));
                assert_eq!(verdict(&program, nr, argument), expected, "call {nr}, argument {argument:#x}");
            }
        }
        assert!(program.0.iter().all(|(code, yes, ..)| *code != IF_AT_LEAST || *yes < u8::MAX));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(verdict(&program, 0x4000_0000, 0), errno(libc::ENOSYS));
        }
    }
}
