//! Sessions for another process, which verifies them without asking: chains of signed blocks.

mod block;
mod token;
mod verify;

pub use block::{BadChain, ChainBlock, RevocationId};
pub use token::ChainToken;
pub use verify::{ChainError, ChainVerifier, SeenOnce, VerifiedChain};
