//! What the host and the init program agree on. Compiled into both, so that they cannot differ.
//!
//! The host writes a *plan*: a list of system calls with all their memory, laid out for one fixed
//! address. The init program maps it there and carries it out. It decides nothing itself. A plan
//! may leave out its last part, the *errand*: what is executed, where, with which arguments. Then
//! the confined process waits for that.

/// Where init maps the plan. Free in a static program that is linked at the default address.
pub(super) const PLAN_BASE: u64 = 0x2000_0000;

/// "CGPLAN" and the version of this layout, little endian.
pub(super) const MAGIC: u64 = 0x0001_4e41_4c50_4743;

/// Descriptor of the plan, when init starts.
pub(super) const FD_PLAN: i32 = 3;
/// The socket to the host: init reports to it, takes orders from it, and its hang-up tells init
/// that the host is gone.
pub(super) const FD_CONTROL: i32 = 4;

/// Where init finds the listener of the seccomp filter, which tells of calls that are refused. Closed where
/// there is none.
pub(super) const FD_LISTENER: i32 = 15;

/// Where a waiting command's process receives its errand: a count of operations, the operations,
/// then the memory that they refer to.
pub(super) const ERRAND_BASE: u64 = 0x3000_0000;
/// Room for an errand.
pub(super) const ERRAND_BYTES: u64 = 0x2_0000;
/// Where the operations of an errand start, and its memory.
pub(super) const ERRAND_OPS: u64 = 8;
/// See [`ERRAND_OPS`].
pub(super) const ERRAND_ARENA: u64 = 0x1000;
/// Operations of an errand are reported as if they had been numbered from here.
pub(super) const ERRAND_FIRST: u32 = 1 << 16;

/// The start of a plan. The operations follow at once, then the memory that they refer to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// [`MAGIC`].
    pub(super) magic: u64,
    /// Length of the whole plan in bytes.
    pub(super) len: u64,
    /// Number of operations.
    pub(super) ops: u64,
}

/// One step of a plan.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    /// A system call number, or one of the `OP_` values.
    pub(super) nr: i32,
    /// `FLAG_` values.
    pub(super) flags: u32,
    /// Arguments; addresses are absolute.
    pub(super) args: [u64; 6],
}

/// What init answers to a call that is refused. In a list the first that fits counts; the last fits all.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The call, or [`ANY`].
    pub(super) nr: u32,
    /// The low half of its first argument, or [`ANY`].
    pub(super) first: u32,
    /// The error.
    pub(super) errno: u32,
    /// Which argument the host is told of, or [`ANY`]: none.
    pub(super) told: u32,
}

/// Every value of a field of [`Answer`].
pub(super) const ANY: u32 = u32::MAX;

/// Forks the command's process, which goes on with the next operation. Init itself goes on with
/// operation `args[0]` when that process has executed a program or ended. Until then the two share their
/// descriptors.
pub(super) const OP_FORK: i32 = -1;
/// Reaps until the command has ended, then kills and reaps what is left of the tree; the result is
/// the command's wait status. Ends init when the host is gone. Meanwhile it answers to the calls that the
/// filter refuses. `args[0]`: the slot of the signalfd; `args[1]`: the list of [`Answer`]s.
pub(super) const OP_REAP: i32 = -2;
/// Writes the low 32 bits of slot `args[1]` to the address `args[0]`.
pub(super) const OP_POKE: i32 = -3;
/// Ends the process that carries out the plan with status `args[0]`.
pub(super) const OP_EXIT: i32 = -4;
/// Tells the host that the process is ready, waits for an errand and goes on with it. `args[0]`: the
/// `msghdr` to receive by.
pub(super) const OP_AWAIT: i32 = -5;
/// Reports the wait status in slot `args[0]` as [`KIND_ENDED`], and ends init.
pub(super) const OP_END: i32 = -6;

/// Bits 0 to 5: argument i is the number of a slot, whose value is passed.
pub(super) const FLAG_SLOT_ARG0: u32 = 1;
/// A failure is reported as [`KIND_DEGRADED`], and the plan goes on.
pub(super) const FLAG_MAY_FAIL: u32 = 1 << 6;
/// A failure is not even reported: the next step is another try.
pub(super) const FLAG_TRY: u32 = 1 << 7;
/// The result is reported as [`KIND_PROBE`], whatever it is.
pub(super) const FLAG_PROBE: u32 = 1 << 8;
/// The result is stored in the slot whose number is in bits 12 to 14.
pub(super) const FLAG_STORE: u32 = 1 << 9;
/// The operation is only carried out where the one before it failed.
pub(super) const FLAG_AFTER_FAILURE: u32 = 1 << 10;
/// Position of the slot's number.
pub(super) const STORE_SHIFT: u32 = 12;

/// A report to the host. What else there is to say follows it in the same message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Status {
    /// One of the `KIND_` values.
    pub(super) kind: u32,
    /// The index of the operation, where one is meant.
    pub(super) op: u32,
    /// An error number, a process id, or a wait status.
    pub(super) value: i64,
}

/// An operation failed and the plan was given up; `value` is the error number.
pub(super) const KIND_FAILED: u32 = 1;
/// An operation failed and the plan goes on; `value` is the error number.
pub(super) const KIND_DEGRADED: u32 = 2;
/// The command's program was executed, or its plan was given up: a `KIND_FAILED` came before then.
pub(super) const KIND_STARTED: u32 = 3;
/// The command and the rest of its tree have ended; `value` is the command's wait status.
pub(super) const KIND_ENDED: u32 = 4;
/// The result of a probing operation: `value` is the call's raw result.
pub(super) const KIND_PROBE: u32 = 5;
/// The command's process is confined and waits for its errand.
pub(super) const KIND_READY: u32 = 6;
/// What `getrusage` says of the tree follows.
pub(super) const KIND_USAGE: u32 = 7;
/// The text of init's `/proc/self/io` follows.
pub(super) const KIND_IO: u32 = 8;
/// A descriptor comes with the message; `op` says which.
pub(super) const KIND_DESCRIPTOR: u32 = 9;
/// A call was refused: `op` is its number, `value` the argument that [`Answer::told`] names. Once for each
/// of these pairs, a few times for each call; one that follows is told as [`MORE`].
pub(super) const KIND_REFUSED: u32 = 10;
/// See [`KIND_REFUSED`].
pub(super) const MORE: u64 = u64::MAX;
