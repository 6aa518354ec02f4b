//! Files and streams of any length, sealed in chunks, for one or several keys: `file/FORMAT.md`.

mod disk;
mod header;
mod open;
mod parallel;
mod rewrap;
mod seal;
#[cfg(feature = "tokio")]
mod tokio;

pub use header::{FileError, FileErrorKind};
pub use open::{FileOpener, OpeningReader};
pub use rewrap::rewrap_file;
pub use seal::{FileSealer, SealingWriter};
