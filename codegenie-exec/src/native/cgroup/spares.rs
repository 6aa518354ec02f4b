//! Groups that are made before there is a command for them: making one takes the kernel as long as
//! a tenth of a start. None is used twice, since what a group has counted cannot be taken back.

use super::{Group, Groups};
use crate::sandbox::Limits;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many are kept, of all limits together.
const SPARES: usize = 4;

/// What of the limits a group holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupLimits {
    pub(super) memory_bytes: u64,
    pub(super) processes: u64,
    pub(super) cpu_percent: Option<u32>,
    pub(super) counts_cpu: bool,
    pub(super) io_bytes_per_second: Option<u64>,
}

impl From<&Limits> for GroupLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            processes: limits.processes,
            cpu_percent: limits.cpu_percent,
            counts_cpu: limits.cpu.is_some(),
            io_bytes_per_second: limits.io_bytes_per_second,
        }
    }
}

/// The groups that no process has been in.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<VecDeque<(GroupLimits, Group)>>);

impl Spares {
    /// One with these limits, which is nobody else's from here on.
    pub(super) fn take(&self, limits: &GroupLimits) -> Option<Group> {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = spares.iter().position(|(of, _)| of == limits)?;
        spares.remove(place).map(|(_, group)| group)
    }

    fn put(&self, limits: GroupLimits, group: Group) {
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spares.push_back((limits, group));
        // Those of limits that were used longest ago make way.
        let over = spares.len().saturating_sub(SPARES);
        let useless: Vec<_> = spares.drain(..over).collect();
        drop(spares);
        drop(useless);
    }
}

impl Groups {
    /// Removes a group whose processes have ended, and makes a fresh one for a later command with the
    /// same limits. Waits for the kernel.
    pub(in crate::native) fn replace(&self, group: Group, limits: &Limits) {
        drop(group);
        if let Ok(fresh) = self.fresh(limits) {
            self.spares.put(limits.into(), fresh);
        }
    }
}
