//! Sessions for another process, which verifies them without asking: chains of signed blocks.

mod block;
mod seen;
mod token;
mod verify;

pub use block::{BadChain, ChainBlock, RevocationId};
pub use seen::{ChainMemory, SeenOnce};
pub use token::ChainToken;
pub use verify::{ChainError, ChainVerifier, VerifiedChain};
