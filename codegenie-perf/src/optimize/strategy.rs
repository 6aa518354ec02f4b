//! What is done to make an operation cheaper, and how an operation is named.

use std::sync::Arc;
use std::time::Duration;

/// One way to make an operation cheaper. More will follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Results are kept, and given out again for the same key. The first of these counts.
    #[non_exhaustive]
    Caching {
        /// How long a result may be given out.
        ttl: Duration,
        /// Tags by which results can be invalidated.
        tags: Vec<Arc<str>>,
    },
}

impl Strategy {
    /// Keeps results for `ttl`, without tags.
    #[must_use]
    pub fn caching(ttl: Duration) -> Self {
        Self::Caching { ttl, tags: Vec::new() }
    }

    /// Adds a tag, where the strategy has tags.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        match &mut self {
            Self::Caching { tags, .. } => tags.push(tag.into()),
        }
        self
    }
}

/// One call: the operation's name, for the statistics, and its key: everything that the result
/// depends on.
///
/// Two calls with the same name and key are taken to have the same result. Names are few and
/// fixed in the code; whatever varies goes into the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    name: &'a str,
    key: &'a [u8],
    strategies: Option<Vec<Strategy>>,
}

impl<'a> Operation<'a> {
    /// A call of the operation `name` on `key`, with the optimizer's strategies.
    #[must_use]
    pub fn new(name: &'a str, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { name, key: key.as_ref(), strategies: None }
    }

    /// Adds a strategy. From the first one on, the optimizer's own strategies do not apply to this call.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategies.get_or_insert_default().push(strategy);
        self
    }

    /// Measures this call only: no strategy applies.
    #[must_use]
    pub fn measured_only(mut self) -> Self {
        self.strategies = Some(Vec::new());
        self
    }

    /// The operation's name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The call's key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    pub(super) fn strategies<'s>(&'s self, usual: &'s [Strategy]) -> &'s [Strategy] {
        self.strategies.as_deref().unwrap_or(usual)
    }

    /// The key in the cache. The name's length is written before it, so that no two pairs of name and
    /// key meet in one; the prefix keeps clear of what others put into the same cache.
    pub(super) fn cache_key(&self) -> Vec<u8> {
        const PREFIX: &[u8] = b"codegenie-perf/operation/1\0";
        let mut key = Vec::with_capacity(PREFIX.len() + 8 + self.name.len() + self.key.len());
        key.extend_from_slice(PREFIX);
        key.extend_from_slice(&(self.name.len() as u64).to_be_bytes());
        key.extend_from_slice(self.name.as_bytes());
        key.extend_from_slice(self.key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_do_not_run_together() {
        let key = |name: &str, key: &str| Operation::new(name, key).cache_key();
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(key("", "a"), key("a", ""));
        assert_eq!(key("a", "b"), key("a", "b"));
    }
}
