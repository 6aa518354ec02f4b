//! How much a count grew within a sliding window, in bounded memory.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// Moments closer than this part of the window may be taken for the later one.
const RESOLUTION: u32 = 256;

/// When a count changed, as far back as the window needs.
///
/// The count between two samples is that of the earlier. At most about `2 * RESOLUTION` samples.
#[derive(Debug)]
pub(super) struct Window {
    width: Duration,
    since: SystemTime,
    /// The count before the first sample.
    base: u64,
    samples: VecDeque<(SystemTime, u64)>,
}

impl Window {
    pub(super) fn new(width: Duration, now: SystemTime, total: u64) -> Self {
        Self { width, since: now, base: total, samples: VecDeque::new() }
    }

    /// Takes note of the count at `now`, which is not before the last `now`.
    pub(super) fn observe(&mut self, now: SystemTime, total: u64) {
        let from = now.checked_sub(self.width);
        while let Some((at, total)) = self.samples.front().copied() {
            if from.is_none_or(|from| at > from) {
                break;
            }
            self.base = total;
            self.samples.pop_front();
        }
        if total == self.samples.back().map_or(self.base, |(_, last)| *last) {
            return;
        }
        let before_last = self.samples.len().checked_sub(2).and_then(|at| self.samples.get(at));
        let close = before_last
            .is_some_and(|(at, _)| now.duration_since(*at).unwrap_or_default() < self.width / RESOLUTION);
        // Joined to the later moment: the growth is seen a little longer, not shorter.
        if close {
            self.samples.pop_back();
        }
        self.samples.push_back((now, total));
    }

    /// The growth within the window that ends at the moment last observed.
    pub(super) fn increase(&self) -> u64 {
        self.samples.back().map_or(0, |(_, last)| last.wrapping_sub(self.base))
    }

    /// Whether a whole window has been watched.
    pub(super) fn watched_whole(&self, now: SystemTime) -> bool {
        now.duration_since(self.since).unwrap_or_default() >= self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn growth_leaves_the_window_when_it_is_old_enough() {
        let mut window = Window::new(Duration::from_secs(60), at(0), 10);
        let mut grown = |ms, total| {
            window.observe(at(ms), total);
            window.increase()
        };
        assert_eq!(grown(0, 10), 0);
        assert_eq!(grown(1_000, 12), 2);
        assert_eq!(grown(30_000, 13), 3);
        assert_eq!(grown(60_999, 13), 3);
        assert_eq!(grown(61_000, 13), 1);
        assert_eq!(grown(90_000, 13), 0);
        assert_eq!(grown(500_000, 14), 1);
    }

    #[test]
    fn memory_is_bounded_and_growth_is_never_missed() {
        let width = Duration::from_secs(60);
        let mut window = Window::new(width, at(0), 0);
        for ms in 1..200_000_u64 {
            window.observe(at(ms), ms);
            let seen = window.increase();
            let exact = ms.min(60_000);
            assert!(seen >= exact && seen <= exact + 2 * 60_000 / u64::from(RESOLUTION), "{ms}: {seen}");
            assert!(window.samples.len() <= 2 * RESOLUTION as usize + 3);
        }
    }
}
