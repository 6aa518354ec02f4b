//! What the benches share: order statistics, and one line a figure.

use std::time::Duration;

/// Prints a figure for people and scripts: `figure <name> <value> <unit> goal <=|>= <number>`.
pub fn figure(name: &str, value: f64, unit: &str, goal: Goal) {
    let (sign, number) = match goal {
        Goal::AtMost(number) => ("<=", number),
        Goal::AtLeast(number) => (">=", number),
    };
    println!("figure {name} {value:.3} {unit} goal {sign} {number}");
}

/// What a figure has to reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Smaller is better.
    AtMost(f64),
    /// Larger is better.
    AtLeast(f64),
}

/// The value below which a share `q` (0 to 1) of the samples lie, in microseconds; 0 of none.
#[must_use]
pub fn quantile_us(samples: &[Duration], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    let index = (q.clamp(0.0, 1.0) * last as f64).round() as usize;
    sorted.get(index).map_or(0.0, |sample| sample.as_secs_f64() * 1e6)
}
