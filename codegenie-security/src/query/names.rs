//! How often which name was seen, in bounded memory.

use std::collections::HashMap;

/// What is kept of a name, in bytes. A name of up to 1 MiB would make the memory unbounded in effect.
const NAME_BYTES: usize = 256;

/// How often a name was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameCount {
    /// The name. Of more than 256 bytes the first 256 and `…`, and names that begin alike are counted as one.
    pub name: String,
    /// It was seen at least so often.
    pub at_least: u64,
    /// It was seen at most so often: the same, where the counts are [exact](NameCounts::is_exact).
    pub at_most: u64,
}

/// How often which name was seen, for a bounded number of names.
///
/// As long as there are no more names than the bound, the counts are exact. With more, the frequent ones stay, by the
/// algorithm of Misra and Gries (1982): [`uncertainty`](Self::uncertainty) says how much too low a count may be, and is
/// never more than the number of all names counted divided by half of the bound. A name that is not there was
/// seen no more often than that.
#[derive(Clone, Debug)]
pub struct NameCounts {
    counts: HashMap<String, u64>,
    bound: usize,
    uncertainty: u64,
}

impl NameCounts {
    pub(crate) fn with_bound(bound: usize) -> Self {
        Self { counts: HashMap::new(), bound: bound.max(2), uncertainty: 0 }
    }

    /// Is every count what it was, and no name missing?
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.uncertainty == 0
    }

    /// By how much a count may be too low.
    #[must_use]
    pub fn uncertainty(&self) -> u64 {
        self.uncertainty
    }

    /// The names seen most often, most often first, those seen equally often in the order of the alphabet.
    #[must_use]
    pub fn top(&self, most: usize) -> Vec<NameCount> {
        let mut all: Vec<(&String, u64)> = self.counts.iter().map(|(name, count)| (name, *count)).collect();
        all.sort_unstable_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        all.truncate(most);
        let counted = |(name, at_least): (&String, u64)| NameCount {
            name: name.clone(),
            at_least,
            at_most: at_least.saturating_add(self.uncertainty),
        };
        all.into_iter().map(counted).collect()
    }

    pub(crate) fn add(&mut self, name: &str) {
        let cut;
        let name = if name.len() <= NAME_BYTES {
            name
        } else {
            cut = name.chars().scan(0, take_bytes).chain(['…']).collect::<String>();
            &cut
        };
        if let Some(count) = self.counts.get_mut(name) {
            *count = count.saturating_add(1);
            return;
        }
        self.counts.insert(name.to_owned(), 1);
        self.reduce();
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.bound = self.bound.max(other.bound);
        self.uncertainty = self.uncertainty.saturating_add(other.uncertainty);
        for (name, count) in other.counts {
            let sum = self.counts.entry(name).or_default();
            *sum = sum.saturating_add(count);
        }
        self.reduce();
    }

    /// With too many names, takes so much from every count that half of the bound is left.
    fn reduce(&mut self) {
        if self.counts.len() <= self.bound {
            return;
        }
        let mut all: Vec<u64> = self.counts.values().copied().collect();
        let (_, least, _) = all.select_nth_unstable_by(self.bound / 2, |a, b| b.cmp(a));
        let least = *least;
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(least);
            *count > 0
        });
        self.uncertainty = self.uncertainty.saturating_add(least);
    }
}

/// The characters that end within [`NAME_BYTES`].
fn take_bytes(bytes: &mut usize, c: char) -> Option<char> {
    *bytes += c.len_utf8();
    (*bytes <= NAME_BYTES).then_some(c)
}
