//! Event counts that threads do not fight over.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const STRIPES: usize = 16;

/// One cache line per stripe (two, where the processor fetches them in pairs), so that threads
/// that count at the same time do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Stripe {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) puts: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) expirations: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    stripes: [Stripe; STRIPES],
}

pub(super) struct Totals {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) puts: u64,
    pub(super) evictions: u64,
    pub(super) expirations: u64,
}

impl Counts {
    /// The stripe of this thread.
    pub(super) fn mine(&self) -> &Stripe {
        // Threads are numbered as they come; two that share a stripe are slower, never wrong.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        // After the thread's locals are gone any stripe will do.
        let number = NUMBER.try_with(|number| *number).unwrap_or(0);
        let [first, ..] = &self.stripes;
        self.stripes.get(number % STRIPES).unwrap_or(first)
    }

    pub(super) fn totals(&self) -> Totals {
        let sum = |count: fn(&Stripe) -> &AtomicU64| {
            self.stripes.iter().map(|stripe| count(stripe).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
        };
        Totals {
            hits: sum(|s| &s.hits),
            misses: sum(|s| &s.misses),
            puts: sum(|s| &s.puts),
            evictions: sum(|s| &s.evictions),
            expirations: sum(|s| &s.expirations),
        }
    }
}

/// Counts one.
pub(super) fn bump(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
