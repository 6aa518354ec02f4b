//! [`Optimizer`]: runs operations with strategies and measures what the strategies bought.

mod codec;
mod optimizer;
mod stats;
mod strategy;

pub use codec::{BytesCodec, Codec, CodecError, FnCodec, TextCodec};
pub use optimizer::Optimizer;
pub use stats::OperationStats;
pub use strategy::{Operation, Strategy};
