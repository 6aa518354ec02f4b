//! Raw system calls: those that std and nix do not have, and those that must not touch errno.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One raw system call that touches neither errno nor any other thread-local memory, so that it
/// may be made in a process that shares the caller's memory.
///
/// # Safety
/// As the system call itself.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn raw(nr: i64, a: [u64; 6]) -> i64 {
    let [a0, a1, a2, a3, a4, a5] = a;
    let result;
    // SAFETY: the registers are those that the x86_64 convention reads or clobbers; the caller
    // answers for the arguments.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") nr => result, in("rdi") a0, in("rsi") a1, in("rdx") a2,
            in("r10") a3, in("r8") a4, in("r9") a5, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// As above.
///
/// # Safety
/// As the system call itself.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) unsafe fn raw(nr: i64, a: [u64; 6]) -> i64 {
    let [a0, a1, a2, a3, a4, a5] = a;
    let result;
    // SAFETY: the registers are those that the aarch64 convention reads or clobbers; the caller
    // answers for the arguments.
    unsafe {
        std::arch::asm!("svc 0", in("x8") nr, inlateout("x0") a0 => result, in("x1") a1, in("x2") a2,
            in("x3") a3, in("x4") a4, in("x5") a5, options(nostack));
    }
    result
}

fn checked(result: i64) -> io::Result<i64> {
    if (-4095..0).contains(&result) {
        Err(io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EIO)))
    } else {
        Ok(result)
    }
}

fn fd_from(result: i64) -> io::Result<OwnedFd> {
    let fd = i32::try_from(checked(result)?).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MountAttr {
    pub(super) attr_set: u64,
    pub(super) attr_clr: u64,
    pub(super) propagation: u64,
    pub(super) userns_fd: u64,
}

pub(super) const MOUNT_ATTR_RDONLY: u64 = 0x1;
pub(super) const MOUNT_ATTR_NOSUID: u64 = 0x2;
pub(super) const MOUNT_ATTR_NODEV: u64 = 0x4;
pub(super) const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
pub(super) const OPEN_TREE_CLONE: u64 = 1;
pub(super) const OPEN_TREE_CLOEXEC: u64 = 0o2_000_000;
pub(super) const AT_RECURSIVE: u64 = 0x8000;
pub(super) const MOVE_MOUNT_F_EMPTY_PATH: u64 = 0x4;
pub(super) const MOVE_MOUNT_T_EMPTY_PATH: u64 = 0x40;

/// A descriptor of what is at `path`, of which no component may be a symbolic link.
pub(super) fn open_without_links(path: &CStr) -> io::Result<OwnedFd> {
    let how = [(libc::O_PATH | libc::O_CLOEXEC) as u64, 0, libc::RESOLVE_NO_SYMLINKS];
    // SAFETY: the path is NUL-terminated, `how` is the kernel's struct open_how, its size is given.
    fd_from(unsafe {
        raw(
            libc::SYS_openat2,
            [
                libc::AT_FDCWD as u64,
                path.as_ptr() as u64,
                how.as_ptr() as u64,
                size_of_val(&how) as u64,
                0,
                0,
            ],
        )
    })
}

/// A detached copy of the mounts below what `place` is a descriptor of.
pub(super) fn open_tree_clone(place: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | libc::AT_EMPTY_PATH as u64;
    // SAFETY: the empty path is NUL-terminated and lives through the call.
    fd_from(unsafe {
        raw(libc::SYS_open_tree, [place.as_raw_fd() as u64, c"".as_ptr() as u64, flags, 0, 0, 0])
    })
}

/// Sets attributes on a detached copy of mounts, recursively.
pub(super) fn mount_setattr(tree: BorrowedFd<'_>, attr: &MountAttr) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH as u64 | AT_RECURSIVE;
    // SAFETY: the attribute structure lives through the call and its size is given.
    checked(unsafe {
        raw(
            libc::SYS_mount_setattr,
            [
                tree.as_raw_fd() as u64,
                c"".as_ptr() as u64,
                flags,
                std::ptr::from_ref(attr) as u64,
                size_of::<MountAttr>() as u64,
                0,
            ],
        )
    })
    .map(drop)
}

/// The Landlock ABI of this kernel; an error where there is none.
pub(super) fn landlock_abi() -> io::Result<i64> {
    // SAFETY: the version query takes no memory.
    checked(unsafe { raw(libc::SYS_landlock_create_ruleset, [0, 0, 1, 0, 0, 0]) })
}

/// Sends SIGKILL to the process behind a pidfd. A process that has ended is no error.
pub(super) fn kill_pidfd(pidfd: BorrowedFd<'_>) {
    // SAFETY: no memory is passed.
    let _ = unsafe {
        raw(libc::SYS_pidfd_send_signal, [pidfd.as_raw_fd() as u64, libc::SIGKILL as u64, 0, 0, 0, 0])
    };
}

/// What `wait4` tells of an ended process and the descendants that it waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waited {
    pub(super) cpu: std::time::Duration,
    pub(super) max_rss_bytes: u64,
}

/// Waits for the end of a cloned child and reaps it. `None` where somebody else did: a host that
/// ignores SIGCHLD or waits for any child, since executing init has set its exit signal.
pub(super) fn wait_clone_child(pid: i32) -> io::Result<Option<Waited>> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value of that plain structure.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both out-pointers are valid for the call.
        match unsafe { libc::wait4(pid, &raw mut status, libc::__WALL, &raw mut usage) } {
            -1 => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
            _ => {
                let time = |t: libc::timeval| {
                    std::time::Duration::from_secs(u64::try_from(t.tv_sec).unwrap_or(0))
                        + std::time::Duration::from_micros(u64::try_from(t.tv_usec).unwrap_or(0))
                };
                return Ok(Some(Waited {
                    cpu: time(usage.ru_utime) + time(usage.ru_stime),
                    max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
                }));
            }
        }
    }
}

/// Moves a descriptor out of the range that init uses for its own.
pub(super) fn above_init_range(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= 16 {
        return Ok(fd);
    }
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes numbers only.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 16) };
    if copy < 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::EINVAL) {
            // The number asked for is above the limit.
            return Err(io::Error::other(
                "the limit on open files is too low: raise it (ulimit -n) to 64 or more",
            ));
        }
        return Err(error);
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
