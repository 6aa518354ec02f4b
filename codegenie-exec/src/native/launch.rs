//! Starts the init program in new namespaces, without forking the host.
//!
//! The child shares the host's memory for the few calls until it executes init: copying the page
//! tables of a host of several GiB would take longer than most commands. It runs on a stack of its
//! own, makes raw system calls only, and takes no lock. Every signal is blocked meanwhile, so that
//! no handler of the host runs in it.

use super::abi::{
    FD_CONTROL, FD_PLAN, KIND_DEGRADED, KIND_DESCRIPTOR, KIND_FAILED, KIND_PROBE, KIND_READY, KIND_STARTED,
    Status,
};
use super::control;
use super::identity::Identity;
use super::message::Message;
use super::sys;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// What init reports itself as, before it has read its plan.
pub(super) const BEFORE_PLAN: u32 = u32::MAX;
/// Operation numbers of the child's own steps in [`Status`].
const OP_EXEC_INIT: u32 = u32::MAX - 1;
const OP_CAPABILITIES: u32 = u32::MAX - 2;

const STACK_BYTES: usize = 64 << 10;
/// Long enough for a machine that swaps; a start takes about a millisecond.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Capabilities that init needs inside its own namespaces, as a set of bits: SETGID, SETUID, SETPCAP,
/// NET_ADMIN, SYS_ADMIN, SYS_RESOURCE.
pub(super) const INIT_CAPABILITIES: u32 = 1 << 6 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 21 | 1 << 24;
/// CHOWN, DAC_OVERRIDE, FOWNER: an overlay works on its layers with the capabilities of who mounted it.
pub(super) const OVERLAY_CAPABILITIES: u32 = 1 | 1 << 1 | 1 << 3;

/// A sandbox's init: ended and reaped when this is dropped.
#[derive(Debug)]
pub(super) struct Init {
    pid: i32,
    pidfd: Arc<OwnedFd>,
    reaped: bool,
}

impl Init {
    pub(super) fn pidfd(&self) -> &Arc<OwnedFd> {
        &self.pidfd
    }

    /// Waits for its end. `None` where somebody else has reaped it.
    pub(super) fn reap(&mut self) -> io::Result<Option<sys::Waited>> {
        self.reaped = true;
        sys::wait_clone_child(self.pid)
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if !self.reaped {
            sys::kill_pidfd(self.pidfd.as_fd());
            // Nothing inside can delay a SIGKILL on init: this is short.
            let _ = sys::wait_clone_child(self.pid);
        }
    }
}

/// A started tree. It lives as long as `control` is open and nobody kills init.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) init: Init,
    pub(super) control: Arc<OwnedFd>,
    /// The command's process number, as init sees it; 0 until it has been started.
    pub(super) command: i64,
    /// Operations that failed and were allowed to: index and error number.
    pub(super) degraded: Vec<(u32, i32)>,
    /// Results of probing operations: index and raw result.
    pub(super) probes: Vec<(u32, i64)>,
    /// Descriptors that were made inside and passed out, by their numbers in the plan.
    pub(super) passed: Vec<(u32, OwnedFd)>,
}

/// Why a tree was not started.
#[derive(Debug)]
pub(super) enum StartError {
    /// New namespaces were refused.
    Namespaces(io::Error),
    /// The id maps were refused.
    Map(io::Error),
    /// Init could not be executed.
    Init(io::Error),
    /// Operation `op` of the plan failed.
    Plan { op: u32, error: io::Error },
    /// The machinery failed.
    System(&'static str, io::Error),
}

/// What init is started with.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) init: &'a OwnedFd,
    pub(super) plan: OwnedFd,
    pub(super) stdio: &'a [OwnedFd; 3],
    /// Descriptors that the plan uses by their present numbers, all above init's own.
    pub(super) kept: Vec<OwnedFd>,
    pub(super) namespaces: c_int,
    pub(super) identity: Identity,
    /// See [`INIT_CAPABILITIES`].
    pub(super) capabilities: u32,
}

impl Launch<'_> {
    /// Starts the tree and waits until the command's program has been executed, or until its process
    /// waits for an errand. `admit` is asked with the child's process number before it does anything;
    /// a refusal ends it.
    pub(super) fn start(self, admit: impl FnOnce(i32) -> bool) -> Result<Started, StartError> {
        let system = |what| move |error: io::Error| StartError::System(what, error);
        let (control, inside) = control::pair().map_err(system("cannot make the control socket"))?;
        let [stdin, stdout, stderr] = self.stdio;
        let targets = [
            (stdin.as_raw_fd(), 0),
            (stdout.as_raw_fd(), 1),
            (stderr.as_raw_fd(), 2),
            (self.plan.as_raw_fd(), FD_PLAN),
            (inside.as_raw_fd(), FD_CONTROL),
        ];
        let kept: Vec<RawFd> = self.kept.iter().map(AsRawFd::as_raw_fd).collect();
        let child = clone_child(self.namespaces, Some(self.init), &targets, &kept, self.capabilities)?;
        drop(inside);

        let mapped = write_maps(child.pid, &self.identity);
        if !admit(child.pid) {
            drop(child.go);
            child.memory.release_after_end(child.pid);
            return Err(StartError::System(
                "the child was not admitted",
                io::Error::from(io::ErrorKind::Other),
            ));
        }
        if let Err(error) = mapped {
            drop(child.go);
            child.memory.release_after_end(child.pid);
            return Err(StartError::Map(error));
        }
        let mut go = File::from(child.go);
        if let Err(error) = go.write_all(&[1]) {
            drop(go);
            child.memory.release_after_end(child.pid);
            return Err(StartError::System("cannot release the child", error));
        }
        drop(go);

        let mut started = Started {
            init: Init { pid: child.pid, pidfd: Arc::new(child.pidfd), reaped: false },
            control: Arc::new(control),
            command: 0,
            degraded: Vec::new(),
            probes: Vec::new(),
            passed: Vec::new(),
        };
        let outcome = await_start(&mut started);
        if outcome.is_err() {
            sys::kill_pidfd(started.init.pidfd.as_fd());
            if started.init.reap().is_err() {
                std::mem::forget(child.memory);
            }
        }
        // Nothing runs on the child's memory any more: it has ended, or executed init.
        outcome.map(|()| started)
    }
}

/// Reads what init tells until the command has been started, or its process waits for an errand.
fn await_start(started: &mut Started) -> Result<(), StartError> {
    loop {
        let message = control::receive(&started.control, Some(START_TIMEOUT)).map_err(no_status)?;
        if started.hear(message)? {
            return Ok(());
        }
    }
}

fn no_status(error: io::Error) -> StartError {
    StartError::System("cannot read init's status", error)
}

impl Started {
    /// Waits, without holding up the thread, until the command that waited for an errand has been started.
    pub(super) async fn await_command(&mut self, told: &AsyncFd<Arc<OwnedFd>>) -> Result<(), StartError> {
        let command = async {
            loop {
                let mut guard = told.readable().await.map_err(no_status)?;
                let Ok(message) = guard.try_io(|fd| control::receive(fd.get_ref(), None)) else { continue };
                if self.hear(message.map_err(no_status)?)? {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(START_TIMEOUT, command)
            .await
            .unwrap_or_else(|_| Err(no_status(io::Error::from(io::ErrorKind::TimedOut))))
    }

    /// Takes note of what init told. True: the command has been started, or its process waits.
    fn hear(&mut self, message: Option<Message>) -> Result<bool, StartError> {
        let Some(message) = message else {
            let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(StartError::System("init ended before the command was started", ended));
        };
        let status = message.status;
        let errno = i32::try_from(status.value).unwrap_or(0);
        match (status.kind, status.op) {
            (KIND_STARTED, _) => {
                self.command = status.value;
                return Ok(true);
            }
            (KIND_READY, _) => return Ok(true),
            (KIND_FAILED, OP_EXEC_INIT) => {
                return Err(StartError::Init(io::Error::from_raw_os_error(errno)));
            }
            (KIND_FAILED, OP_CAPABILITIES) => {
                let error = io::Error::from_raw_os_error(errno);
                return Err(StartError::System("cannot pass capabilities to init", error));
            }
            (KIND_FAILED, BEFORE_PLAN) => {
                let error = io::Error::from(io::ErrorKind::InvalidData);
                return Err(StartError::System("init could not map its plan", error));
            }
            (KIND_FAILED, op) => {
                return Err(StartError::Plan { op, error: io::Error::from_raw_os_error(errno) });
            }
            (KIND_DEGRADED, op) => self.degraded.push((op, errno)),
            (KIND_PROBE, op) => self.probes.push((op, status.value)),
            (KIND_DESCRIPTOR, which) => {
                let descriptor = message.descriptor.ok_or_else(|| {
                    let error = io::Error::from(io::ErrorKind::InvalidData);
                    StartError::System("init passed no descriptor: raise the limit on open files", error)
                })?;
                self.passed.push((which, descriptor));
            }
            _ => {
                let error = io::Error::from(io::ErrorKind::InvalidData);
                return Err(StartError::System("init sent a status of an unknown kind", error));
            }
        }
        Ok(false)
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok((sys::above_init_range(read)?, sys::above_init_range(write)?))
}

fn write_maps(pid: i32, identity: &Identity) -> io::Result<()> {
    let put = |name: &str, text: &str| std::fs::write(format!("/proc/{pid}/{name}"), text);
    if !identity.dropped {
        // Without privilege in the parent namespace, the kernel wants this before a group map.
        put("setgroups", "deny")?;
    }
    put("uid_map", &identity.uid_map())?;
    put("gid_map", &identity.gid_map())
}

/// A user namespace with these maps, for id-mapped mounts. Its only process has ended.
pub(super) fn user_namespace(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    let child = clone_child(libc::CLONE_NEWUSER, None, &[], &[], 0).map_err(|error| match error {
        StartError::Namespaces(error) | StartError::System(_, error) => error,
        _ => io::Error::other("the helper process did not start"),
    })?;
    let pid = child.pid;
    let namespace = std::fs::write(format!("/proc/{pid}/uid_map"), uid_map)
        .and_then(|()| std::fs::write(format!("/proc/{pid}/gid_map"), gid_map))
        .and_then(|()| File::open(format!("/proc/{pid}/ns/user")));
    drop(child.go);
    child.memory.release_after_end(pid);
    namespace.map(OwnedFd::from)
}

/// What a child runs on and reads. Given back only when nothing runs on it any more.
#[derive(Debug)]
struct Memory(Option<Box<Contents>>);

#[derive(Debug)]
struct Contents {
    stack: Vec<u8>,
    /// Ranges of descriptors that are not for the child.
    closed: Vec<(u32, u32)>,
    /// Descriptors and the numbers at which init expects them.
    targets: Vec<(RawFd, RawFd)>,
    /// Descriptors that init gets at their present numbers.
    kept: Vec<RawFd>,
    argv: [*const u8; 2],
    envp: [*const u8; 1],
    /// Read for the release; end of file ends the child.
    go: RawFd,
    /// -1: end when released.
    init: RawFd,
    capabilities: u32,
}

impl Memory {
    /// Waits for the child's end, then gives the memory back; keeps it for ever where the end
    /// cannot be learnt.
    fn release_after_end(mut self, pid: i32) {
        if sys::wait_clone_child(pid).is_err() {
            std::mem::forget(self.0.take());
        }
    }
}

#[derive(Debug)]
struct Child {
    pid: i32,
    pidfd: OwnedFd,
    /// One byte releases the child; closing it ends the child.
    go: OwnedFd,
    memory: Memory,
}

/// Clones a child that waits to be released.
fn clone_child(
    namespaces: c_int,
    init: Option<&OwnedFd>,
    targets: &[(RawFd, RawFd)],
    kept: &[RawFd],
    capabilities: u32,
) -> Result<Child, StartError> {
    let (go_read, go_write) =
        pipe().map_err(|error| StartError::System("cannot make the release pipe", error))?;
    let init = init.map_or(-1, AsRawFd::as_raw_fd);
    let name: &'static CStr = c"codegenie-init";
    let mut contents = Box::new(Contents {
        stack: vec![0; STACK_BYTES],
        closed: ranges_without(
            targets
                .iter()
                .map(|(from, _)| *from)
                .chain(kept.iter().copied())
                .chain([go_read.as_raw_fd(), init]),
        ),
        targets: targets.to_vec(),
        kept: kept.to_vec(),
        argv: [name.as_ptr().cast(), std::ptr::null()],
        envp: [std::ptr::null()],
        go: go_read.as_raw_fd(),
        init,
        capabilities,
    });
    let end = contents.stack.as_mut_ptr().wrapping_add(STACK_BYTES);
    // The ABI wants 16 bytes.
    let top = end.wrapping_sub(end.addr() % 16);
    let mut pidfd: c_int = -1;
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))
        .map_err(|error| StartError::System("cannot block signals", error.into()))?;
    // SAFETY: `child_main` runs on a stack of its own and reads `contents` only; both live in
    // `Memory` until the child has executed init or ended. It makes raw system calls only.
    let pid = unsafe {
        libc::clone(
            child_main,
            top.cast(),
            libc::CLONE_VM | libc::CLONE_PIDFD | namespaces,
            std::ptr::from_mut(&mut *contents).cast(),
            &raw mut pidfd,
        )
    };
    let failed = (pid < 0).then(io::Error::last_os_error);
    // Setting back a mask that was read a moment ago cannot fail.
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    if let Some(error) = failed {
        return Err(StartError::Namespaces(error));
    }
    // SAFETY: CLONE_PIDFD has put a new descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid, pidfd, go: go_write, memory: Memory(Some(contents)) })
}

/// Every range of descriptors between those that are `open`. Everything that is not for the child
/// is closed in it at once, the write ends of other children's pipes included: when the host dies,
/// each of them must see a hang-up.
fn ranges_without(open: impl Iterator<Item = RawFd>) -> Vec<(u32, u32)> {
    let mut open: Vec<u32> = open.filter_map(|fd| u32::try_from(fd).ok()).collect();
    open.sort_unstable();
    let mut closed = Vec::with_capacity(open.len() + 1);
    let mut next = 0;
    for fd in open {
        if fd > next {
            closed.push((next, fd - 1));
        }
        next = fd.saturating_add(1);
    }
    closed.push((next, u32::MAX));
    closed
}

/// The child, in the host's memory. No allocation, no lock, no thread-local, no panic.
extern "C" fn child_main(argument: *mut c_void) -> c_int {
    // SAFETY: the argument is the `Contents` that `clone_child` made, and it outlives this process's
    // use of it. Every system call below gets numbers, or pointers into it or into this stack.
    unsafe {
        let orders = &*argument.cast::<Contents>();
        let call = |nr: libc::c_long, a: [u64; 6]| sys::raw(nr, a);
        for (first, last) in &orders.closed {
            call(libc::SYS_close_range, [u64::from(*first), u64::from(*last), 0, 0, 0, 0]);
        }
        let mut released = 0u8;
        let byte = (&raw mut released) as u64;
        if call(libc::SYS_read, [orders.go as u64, byte, 1, 0, 0, 0]) != 1 || orders.init < 0 {
            call(libc::SYS_exit_group, [0; 6]);
        }
        for (from, to) in &orders.targets {
            call(libc::SYS_dup3, [*from as u64, *to as u64, 0, 0, 0, 0]);
        }
        for fd in &orders.kept {
            call(libc::SYS_fcntl, [*fd as u64, libc::F_SETFD as u64, 0, 0, 0, 0]);
        }
        // Ambient capabilities survive the execution of init, whatever ids it runs under.
        let wanted = orders.capabilities;
        let header = [0x2008_0522u32, 0];
        let data = [wanted, wanted, wanted, 0, 0, 0];
        let pointers = [(&raw const header) as u64, (&raw const data) as u64, 0, 0, 0, 0];
        let mut result = call(libc::SYS_capset, pointers);
        for capability in 0..u64::from(u32::BITS) {
            if result >= 0 && wanted & (1 << capability) != 0 {
                let raise =
                    [libc::PR_CAP_AMBIENT as u64, libc::PR_CAP_AMBIENT_RAISE as u64, capability, 0, 0, 0];
                result = call(libc::SYS_prctl, raise);
            }
        }
        let mut op = OP_CAPABILITIES;
        if result >= 0 {
            let (argv, envp) = (orders.argv.as_ptr() as u64, orders.envp.as_ptr() as u64);
            let empty = c"".as_ptr() as u64;
            op = OP_EXEC_INIT;
            let at = libc::AT_EMPTY_PATH as u64;
            result = call(libc::SYS_execveat, [orders.init as u64, empty, argv, envp, at, 0]);
        }
        let status = Status { kind: KIND_FAILED, op, value: result.wrapping_neg() };
        let report = [FD_CONTROL as u64, (&raw const status) as u64, size_of::<Status>() as u64, 0, 0, 0];
        call(libc::SYS_write, report);
        call(libc::SYS_exit_group, [1, 0, 0, 0, 0, 0]);
    }
    0
}
