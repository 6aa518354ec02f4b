//! [`Gauge`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A value that goes up and down; zero at first. Cloning gives another handle to the same value.
#[derive(Clone, Debug)]
pub struct Gauge {
    // The bits of an f64.
    bits: Arc<AtomicU64>,
}

impl Gauge {
    /// A gauge of its own, that no monitor knows.
    #[must_use]
    pub fn detached() -> Self {
        Self { bits: Arc::new(AtomicU64::new(0.0_f64.to_bits())) }
    }

    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.bits.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds to the value; a negative number takes away.
    pub fn add(&self, by: f64) {
        // The closure never declines, so this cannot fail.
        let _ = self.bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            Some((f64::from_bits(bits) + by).to_bits())
        });
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}
