//! Caches behind [`CacheBackend`](crate::CacheBackend).

mod counts;
mod memory;
mod stored;
mod tags;

pub use memory::{MemoryCache, MemoryCacheBuilder};
