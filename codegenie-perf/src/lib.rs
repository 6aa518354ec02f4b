#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backend;

pub use backend::{CacheBackend, CacheEntry, CacheError, CacheErrorKind, CacheStats, EntryMeta, NoCache};
