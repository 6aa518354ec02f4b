//! Writes plans: what the init program of a sandbox carries out (see `abi.rs`).

use super::abi::{
    ERRAND_ARENA, ERRAND_BASE, ERRAND_BYTES, ERRAND_FIRST, ERRAND_OPS, FD_CONTROL, FLAG_AFTER_FAILURE,
    FLAG_MAY_FAIL, FLAG_PROBE, FLAG_SLOT_ARG0, FLAG_STORE, FLAG_TRY, Header, KIND_DESCRIPTOR, MAGIC,
    OP_AWAIT, OP_END, OP_EXIT, OP_FORK, OP_POKE, OP_REAP, Op, PLAN_BASE, STORE_SHIFT, Status,
};
use crate::sandbox::{Layer, SandboxError};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

/// Memory that operations refer to starts here; before it is room for the operations.
const ARENA: usize = 0x4_0000;
const MAX_OPS: usize = (ARENA - size_of::<Header>()) / size_of::<Op>();
/// The kernel's own bound on arguments and environment is 2 MiB by default.
const MAX_ARENA: usize = 8 << 20;

/// What an operation is for, so that its failure can be explained.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) purpose: Purpose,
    pub(super) what: Cow<'static, str>,
}

/// Whose failure an operation's failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A layer's.
    Layer(Layer),
    /// The request's working directory.
    WorkingDirectory,
    /// The program.
    Program,
    /// The record of what was refused, without which the layers are what they are.
    Records,
    /// The machinery's.
    Machinery,
}

/// An argument of a system call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arg {
    Value(u64),
    Slot(u8),
}

impl From<u64> for Arg {
    fn from(value: u64) -> Self {
        Self::Value(value)
    }
}

impl From<i32> for Arg {
    /// Sign-extended, as the kernel expects of `AT_FDCWD` and other negative numbers.
    fn from(value: i32) -> Self {
        Self::Value(i64::from(value).cast_unsigned())
    }
}

/// Where the memory of a plan is.
#[derive(Clone, Copy, Debug, Default)]
enum Layout {
    /// A whole plan, which init maps.
    #[default]
    Mapped,
    /// The last part of one, which a waiting process receives.
    Errand,
}

/// The plan in the making.
#[derive(Debug, Default)]
pub(super) struct Plan {
    layout: Layout,
    ops: Vec<Op>,
    stages: Vec<Stage>,
    arena: Vec<u8>,
    problem: Option<String>,
    purpose: Option<Purpose>,
    optional: bool,
}

impl Plan {
    /// The last part of a plan, for a process that waits for it.
    pub(super) fn errand() -> Self {
        Self { layout: Layout::Errand, ..Self::default() }
    }

    /// Says whose steps the next ones are, and whether the plan goes on when one of them fails.
    pub(super) fn section(&mut self, purpose: Purpose, optional: bool) {
        self.purpose = Some(purpose);
        self.optional = optional;
    }

    /// Adds a system call.
    pub(super) fn call(
        &mut self,
        what: impl Into<Cow<'static, str>>,
        nr: libc::c_long,
        args: &[Arg],
    ) -> &mut Self {
        let nr = i32::try_from(nr).unwrap_or(i32::MAX);
        self.push(what.into(), nr, args)
    }

    fn push(&mut self, what: Cow<'static, str>, nr: i32, args: &[Arg]) -> &mut Self {
        let mut op = Op { nr, flags: if self.optional { FLAG_MAY_FAIL } else { 0 }, args: [0; 6] };
        for (i, (place, arg)) in op.args.iter_mut().zip(args).enumerate() {
            match *arg {
                Arg::Value(value) => *place = value,
                Arg::Slot(slot) => {
                    *place = u64::from(slot);
                    op.flags |= FLAG_SLOT_ARG0 << i;
                }
            }
        }
        self.ops.push(op);
        self.stages.push(Stage { purpose: self.purpose.unwrap_or(Purpose::Machinery), what });
        self
    }

    /// Stores the last operation's result in a slot.
    pub(super) fn store(&mut self, slot: u8) -> &mut Self {
        self.flag_last(FLAG_STORE | (u32::from(slot) << STORE_SHIFT))
    }

    /// The last operation's failure is nothing: the next one is another try, or it does not matter.
    pub(super) fn or_else(&mut self) -> &mut Self {
        if let Some(op) = self.ops.last_mut() {
            op.flags &= !FLAG_MAY_FAIL;
        }
        self.flag_last(FLAG_TRY)
    }

    /// The last operation is only carried out where the one before it failed.
    pub(super) fn after_failure(&mut self) -> &mut Self {
        self.flag_last(FLAG_AFTER_FAILURE)
    }

    /// The last operation's result is reported, whatever it is.
    pub(super) fn probe(&mut self) -> &mut Self {
        self.flag_last(FLAG_PROBE)
    }

    fn flag_last(&mut self, flag: u32) -> &mut Self {
        if let Some(op) = self.ops.last_mut() {
            op.flags |= flag;
        }
        self
    }

    /// Writes the low half of a slot to a place in the plan's memory.
    pub(super) fn poke(&mut self, address: u64, slot: u8) {
        self.push("store a result".into(), OP_POKE, &[Arg::Value(address), Arg::Value(u64::from(slot))]);
    }

    /// Forks the command's process: it carries out what `command` adds, init goes on behind that.
    pub(super) fn fork(&mut self, command: impl FnOnce(&mut Self)) {
        self.section(Purpose::Machinery, false);
        let fork = self.ops.len();
        self.push("fork the command's process".into(), OP_FORK, &[]);
        command(self);
        self.section(Purpose::Machinery, false);
        self.push("end the command's process".into(), OP_EXIT, &[Arg::Value(126)]);
        let next = self.ops.len() as u64;
        if let Some([target, ..]) = self.ops.get_mut(fork).map(|op| &mut op.args) {
            *target = next;
        }
    }

    /// Reaps until the whole tree has ended; the result is the command's wait status. `answers`: where the
    /// list of answers to refused calls is.
    pub(super) fn reap(&mut self, signals: u8, answers: u64) -> &mut Self {
        self.push("reap".into(), OP_REAP, &[Arg::Value(u64::from(signals)), answers.into()])
    }

    /// Tells the wait status in a slot, and ends init.
    pub(super) fn end(&mut self, slot: u8) {
        self.push("report the end".into(), OP_END, &[Arg::Value(u64::from(slot))]);
    }

    /// Waits for an errand and its descriptors, which take the lowest free numbers.
    pub(super) fn await_errand(&mut self, descriptors: u64) {
        let control_bytes = 16 + 4 * descriptors;
        self.call(
            "make room for the errand",
            libc::SYS_mmap,
            &[
                ERRAND_BASE.into(),
                ERRAND_BYTES.into(),
                (libc::PROT_READ | libc::PROT_WRITE).into(),
                (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE).into(),
                (-1).into(),
                0.into(),
            ],
        );
        let message = self.message(ERRAND_BASE, ERRAND_BYTES, control_bytes);
        self.push("receive the errand".into(), OP_AWAIT, &[message.0.into()]);
    }

    /// Passes the descriptor in a slot to the host, as [`KIND_DESCRIPTOR`] number `which`.
    pub(super) fn pass_fd(&mut self, which: u32, slot: u8) {
        let record = Status { kind: KIND_DESCRIPTOR, op: which, value: 0 };
        let bytes = [&record.kind.to_ne_bytes()[..], &record.op.to_ne_bytes(), &record.value.to_ne_bytes()];
        let record = self.bytes(&bytes.concat());
        let (message, control) = self.message(record, size_of::<Status>() as u64, 20);
        self.poke(control + 16, slot);
        self.call(
            "pass a descriptor to the host",
            libc::SYS_sendmsg,
            &[FD_CONTROL.into(), message.into(), libc::MSG_NOSIGNAL.into()],
        );
    }

    /// A `msghdr` for one buffer and one control message of descriptors, `control` bytes long with its
    /// header. Gives its address and that of the control message.
    fn message(&mut self, buffer: u64, length: u64, control: u64) -> (u64, u64) {
        let part = self.words(&[buffer, length]);
        // struct cmsghdr: the length with the header, the level, the type; then the descriptors.
        let kind = [libc::SOL_SOCKET.to_ne_bytes(), libc::SCM_RIGHTS.to_ne_bytes()].concat();
        let mut bytes = control.to_ne_bytes().to_vec();
        bytes.extend(kind);
        bytes.resize(usize::try_from(control.next_multiple_of(8)).unwrap_or(64), 0);
        let cmsg = self.bytes(&bytes);
        (self.words(&[0, 0, part, 1, cmsg, bytes.len() as u64, 0]), cmsg)
    }

    /// A record of `kind` with room for a payload. Gives the addresses of both.
    pub(super) fn record(&mut self, kind: u32, payload: usize) -> (u64, u64) {
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.resize(size_of::<Status>() + payload, 0);
        let record = self.bytes(&bytes);
        (record, record + size_of::<Status>() as u64)
    }

    /// Sends a record whose payload earlier operations have filled.
    pub(super) fn report(&mut self, record: u64, payload: usize) {
        let length = (size_of::<Status>() + payload) as u64;
        self.call("report to the host", libc::SYS_write, &[FD_CONTROL.into(), record.into(), length.into()])
            .or_else();
    }

    /// Puts bytes into the plan's memory and gives their address there.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> u64 {
        while !self.arena.len().is_multiple_of(8) {
            self.arena.push(0);
        }
        let start = match self.layout {
            Layout::Mapped => PLAN_BASE + ARENA as u64,
            Layout::Errand => ERRAND_BASE + ERRAND_ARENA,
        };
        let address = start + self.arena.len() as u64;
        self.arena.extend_from_slice(bytes);
        address
    }

    /// Puts 64-bit words into the plan's memory.
    pub(super) fn words(&mut self, words: &[u64]) -> u64 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.bytes(&bytes)
    }

    /// Puts a NUL-terminated string into the plan's memory. A string with a NUL spoils the plan.
    pub(super) fn text(&mut self, text: impl AsRef<OsStr>) -> u64 {
        let text = text.as_ref();
        let bytes = text.as_bytes();
        if bytes.contains(&0) && self.problem.is_none() {
            self.problem =
                Some(format!("{text:?} holds a NUL byte, which no argument, path or variable can"));
        }
        let address = self.bytes(bytes);
        self.arena.push(0);
        address
    }

    /// Puts a NULL-terminated array of strings into the plan's memory, as `execve` takes it.
    pub(super) fn texts<T: AsRef<OsStr>>(&mut self, texts: impl IntoIterator<Item = T>) -> u64 {
        let mut addresses: Vec<u64> = texts.into_iter().map(|text| self.text(text)).collect();
        addresses.push(0);
        self.words(&addresses)
    }

    /// What operation `index` is for.
    pub(super) fn stage(&self, index: u32) -> Option<&Stage> {
        let first = match self.layout {
            Layout::Mapped => 0,
            Layout::Errand => ERRAND_FIRST,
        };
        self.stages.get(index.checked_sub(first)? as usize)
    }

    /// Writes the plan to a sealed memory file.
    pub(super) fn write(&self) -> Result<OwnedFd, SandboxError> {
        if let Some(problem) = &self.problem {
            return Err(SandboxError::invalid_request(problem.clone()));
        }
        if self.ops.len() > MAX_OPS || self.arena.len() > MAX_ARENA {
            return Err(SandboxError::invalid_request(format!(
                "the command is too large: {} steps (at most {MAX_OPS}) and {} bytes of arguments, environment and \
                 paths (at most {MAX_ARENA}); grant fewer paths or pass data on standard input",
                self.ops.len(),
                self.arena.len()
            )));
        }
        let mut bytes = Vec::with_capacity(ARENA + self.arena.len());
        let len = (ARENA + self.arena.len()) as u64;
        for word in [MAGIC, len, self.ops.len() as u64] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        self.put_ops(&mut bytes);
        sealed_file(c"codegenie-plan", |file| {
            file.write_all(&bytes)?;
            // A hole up to the arena: pages that nobody touches cost nothing.
            std::os::unix::fs::FileExt::write_all_at(file, &self.arena, ARENA as u64)
        })
        .map_err(|error| SandboxError::system("cannot write the plan to a memory file", error))
    }
}

impl Plan {
    /// The message that an errand is sent as; `None` where it is too large for one.
    pub(super) fn message_bytes(&self) -> Result<Option<Vec<u8>>, SandboxError> {
        if let Some(problem) = &self.problem {
            return Err(SandboxError::invalid_request(problem.clone()));
        }
        let arena = usize::try_from(ERRAND_ARENA).unwrap_or(0);
        let ops_end = usize::try_from(ERRAND_OPS).unwrap_or(0) + self.ops.len() * size_of::<Op>();
        if ops_end > arena || (arena + self.arena.len()) as u64 > ERRAND_BYTES {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(arena + self.arena.len());
        bytes.extend_from_slice(&(self.ops.len() as u64).to_ne_bytes());
        self.put_ops(&mut bytes);
        bytes.resize(arena, 0);
        bytes.extend_from_slice(&self.arena);
        Ok(Some(bytes))
    }

    fn put_ops(&self, bytes: &mut Vec<u8>) {
        for op in &self.ops {
            bytes.extend_from_slice(&op.nr.to_ne_bytes());
            bytes.extend_from_slice(&op.flags.to_ne_bytes());
            for arg in op.args {
                bytes.extend_from_slice(&arg.to_ne_bytes());
            }
        }
    }
}

/// A memory file that nobody can change any more, closed on exec.
pub(super) fn sealed_file(
    name: &std::ffi::CStr,
    fill: impl FnOnce(&mut std::fs::File) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    // Kernels before 6.3 do not know MFD_EXEC; newer ones warn where neither it nor its opposite is given.
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = memfd_create(name, flags | MFdFlags::from_bits_retain(libc::MFD_EXEC))
        .or_else(|_| memfd_create(name, flags))?;
    let mut file = std::fs::File::from(fd);
    fill(&mut file)?;
    let seals =
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}
