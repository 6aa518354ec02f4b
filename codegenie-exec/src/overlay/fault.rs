//! Places at which a test lets a commit fail, or end as if the process had been killed there.

use super::error::CowError;

/// Outside of tests nothing.
#[cfg(not(test))]
#[inline]
#[allow(clippy::unnecessary_wraps, reason = "it fails in tests")]
pub(super) fn point() -> Result<(), CowError> {
    Ok(())
}

/// Whether the process is to be taken for dead.
#[cfg(not(test))]
#[inline]
pub(super) fn is_dead() -> bool {
    false
}

#[cfg(test)]
pub(super) use armed::{Fault, arm, is_dead, point};

#[cfg(test)]
mod armed {
    use super::CowError;
    use crate::overlay::error::CowErrorKind;
    use std::cell::Cell;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) enum Fault {
        None,
        /// The point of this number fails, once.
        Fail(u32),
        /// The process ends at the point of this number: nothing after it succeeds.
        Die(u32),
    }

    thread_local! {
        static NEXT: Cell<Fault> = const { Cell::new(Fault::None) };
    }

    /// Sets what happens to this thread's commits.
    pub(in super::super) fn arm(fault: Fault) {
        NEXT.set(fault);
    }

    pub(in super::super) fn point() -> Result<(), CowError> {
        let failed = Err(CowError::new(CowErrorKind::System, "ended by the test"));
        let (next, result) = match NEXT.get() {
            Fault::None => (Fault::None, Ok(())),
            Fault::Fail(0) => (Fault::None, failed),
            Fault::Die(0) => (Fault::Die(0), failed),
            Fault::Fail(left) => (Fault::Fail(left - 1), Ok(())),
            Fault::Die(left) => (Fault::Die(left - 1), Ok(())),
        };
        NEXT.set(next);
        result
    }

    pub(in super::super) fn is_dead() -> bool {
        NEXT.get() == Fault::Die(0)
    }
}
