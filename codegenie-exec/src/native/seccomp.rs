//! The seccomp filter: system calls that an agent's command never needs are refused, most with EPERM.
//!
//! A deny list, because programs of every kind run here and the namespaces are the boundary; it
//! takes away the parts of the kernel where the holes are. Other architectures' calls and the x32
//! calls, whose numbers would slip past the list, never get through.
//!
//! What is refused is handed to init, which answers with the error and tells the host (see
//! `refusals.rs`). It never lets a call go on: whether it answers, is gone, or was never listening, the
//! call has failed.

use super::abi::FD_LISTENER;
use super::bpf::{ALLOW, Filter, NOTIFY, Program, arg_low, errno};
use super::plan::{Arg, Plan, Purpose};
use crate::sandbox::Layer;
use std::sync::LazyLock;

/// A call's number and its name.
pub(super) type Call = (libc::c_long, &'static str);

macro_rules! calls {
    ($($name:ident),* $(,)?) => { &[$((libc::$name, stringify!($name))),*] };
}

/// Calls that are refused whatever their arguments.
const DENIED: &[Call] = calls![
    // Kernel surface with a history of holes, and not for commands.
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_bpf,
    SYS_userfaultfd,
    SYS_perf_event_open,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_lookup_dcookie,
    SYS_nfsservctl,
    SYS_fanotify_init,
    SYS_fanotify_mark,
    SYS_quotactl,
    // Other processes' memory and descriptors.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_kcmp,
    SYS_process_madvise,
    // Mounts and namespaces.
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_setns,
    SYS_unshare,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    // The machine itself.
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_acct,
    SYS_syslog,
    SYS_vhangup,
    SYS_sethostname,
    SYS_setdomainname,
    // Scheduling and memory placement that reach past the command.
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_mbind,
    SYS_set_mempolicy,
    SYS_sched_setattr,
];

/// Those that have no name in the C library's headers yet.
const DENIED_BY_NUMBER: &[Call] = &[(443, "quotactl_fd"), (447, "memfd_secret"), (467, "open_tree_attr")];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[Call] =
    calls![SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS__sysctl, SYS_ustat, SYS_sysfs,];
#[cfg(target_arch = "aarch64")]
const DENIED_HERE: &[Call] = &[];

/// The calls that are refused whatever their arguments.
pub(super) fn denied() -> impl Iterator<Item = Call> {
    DENIED.iter().chain(DENIED_BY_NUMBER).chain(DENIED_HERE).copied()
}

/// The filter. `refusal` is the verdict on a call that fails with that error.
fn filter(refusal: fn(i32) -> u32) -> Filter {
    let mut p = Filter::default();
    for (nr, _) in denied() {
        p.refuse(nr, refusal(libc::EPERM));
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
        p.give_if_any_bit(namespaces.cast_unsigned(), refusal(libc::EPERM));
    });
    p.only_for(libc::SYS_ioctl, |p| {
        // The kernel looks at the low 32 bits only, and so must the filter.
        p.load(arg_low(1));
        for request in [0x5412, 0x541c, 0x5423] {
            // TIOCSTI, TIOCLINUX; and TIOCSETD, which loads line disciplines into the kernel.
            p.give_if_equal(request, refusal(libc::EPERM));
        }
    });
    p.only_for(libc::SYS_personality, |p| {
        // Only asking for the present one, and the plain one.
        p.load(arg_low(0));
        p.mask(!(0x0004_0000)); // ADDR_NO_RANDOMIZE, which debuggers and sanitizers set
        p.give_if_equal(0, ALLOW);
        p.give_unless_equal(!0x0004_0000, refusal(libc::EPERM));
    });
    p.only_for(libc::SYS_socketpair, |p| {
        p.load(arg_low(0));
        p.give_unless_equal(libc::AF_UNIX.cast_unsigned(), refusal(libc::EAFNOSUPPORT));
    });
    p.only_for(libc::SYS_mmap, |p| {
        // Memory that grows by itself is not counted by the limit on data.
        p.load(arg_low(3));
        p.give_if_any_bit(libc::MAP_GROWSDOWN.cast_unsigned(), refusal(libc::EPERM));
    });
    init_is_left_alone(&mut p, refusal);
    p.only_for(libc::SYS_socket, |p| {
        p.load(arg_low(0));
        p.give_if_equal(libc::AF_UNIX.cast_unsigned(), ALLOW);
        // Of the internet families the usual types and protocols: others would load modules into the kernel.
        let mut usual = Program::default();
        usual.load(arg_low(1));
        usual.mask(0xf); // the rest are flags
        usual.give_if_at_least(libc::SOCK_RAW.cast_unsigned() + 1, refusal(libc::EPROTONOSUPPORT));
        usual.load(arg_low(2));
        for protocol in [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6] {
            usual.give_if_equal(protocol.cast_unsigned(), ALLOW);
        }
        usual.give(refusal(libc::EPROTONOSUPPORT));
        for family in [libc::AF_INET, libc::AF_INET6] {
            p.when_equal(family.cast_unsigned(), &usual);
        }
        p.give_unless_equal(libc::AF_NETLINK.cast_unsigned(), refusal(libc::EAFNOSUPPORT));
        // Of netlink only routing, which is how a program lists its interfaces.
        p.load(arg_low(2));
        p.give_unless_equal(libc::NETLINK_ROUTE.cast_unsigned(), refusal(libc::EPROTONOSUPPORT));
    });
    no_set_id_files(&mut p, refusal);
    p
}

/// Init does next to nothing, but that in time: its priority, processors and limits are not the
/// command's to set.
fn init_is_left_alone(p: &mut Filter, refusal: fn(i32) -> u32) {
    for nr in [
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setaffinity,
        libc::SYS_prlimit64,
    ] {
        p.only_for(nr, |p| {
            p.load(arg_low(0));
            p.give_if_equal(1, refusal(libc::EPERM));
        });
    }
    // Of a process or a group, but never of all that a user has: init is among them.
    let (prio_user, ioprio_who_user) = (2, 3);
    for (nr, user) in [(libc::SYS_setpriority, prio_user), (libc::SYS_ioprio_set, ioprio_who_user)] {
        p.only_for(nr, |p| {
            p.load(arg_low(0));
            p.give_if_equal(user, refusal(libc::EPERM));
            p.load(arg_low(1));
            p.give_if_equal(1, refusal(libc::EPERM));
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
fn no_set_id_files(p: &mut Filter, refusal: fn(i32) -> u32) {
    let set_id = libc::S_ISUID | libc::S_ISGID;
    for (nr, mode) in SET_MODE {
        p.only_for(*nr, |p| {
            p.load(arg_low(*mode));
            p.give_if_any_bit(set_id, refusal(libc::EPERM));
        });
    }
    for (nr, flags, mode) in OPEN {
        p.only_for(*nr, |p| {
            // Without these flags the mode is whatever lay on the stack.
            p.load(arg_low(*flags));
            let makes = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)).cast_unsigned();
            p.skip_unless_any_bit(makes, 3);
            p.load(arg_low(*mode));
            p.give_if_any_bit(set_id, refusal(libc::EPERM));
        });
    }
    // Its mode is in memory, where a filter cannot look: programs fall back to openat.
    p.refuse(libc::SYS_openat2, errno(libc::ENOSYS));
}

/// Installs the filter on the process that carries out the plan. `answered`: init listens to it once that
/// process has executed a program; the two share their descriptors until then. Otherwise the filter itself
/// gives the errors.
pub(super) fn install(plan: &mut Plan, optional: bool, answered: bool) {
    let layer = Purpose::Layer(Layer::Seccomp);
    plan.section(layer, optional);
    static ANSWERED: LazyLock<Program> = LazyLock::new(|| filter(|_| NOTIFY).program());
    static PLAIN: LazyLock<Program> = LazyLock::new(|| filter(errno).program());
    let plain = put(plan, &PLAIN);
    if !answered {
        call(plan, INSTALL, plain, 0);
        return;
    }
    let notifying = put(plan, &ANSWERED);
    // A signal need not end a call that init has heard of already; kernels before 5.19 cannot do that.
    let (new_listener, wait_killable) = (1 << 3, 1 << 5);
    call(plan, INSTALL, notifying, new_listener | wait_killable).store(LISTENER).or_else();
    plan.section(Purpose::Records, true);
    call(plan, "listen to refused calls", notifying, new_listener).after_failure().store(LISTENER);
    plan.section(layer, optional);
    // A listener in the host's own surroundings leaves no room for another.
    call(plan, INSTALL, plain, 0).after_failure();
    plan.section(Purpose::Records, true);
    let cloexec = libc::O_CLOEXEC.into();
    plan.call(
        "keep the listener of refused calls",
        libc::SYS_dup3,
        &[Arg::Slot(LISTENER), FD_LISTENER.into(), cloexec],
    );
    plan.call("close a listener", libc::SYS_close, &[Arg::Slot(LISTENER)]).or_else();
}

/// Puts a `struct sock_fprog` into the plan: a 16-bit length, then a pointer. Gives its address.
fn put(plan: &mut Plan, program: &Program) -> u64 {
    let filter = plan.bytes(&program.bytes());
    plan.words(&[program.len() as u64, filter])
}

const INSTALL: &str = "install the seccomp filter";

fn call<'p>(plan: &'p mut Plan, what: &'static str, prog: u64, flags: i32) -> &'p mut Plan {
    let set_mode_filter = 1;
    let args = [set_mode_filter.into(), flags.into(), prog.into()];
    plan.call(what, libc::SYS_seccomp, &args)
}

/// Where the plan keeps the filter's listener.
const LISTENER: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_finds_what_a_list_would() {
        for refusal in [errno as fn(i32) -> u32, |_| NOTIFY] {
            halving_finds(refusal);
        }
    }

    fn halving_finds(refusal: fn(i32) -> u32) {
        let filter = filter(refusal);
        let program = filter.program();
        for nr in 0..1000 {
            for argument in [0, 1, 2, 9, 16, 38, 0x5412, libc::S_ISUID, 0x1000_0000, u32::MAX] {
                let expected = filter.0.get(&nr).map_or(ALLOW, |body| body.verdict(nr, argument));
                assert_eq!(program.verdict(nr, argument), expected, "call {nr}, argument {argument:#x}");
            }
        }
        assert!(program.reaches());
        if cfg!(target_arch = "x86_64") {
            assert_eq!(program.verdict(0x4000_0000, 0), errno(libc::ENOSYS));
        }
    }
}
