//! Refusals that are kept for the host to read: bounded, however many there are.

use crate::sandbox::{Denial, Layer};
use std::sync::{Mutex, PoisonError};

const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<Vec<Denial>>);

impl Denials {
    /// Keeps a refusal, once of each kind.
    pub(super) fn add(&self, denial: Denial) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT && !kept.contains(&denial) {
            let rule = "read the audit log for all of them";
            kept.push(Denial::new(Layer::NetworkNamespace, "further connections", "refused too", rule));
        } else if kept.len() < KEPT && !kept.contains(&denial) {
            kept.push(denial);
        }
    }

    pub(super) fn list(&self) -> Vec<Denial> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
