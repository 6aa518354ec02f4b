//! Calls that the filter refuses: init answers with the error and tells the host of them.
//!
//! Nothing here may panic, not even as the compiler sees it: a message would need more of the library.

use super::abi::{ANY, Answer, FD_CONTROL, FD_LISTENER, KIND_REFUSED, MORE, Status};
use super::{nr, syscall};

/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND`, with the sizes of what follows.
const RECEIVE: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;
/// Neither wait for the host nor be ended by its end.
const DONTWAIT_NOSIGNAL: u64 = 0x4040;
/// How many the host is told of: room for every call that there is. They fit into the socket's buffer,
/// should it be slow to read.
const TOLD: usize = 192;
/// How many uses of one call, so that no call keeps others off the record.
const OF_ONE_CALL: usize = 8;

/// `struct seccomp_notif`.
#[repr(C)]
struct Call {
    id: u64,
    pid: u32,
    flags: u32,
    nr: u32,
    arch: u32,
    instruction: u64,
    args: [u64; 6],
}

/// `struct seccomp_notif_resp`. Never with the flag that lets a call go on.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

pub(super) struct Refusals {
    answers: *const Answer,
    /// What the host has been told of.
    told: [(u32, u64); TOLD],
    count: usize,
}

impl Refusals {
    /// `answers`: a list in the plan, whose last entry fits every call.
    pub(super) fn new(answers: *const Answer) -> Self {
        Self { answers, told: [(0, 0); TOLD], count: 0 }
    }

    /// Answers to one call that waits. To be asked when the listener is readable: it would wait otherwise.
    pub(super) fn answer(&mut self) {
        let mut call = Call { id: 0, pid: 0, flags: 0, nr: 0, arch: 0, instruction: 0, args: [0; 6] };
        let received = syscall(nr::IOCTL, [FD_LISTENER as u64, RECEIVE, &raw mut call as u64, 0, 0, 0]);
        if received != 0 {
            // Whoever made it has been killed meanwhile.
            return;
        }
        let answer = self.fitting(&call);
        self.tell(&call, &answer);
        let response = Response { id: call.id, value: 0, error: -(answer.errno as i32), flags: 0 };
        syscall(nr::IOCTL, [FD_LISTENER as u64, SEND, &raw const response as u64, 0, 0, 0]);
    }

    fn fitting(&self, call: &Call) -> Answer {
        let mut next = self.answers;
        loop {
            // SAFETY: the host wrote a list whose last entry fits every call.
            let answer = unsafe { next.read() };
            let fits = |wanted: u32, value: u32| wanted == ANY || wanted == value;
            if fits(answer.nr, call.nr) && fits(answer.first, call.args[0] as u32) {
                return answer;
            }
            // SAFETY: as above: this was not the last one.
            next = unsafe { next.add(1) };
        }
    }

    fn tell(&mut self, call: &Call, answer: &Answer) {
        let value = call.args.get(answer.told as usize).map_or(0, |value| value & 0xffff_ffff);
        let known = || self.told.iter().take(self.count).filter(|(nr, _)| *nr == call.nr);
        if known().any(|(_, told)| *told == value) {
            return;
        }
        let value = match known().count() {
            ..OF_ONE_CALL => value,
            OF_ONE_CALL => MORE,
            _ => return,
        };
        let Some(free) = self.told.get_mut(self.count) else { return };
        let status = Status { kind: KIND_REFUSED, op: call.nr, value: value as i64 };
        let args = [FD_CONTROL as u64, &raw const status as u64, size_of::<Status>() as u64, DONTWAIT_NOSIGNAL, 0, 0];
        if syscall(nr::SENDTO, args) > 0 {
            *free = (call.nr, value);
            self.count += 1;
        }
    }
}
