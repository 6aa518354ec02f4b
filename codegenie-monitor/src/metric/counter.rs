//! [`Counter`]: striped, so that threads that count at once do not wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A count that only grows. Cloning gives another handle to the same count.
///
/// Sums are exact: nothing is sampled. A count past `u64::MAX` starts again from zero.
#[derive(Clone, Debug)]
pub struct Counter {
    stripes: Arc<[Stripe]>,
}

/// A cache line of its own (two, where the processor fetches them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

const MOST_STRIPES: usize = 16;

impl Counter {
    /// A counter of its own, that no monitor knows.
    #[must_use]
    pub fn detached() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let stripes = cores.next_power_of_two().min(MOST_STRIPES);
        Self { stripes: (0..stripes).map(|_| Stripe::default()).collect() }
    }

    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `n`.
    pub fn add(&self, n: u64) {
        // The number of stripes is a power of two and never zero.
        let at = thread_number() & (self.stripes.len().wrapping_sub(1));
        if let Some(stripe) = self.stripes.get(at) {
            stripe.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The count so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// Threads are numbered as they come, so that the first few never share a stripe.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // After the thread's locals are gone any stripe will do.
    NUMBER.try_with(|number| *number).unwrap_or(0)
}
