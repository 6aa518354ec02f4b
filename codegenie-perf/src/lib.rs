#![cfg_attr(all(feature = "memory", feature = "optimize"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "memory", feature = "optimize")),
    doc = "The trait layer [`CacheBackend`] and the parts that the chosen features add."
)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
#[cfg(feature = "memory")]
mod cache;
mod clock;
#[cfg(feature = "optimize")]
mod optimize;
#[cfg(feature = "testing")]
pub mod testing;

pub use backend::{CacheBackend, CacheEntry, CacheError, CacheErrorKind, CacheStats, EntryMeta, NoCache};
#[cfg(feature = "memory")]
pub use cache::{MemoryCache, MemoryCacheBuilder};
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "optimize")]
pub use optimize::{
    BytesCodec, Codec, CodecError, FnCodec, Operation, OperationStats, Optimizer, Strategy, TextCodec,
};
