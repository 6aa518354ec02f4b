//! The init program of the native sandbox: PID 1 of every sandboxed process tree.
//!
//! A static program without a C library. It maps the plan that the host wrote (see `abi.rs`),
//! carries it out one system call after the other, forks the command, then reaps orphans until the
//! command has ended or the host is gone. All policy is in the plan; all that could be wrong here
//! is these few lines.
#![no_std]
#![no_main]
#![no_builtins]

#[path = "../abi.rs"]
mod abi;
mod refusals;

use abi::{
    Answer, ERRAND_BASE, ERRAND_FIRST, ERRAND_OPS, FD_CONTROL, FD_LISTENER, FD_PLAN, FLAG_AFTER_FAILURE,
    FLAG_MAY_FAIL, FLAG_PROBE, FLAG_SLOT_ARG0, FLAG_STORE, FLAG_TRY, Header, KIND_DEGRADED, KIND_ENDED,
    KIND_FAILED, KIND_PROBE, KIND_READY, KIND_STARTED, MAGIC, OP_AWAIT, OP_END, OP_EXIT, OP_FORK, OP_POKE, OP_REAP, Op, PLAN_BASE, STORE_SHIFT,
    Status,
};
use core::arch::{asm, global_asm};
use refusals::Refusals;

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const READ: i64 = 0;
    pub const WRITE: i64 = 1;
    pub const MMAP: i64 = 9;
    pub const IOCTL: i64 = 16;
    pub const SENDTO: i64 = 44;
    pub const RECVMSG: i64 = 47;
    pub const CLONE: i64 = 56;
    pub const WAIT4: i64 = 61;
    pub const KILL: i64 = 62;
    pub const EXIT_GROUP: i64 = 231;
    pub const PPOLL: i64 = 271;
}

#[cfg(target_arch = "aarch64")]
mod nr {
    pub const IOCTL: i64 = 29;
    pub const READ: i64 = 63;
    pub const WRITE: i64 = 64;
    pub const PPOLL: i64 = 73;
    pub const EXIT_GROUP: i64 = 94;
    pub const KILL: i64 = 129;
    pub const SENDTO: i64 = 206;
    pub const RECVMSG: i64 = 212;
    pub const CLONE: i64 = 220;
    pub const MMAP: i64 = 222;
    pub const WAIT4: i64 = 260;
}

/// Registers that hold results of earlier calls; the plan names one in three bits.
const SLOTS: usize = 8;
const EINTR: i64 = -4;
const ECHILD: i64 = -10;
const EMFILE: i64 = 24;
const SIGKILL: u64 = 9;
const SIGCHLD: u64 = 17;
const CLONE_FILES: u64 = 0x400;
const CLONE_VFORK: u64 = 0x4000;
const WNOHANG: u64 = 1;
/// Children of every kind.
const WALL: u64 = 0x4000_0000;
const POLLIN: i16 = 1;
/// How many children are reaped before init looks for whatever else there is to do.
const REAPED_AT_ONCE: u32 = 16;
/// Of a `msghdr`: the offset of its flags, and the flags that say that something was left out.
const MSG_FLAGS: u64 = 48;
const MSG_TRUNCATED: i32 = 0x28;

// The kernel enters with the stack pointer at argc; nothing of it is used, but a call wants it aligned.
#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "and rsp, -16", "call {run}", "ud2", run = sym run);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x30, #0", "b {run}", run = sym run);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn syscall(nr: i64, a: [u64; 6]) -> i64 {
    let result;
    // SAFETY: the plan's author answers for the arguments. The registers are those that the
    // x86_64 system call convention names as read or clobbered.
    unsafe {
        asm!("syscall", inlateout("rax") nr => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn syscall(nr: i64, a: [u64; 6]) -> i64 {
    let result;
    // SAFETY: as above, by the aarch64 convention.
    unsafe {
        asm!("svc 0", in("x8") nr, inlateout("x0") a[0] => result, in("x1") a[1], in("x2") a[2],
             in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    result
}

fn exit(status: u64) -> ! {
    loop {
        syscall(nr::EXIT_GROUP, [status, 0, 0, 0, 0, 0]);
    }
}

fn report(kind: u32, op: u32, value: i64) {
    let status = Status { kind, op, value };
    syscall(
        nr::WRITE,
        [FD_CONTROL as u64, &raw const status as u64, size_of::<Status>() as u64, 0, 0, 0],
    );
}

extern "C" fn run() -> ! {
    let header = PLAN_BASE as *const Header;
    // The header tells the length; a first page is always there.
    let map = |len: u64| syscall(nr::MMAP, [PLAN_BASE, len, 3, 0x12, FD_PLAN as u64, 0]);
    if map(4096) != PLAN_BASE as i64 {
        report(KIND_FAILED, u32::MAX, 0);
        exit(126);
    }
    // SAFETY: the page is mapped, and the host wrote a header to its start.
    let head = unsafe { header.read() };
    if head.magic != MAGIC || map(head.len) != PLAN_BASE as i64 {
        report(KIND_FAILED, u32::MAX, 0);
        exit(126);
    }
    let mut run = Run {
        ops: (PLAN_BASE + size_of::<Header>() as u64) as *const Op,
        count: head.ops,
        first: 0,
        next: 0,
        slots: [0; SLOTS],
        has_failed: false,
        command: 0,
    };
    while run.next < run.count {
        // SAFETY: next < count, and the host wrote that many operations there.
        let op = unsafe { run.ops.add(run.next as usize).read() };
        run.step(&op);
    }
    exit(125)
}

/// A plan, and how far it has been carried out.
struct Run {
    ops: *const Op,
    count: u64,
    /// What the host counts the operations from.
    first: u32,
    next: u64,
    slots: [u64; SLOTS],
    /// Whether the operation before failed.
    has_failed: bool,
    /// The command's process, as init sees it.
    command: i64,
}

impl Run {
    fn slot(&self, number: u64) -> u64 {
        self.slots[(number & 7) as usize]
    }

    /// Carries out one operation.
    fn step(&mut self, op: &Op) {
        let place = self.first + self.next as u32;
        self.next += 1;
        if op.flags & FLAG_AFTER_FAILURE != 0 && !self.has_failed {
            return;
        }
        let mut args = op.args;
        let mut i = 0;
        while i < 6 {
            if op.flags & (FLAG_SLOT_ARG0 << i) != 0 {
                args[i] = self.slot(args[i]);
            }
            i += 1;
        }
        let result = match op.nr {
            OP_FORK => {
                // Not CLONE_VM: the two share no memory. CLONE_VFORK: init goes on when the command's
                // program has been executed, so that "started" is true when it is said. CLONE_FILES: what
                // the process opens is init's too; executing a program gives it descriptors of its own.
                let pid = syscall(nr::CLONE, [SIGCHLD | CLONE_VFORK | CLONE_FILES, 0, 0, 0, 0, 0]);
                if pid > 0 {
                    self.command = pid;
                    self.next = args[0];
                    report(KIND_STARTED, place, pid);
                }
                pid
            }
            OP_REAP => reap(self.slot(args[0]), args[1] as *const Answer, self.command),
            OP_POKE => {
                // SAFETY: the host made room for four bytes at this address of the plan.
                unsafe { (args[0] as *mut u32).write_unaligned(self.slot(args[1]) as u32) };
                0
            }
            OP_AWAIT => return self.await_errand(place, args[0]),
            OP_END => {
                report(KIND_ENDED, place, self.slot(args[0]) as i64);
                exit(0)
            }
            OP_EXIT => exit(args[0]),
            number => syscall(number as i64, args),
        };
        self.has_failed = result < 0 && result >= -4095;
        if op.flags & FLAG_PROBE != 0 {
            report(KIND_PROBE, place, result);
        } else if self.has_failed {
            if op.flags & FLAG_MAY_FAIL != 0 {
                report(KIND_DEGRADED, place, -result);
            } else if op.flags & FLAG_TRY == 0 {
                report(KIND_FAILED, place, -result);
                exit(126);
            }
        }
        if op.flags & FLAG_STORE != 0 {
            self.slots[((op.flags >> STORE_SHIFT) & 7) as usize] = result as u64;
        }
    }

    fn await_errand(&mut self, place: u32, message: u64) {
        report(KIND_READY, place, 0);
        let received = loop {
            let received = syscall(nr::RECVMSG, [FD_CONTROL as u64, message, 0, 0, 0, 0]);
            if received != EINTR {
                break received;
            }
        };
        // The host is gone, or does not need this sandbox any more.
        if received <= ERRAND_OPS as i64 {
            exit(0);
        }
        // SAFETY: the host made room for a whole `msghdr` at this address of the plan.
        if unsafe { ((message + MSG_FLAGS) as *const i32).read() } & MSG_TRUNCATED != 0 {
            report(KIND_FAILED, place, EMFILE);
            exit(126);
        }
        // SAFETY: the plan has mapped the place, and the message has filled it from its start.
        self.count = unsafe { (ERRAND_BASE as *const u64).read() };
        self.ops = (ERRAND_BASE + ERRAND_OPS) as *const Op;
        self.first = ERRAND_FIRST;
        self.next = 0;
    }
}

#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

fn reap(signals: u64, answers: *const Answer, command: i64) -> i64 {
    let polled = |fd| PollFd { fd, events: POLLIN, revents: 0 };
    let mut polled = [polled(FD_CONTROL), polled(signals as i32), polled(FD_LISTENER)];
    let mut refusals = Refusals::new(answers);
    loop {
        // Bounded: whoever makes children faster than they are reaped must not keep init from the host.
        let mut may_be_more = true;
        let mut reaped = 0;
        while may_be_more && reaped < REAPED_AT_ONCE {
            let mut status = 0i32;
            let pid = syscall(nr::WAIT4, [u64::MAX, &raw mut status as u64, WNOHANG | WALL, 0, 0, 0]);
            if pid == command {
                end_the_rest();
                return status as i64;
            }
            may_be_more = pid > 0 || pid == EINTR;
            reaped += 1;
        }
        let at_once = [0u64; 2];
        let timeout = if may_be_more { &raw const at_once as u64 } else { 0 };
        syscall(nr::PPOLL, [polled.as_mut_ptr() as u64, 3, timeout, 0, 0, 0]);
        if polled[0].revents != 0 {
            obey();
        }
        if polled[1].revents != 0 {
            let mut info = [0u8; 128];
            syscall(nr::READ, [signals, info.as_mut_ptr() as u64, 128, 0, 0, 0]);
        }
        if polled[2].revents & POLLIN != 0 {
            refusals.answer();
        } else if polled[2].revents != 0 {
            // There is none, or nobody is left who could be refused anything.
            polled[2].fd = -1;
        }
    }
}

/// Carries out one order of the host: a system call. A host that is gone ends init, and with it the tree.
fn obey() {
    let mut order = Op { nr: 0, flags: 0, args: [0; 6] };
    let size = size_of::<Op>() as i64;
    let read = syscall(nr::READ, [FD_CONTROL as u64, &raw mut order as u64, size as u64, 0, 0, 0]);
    if read == size {
        syscall(order.nr as i64, order.args);
    } else if read != EINTR {
        exit(0);
    }
}

/// Nothing of the tree can outlive this: the kernel takes no new process into it between the signal
/// and the end of those that there are.
fn end_the_rest() {
    syscall(nr::KILL, [u64::MAX, SIGKILL, 0, 0, 0, 0]);
    while syscall(nr::WAIT4, [u64::MAX, 0, WALL, 0, 0, 0]) != ECHILD {}
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(124)
}

// core's precompiled code may refer to these. Written as loops that the compiler, by
// `no_builtins`, does not turn back into calls of themselves.

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    let mut i = 0;
    while i < len {
        // SAFETY: the caller gives `len` readable and writable bytes.
        unsafe { to.add(i).write(from.add(i).read()) };
        i += 1;
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    let mut i = 0;
    while i < len {
        // SAFETY: the caller gives `len` writable bytes.
        unsafe { to.add(i).write(byte as u8) };
        i += 1;
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    let mut i = 0;
    while i < len {
        // SAFETY: the caller gives `len` readable bytes at both.
        let (x, y) = unsafe { (a.add(i).read(), b.add(i).read()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i += 1;
    }
    0
}
