//! Programs for the kernel's filter of system calls, in classic BPF: written, never read.

use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

pub(super) const ALLOW: u32 = 0x7fff_0000;
pub(super) const KILL_PROCESS: u32 = 0x8000_0000;
/// The listener of the filter is told, and answers; where there is none, the call fails with ENOSYS.
pub(super) const NOTIFY: u32 = 0x7fc0_0000;
pub(super) const fn errno(number: i32) -> u32 {
    0x0005_0000 | number as u32
}

/// `struct seccomp_data` offsets: the call's number, its architecture, its arguments.
const NR: u32 = 0;
const ARCH: u32 = 4;
pub(super) const fn arg_low(index: u32) -> u32 {
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
pub(super) struct Program(Vec<Instruction>);

impl Program {
    pub(super) fn load(&mut self, offset: u32) {
        self.0.push((LOAD, 0, 0, offset));
    }
    pub(super) fn mask(&mut self, bits: u32) {
        self.0.push((AND, 0, 0, bits));
    }
    pub(super) fn give(&mut self, verdict: u32) {
        self.0.push((RETURN, 0, 0, verdict));
    }
    pub(super) fn give_if_equal(&mut self, value: u32, verdict: u32) {
        self.0.push((IF_EQUAL, 0, 1, value));
        self.give(verdict);
    }
    pub(super) fn give_unless_equal(&mut self, value: u32, verdict: u32) {
        self.0.push((IF_EQUAL, 1, 0, value));
        self.give(verdict);
    }
    /// Goes through `block` only where it is `value`.
    pub(super) fn when_equal(&mut self, value: u32, block: &Self) {
        // A jump on a condition reaches 255 instructions: the kernel refuses a filter that ends in the middle.
        let length = u8::try_from(block.0.len()).unwrap_or(u8::MAX);
        self.0.push((IF_EQUAL, 0, length, value));
        self.0.extend_from_slice(&block.0);
    }
    /// Over the next `count` instructions, unless one of `bits` is set.
    pub(super) fn skip_unless_any_bit(&mut self, bits: u32, count: u8) {
        self.0.push((IF_ANY_BIT, 0, count, bits));
    }
    /// How many instructions it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
    pub(super) fn give_if_any_bit(&mut self, bits: u32, verdict: u32) {
        self.0.push((IF_ANY_BIT, 0, 1, bits));
        self.give(verdict);
    }
    pub(super) fn give_if_at_least(&mut self, value: u32, verdict: u32) {
        self.0.push((IF_AT_LEAST, 0, 1, value));
        self.give(verdict);
    }
    pub(super) fn bytes(&self) -> Vec<u8> {
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
pub(super) struct Filter(pub(super) BTreeMap<u32, Program>);

impl Filter {
    pub(super) fn refuse(&mut self, nr: libc::c_long, verdict: u32) {
        self.0.insert(number(nr), Program(vec![(RETURN, 0, 0, verdict)]));
    }

    /// `body` decides about one call; where it does not, the call is allowed.
    pub(super) fn only_for(&mut self, nr: libc::c_long, body: impl FnOnce(&mut Program)) {
        let mut program = Program::default();
        body(&mut program);
        program.give(ALLOW);
        self.0.insert(number(nr), program);
    }

    /// The whole program. The call is found by halving: the kernel goes through the filter for every
    /// call there is when it is installed, and a list would make that most of the cost.
    pub(super) fn program(&self) -> Program {
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

pub(super) fn number(nr: libc::c_long) -> u32 {
    u32::try_from(nr).unwrap_or(u32::MAX)
}

#[cfg(test)]
impl Program {
    /// What the kernel does with it, for one call whose arguments are all `argument`.
    pub(super) fn verdict(&self, nr: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let (code, yes, no, k) = self.0[at];
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

    /// Whether every jump that halves the calls is one that the kernel takes.
    pub(super) fn reaches(&self) -> bool {
        self.0.iter().all(|(code, yes, ..)| *code != IF_AT_LEAST || *yes < u8::MAX)
    }
}
